"""Long short-term memory whose memory is itself one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.lstm import LSTMParams, lstm


class NestedLSTMCarry(NamedTuple):
    """The memories `c` from the outermost to the innermost."""

    h: Float[Array, " H"]
    c: tuple[Float[Array, " H"], ...]


def nested_lstm(input_size: int, hidden_size: int, depth: int = 2) -> Cell:
    """Nested LSTM; x [I] to h [H].

        i, f, o = sigmoid(x W_i* + h W_h* + b_*)
        g = tanh(x W_ig + h W_hg + b_g)
        c' = the output h' of the same with weights of its own, of x = i * g and h = f * c
        h' = o * tanh(c')

    and c' = f * c + i * g in the innermost of `depth`: a depth of 1 is the plain LSTM. The carry is
    (h [H], `depth` memories c [H]), zero at first; the output is h'. Params are those of an LSTM
    for each depth, the outermost first, every forget bias 1.

    Reference: Moniz and Krueger (2018), https://arxiv.org/abs/1801.10308, with tanh at every depth,
    as in https://github.com/hannw/nlstm.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, depth=depth)
    sizes = [input_size] + [hidden_size] * (depth - 1)

    def init(key) -> tuple[LSTMParams, ...]:
        keys = jax.random.split(key, depth)
        return tuple(lstm(size, hidden_size).init(k) for size, k in zip(sizes, keys, strict=True))

    def init_carry(params, key):
        h, *c = (jnp.zeros(hidden_size, params[0].b.dtype) for _ in range(depth + 1))
        return NestedLSTMCarry(h, tuple(c))

    def nest(params, h, memories, x):
        """h' and the new memories of what `params` are left for."""
        (own, *inner), (c, *deeper) = params, memories
        z = x @ own.w_ih + h @ own.w_hh + own.b
        i, f, o = jnp.split(jax.nn.sigmoid(z[: 3 * hidden_size]), 3)
        g = jnp.tanh(z[3 * hidden_size :])
        if inner:
            c, deeper = nest(inner, f * c, deeper, i * g)
        else:
            c = f * c + i * g
        return o * jnp.tanh(c), (c, *deeper)

    def step(params, carry, x):
        h, c = nest(params, carry.h, carry.c, x)
        return NestedLSTMCarry(h, c), h

    return Cell(init, init_carry, step)
