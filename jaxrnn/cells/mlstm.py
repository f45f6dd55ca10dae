"""The xLSTM with a matrix in its memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import head_size
from jaxrnn.cells.weights import input_weights


class MLSTMParams(NamedTuple):
    """Columns of `w_ih` and `b` in the order q, k, v, o, of each the heads one after another; those
    of `w_gates` and `b_gates`, one for each head, in the order i, f."""

    w_ih: Float[Array, "I 4*H"]
    b: Float[Array, " 4*H"]
    w_gates: Float[Array, "I 2*N"]
    b_gates: Float[Array, " 2*N"]


class MLSTMCarry(NamedTuple):
    c: Float[Array, "N D D"]
    n: Float[Array, "N D"]
    m: Float[Array, " N"]


def mlstm(input_size: int, hidden_size: int, heads: int = 1) -> Cell:
    """mLSTM; x [I] to h [H]. Of each head, D = H / heads:

        q = x W_q + b_q
        k = x W_k / sqrt(D) + b_k
        v = x W_v + b_v
        i = x w_i + b_i
        f = log sigmoid(x w_f + b_f)
        o = sigmoid(x W_o + b_o)
        m' = max(f + m, i)
        c' = exp(f + m - m') c + exp(i - m') v k^T
        n' = exp(f + m - m') n + exp(i - m') k
        h' = o * (c' q) / max(|n' . q|, exp(-m'))

    m changes nothing but the size of the numbers: c exp(m) and n exp(m) are C and n of the paper,
    i and f are i~ and log f there. The carry is (c [heads, D, D], n [heads, D], m [heads]), zero at
    first; the output is h'. Nothing but the carry itself goes through a gate. Weights of i
    and f begin at 0, the biases of f evenly between 3 and 6 over the heads.

    Reference: Beck et al. (2024), https://arxiv.org/abs/2405.04517; of the two forget gates there
    the sigmoid, and first gates as in the authors' code (github.com/NX-AI/xlstm), where those of i
    are drawn. Without the block around it: its convolution before q and k and its normalisation of
    h'.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)

    def init(key):
        return MLSTMParams(
            w_ih=input_weights(key, input_size, hidden_size, gates=4),
            b=jnp.zeros(4 * hidden_size),
            w_gates=jnp.zeros((input_size, 2 * heads)),
            b_gates=jnp.zeros(2 * heads).at[heads:].set(jnp.linspace(3.0, 6.0, heads)),
        )

    def init_carry(params, key):
        return MLSTMCarry(
            c=jnp.zeros((heads, size, size), params.b.dtype),
            n=jnp.zeros((heads, size), params.b.dtype),
            m=jnp.zeros(heads, params.b.dtype),
        )

    def of_head(carry, q, k, v, i, f):
        c, n, m = carry
        highest = jnp.maximum(f + m, i)
        keep, add = jnp.exp(f + m - highest), jnp.exp(i - highest)
        c = keep * c + add * jnp.outer(v, k)
        n = keep * n + add * k
        return MLSTMCarry(c, n, highest), c @ q / jnp.maximum(jnp.abs(n @ q), jnp.exp(-highest))

    def step(params, carry, x):
        q, k, v, o = jnp.split(x @ params.w_ih, 4)
        b_q, b_k, b_v, b_o = jnp.split(params.b, 4)
        vectors = (q + b_q, k / size**0.5 + b_k, v + b_v)
        q, k, v = (a.reshape(heads, size) for a in vectors)
        i, f = jnp.split(x @ params.w_gates + params.b_gates, 2)
        carry, read = jax.vmap(of_head)(carry, q, k, v, i, jax.nn.log_sigmoid(f))
        return carry, jax.nn.sigmoid(o + b_o) * read.ravel()

    return Cell(init, init_carry, step)
