"""The xLSTM with scalars in its memory."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import by_head, head_size
from jaxrnn.cells.weights import input_weights, recurrent_weights

NOTHING = -1e4
"""m before anything was seen: below every i, so that the first n is 1 however small exp(i) is."""


class SLSTMParams(NamedTuple):
    """Columns, for each head, in the order z, i, f, o."""

    w_ih: Float[Array, "I 4*H"]
    w_hh: Float[Array, "N D 4*D"]
    b: Float[Array, "N 4*D"]


class SLSTMCarry(NamedTuple):
    h: Float[Array, "N D"]
    c: Float[Array, "N D"]
    n: Float[Array, "N D"]
    m: Float[Array, "N D"]


def slstm(input_size: int, hidden_size: int, heads: int = 1) -> Cell:
    """sLSTM; x [I] to h [H]. Equations 8 to 17 of the paper:

        z = tanh(x W_z + h R_z + b_z)                           (11)
        i = x W_i + h R_i + b_i                                 (12), i~ there
        f = log sigmoid(x W_f + h R_f + b_f)                    (13), log f there
        o = sigmoid(x W_o + h R_o + b_o)                        (14)
        m' = max(f + m, i)                                      (15)
        c' = exp(f + m - m') * c + exp(i - m') * z              (8), (16), (17)
        n' = exp(f + m - m') * n + exp(i - m')                  (9)
        h' = o * c' / n'                                        (10)

    R are block-diagonal: each of `heads` sees its own H / heads numbers of h. m changes nothing but
    the size of the numbers: c exp(m) and n exp(m) are c and n of (8) and (9). The carry is (h, c,
    n, m), [heads, H / heads] each, at first zero, and m -10,000; the output is h'. Forget biases
    begin evenly between 3 and 6 within a head.

    Reference: Beck et al. (2024), https://arxiv.org/abs/2405.04517; of the two forget gates of (13)
    the sigmoid, as in the authors' code (github.com/NX-AI/xlstm), whose "small_init" the biases
    have. Without the block around it: its convolution before i and f and its normalisation of h'.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)

    def init(key):
        key_input, key_recurrent = jax.random.split(key)
        block = partial(recurrent_weights, hidden_size=size, gates=4)
        forget = jnp.linspace(3.0, 6.0, size)
        return SLSTMParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=4),
            w_hh=by_head(block, key_recurrent, heads),
            b=jnp.zeros((heads, 4 * size)).at[:, 2 * size : 3 * size].set(forget),
        )

    def init_carry(params, key):
        h, c, n = (jnp.zeros((heads, size), params.b.dtype) for _ in range(3))
        return SLSTMCarry(h, c, n, m=jnp.full_like(h, NOTHING))

    def step(params, carry, x):
        h, c, n, m = carry
        from_x = (x @ params.w_ih).reshape(heads, 4 * size) + params.b
        z, i, f, o = jnp.split(from_x + jnp.einsum("nd,nde->ne", h, params.w_hh), 4, axis=1)
        f = jax.nn.log_sigmoid(f)
        highest = jnp.maximum(f + m, i)
        keep, add = jnp.exp(f + m - highest), jnp.exp(i - highest)
        c = keep * c + add * jnp.tanh(z)
        n = keep * n + add
        h = jax.nn.sigmoid(o) * c / n
        return SLSTMCarry(h, c, n, highest), h.ravel()

    return Cell(init, init_carry, step)
