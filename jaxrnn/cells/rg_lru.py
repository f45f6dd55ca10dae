"""The real-gated linear recurrent unit of Griffin."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import Eigenvalues, by_head, head_size, reaches_below_zero
from jaxrnn.cells.weights import input_weights

POWER = 8.0
"""c of the paper."""
SMALLEST = 1e-8
"""Of 1 - a^2, whose root has no derivative at 0; there the authors' code bounds the derivative."""


class RGLRUParams(NamedTuple):
    """Columns of `w_gates` and `b`, for each head, in the order r, i."""

    w_ih: Float[Array, "I H"]
    w_gates: Float[Array, "N D 2*D"]
    b: Float[Array, "N 2*D"]
    decay: Float[Array, " H"]


def rg_lru(
    input_size: int, hidden_size: int, heads: int = 1, eigenvalues: Eigenvalues = "[0, 1]"
) -> Cell:
    """Real-gated linear recurrent unit; x [I] to h [H]. Equations 1 to 4 of the paper, of u = x W:

        r = sigmoid(u W_a + b_a)                                (1)
        i = sigmoid(u W_x + b_x)                                (2)
        a = sigmoid(decay)^(8 r)                                (3)
        h' = a * h + sqrt(1 - a^2) * (i * u)                    (4)

    W_a and W_x are block-diagonal: each of `heads` sees its own H / heads numbers of u. With
    eigenvalues "[-1, 1]" it is 2 a - 1 in the place of a. The carry is h [H], zero at first; the
    output is h'. r and i see x alone, so all time steps can be worked out in parallel. `decay`
    begins where sigmoid(decay)^8 is between 0.9 and 0.999, evenly.

    Reference: De et al. (2024), Griffin, https://arxiv.org/abs/2402.19427; W belongs to the block
    that the paper has around it, whose short convolution stands between it and the rest. The
    authors' code (github.com/google-deepmind/recurrentgemma) leaves the root out at the first time
    step of a document. Negative eigenvalues: Grazzi et al. (2024),
    https://arxiv.org/abs/2411.12537, by whom Mamba has them so.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)
    negative = reaches_below_zero(eigenvalues)

    def init(key):
        key_input, key_gates, key_decay = jax.random.split(key, 3)
        block = partial(input_weights, input_size=size, hidden_size=size, gates=2)
        power = jax.random.uniform(key_decay, (hidden_size,), minval=0.9, maxval=0.999)
        log_a = jnp.log(power) / POWER
        return RGLRUParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            w_gates=by_head(block, key_gates, heads),
            b=jnp.zeros((heads, 2 * size)),
            decay=log_a - jnp.log(-jnp.expm1(log_a)),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.decay)

    def step(params, h, x):
        u = x @ params.w_ih
        gates = jnp.einsum("nd,nde->ne", u.reshape(heads, size), params.w_gates) + params.b
        r, i = (gate.ravel() for gate in jnp.split(jax.nn.sigmoid(gates), 2, axis=1))
        log_a = POWER * r * jax.nn.log_sigmoid(params.decay)
        # 1 - a^2 from the logarithm: a itself is rounded to 1 long before
        if negative:
            a, rest = 2 * jnp.exp(log_a) - 1, -4 * jnp.exp(log_a) * jnp.expm1(log_a)
        else:
            a, rest = jnp.exp(log_a), -jnp.expm1(2 * log_a)
        h = a * h + jnp.sqrt(jnp.maximum(rest, SMALLEST)) * (i * u)
        return h, h

    return Cell(init, init_carry, step)
