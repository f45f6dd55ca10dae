"""DeltaNet with a gate on what it remembers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import Eigenvalues, head_size, reaches_below_zero, unit
from jaxrnn.cells.mamba2 import first_time_steps
from jaxrnn.cells.weights import input_weights


class GatedDeltaNetParams(NamedTuple):
    """Columns of `w_ih` in the order q, k, v, of each the heads one after another; those of
    `w_gates`, one for each head, in the order beta, alpha. The decay is behind a logarithm."""

    w_ih: Float[Array, "I 3*H"]
    w_gates: Float[Array, "I 2*N"]
    b_alpha: Float[Array, " N"]
    a_log: Float[Array, " N"]


def gated_delta_net(
    input_size: int, hidden_size: int, heads: int = 1, eigenvalues: Eigenvalues = "[0, 1]"
) -> Cell:
    """Gated DeltaNet; x [I] to o [H]. Of each head, D = H / heads:

        q, k = silu(x W_q) / |silu(x W_q)|, silu(x W_k) / |silu(x W_k)|
        v = silu(x W_v)
        beta = sigmoid(x w_beta)
        alpha = exp(-exp(a_log) softplus(x w_alpha + b_alpha))
        S' = S (alpha (I - beta k k^T)) + beta v k^T
        o = S' q

    It is `delta_net` where alpha is 1. With eigenvalues "[-1, 1]" beta is twice the sigmoid. The
    carry is S [heads, D, D], zero at first. alpha begins as the decay of `mamba2` does.

    Reference: Yang et al. (2024), https://arxiv.org/abs/2412.06464, section 3.1; its recurrence
    alone, without the short convolution in front of the SiLU and the normalisation and gate behind
    o. Negative eigenvalues: Grazzi et al. (2024), https://arxiv.org/abs/2411.12537.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)
    highest = 2 if reaches_below_zero(eigenvalues) else 1

    def init(key):
        key_input, key_gates, key_bias, key_decay = jax.random.split(key, 4)
        return GatedDeltaNetParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_gates=input_weights(key_gates, input_size, heads, gates=2),
            b_alpha=first_time_steps(key_bias, heads),
            a_log=jnp.log(jax.random.uniform(key_decay, (heads,), minval=1.0, maxval=16.0)),
        )

    def init_carry(params, key):
        return jnp.zeros((heads, size, size), params.w_ih.dtype)

    def of_head(s, q, k, v, beta, alpha):
        s = alpha * s
        s = s + beta * jnp.outer(v - s @ k, k)
        return s, s @ q

    def step(params, s, x):
        from_x = jax.nn.silu(x @ params.w_ih)
        q, k, v = (a.reshape(heads, size) for a in jnp.split(from_x, 3))
        for_beta, for_alpha = jnp.split(x @ params.w_gates, 2)
        beta = highest * jax.nn.sigmoid(for_beta)
        alpha = jnp.exp(-jnp.exp(params.a_log) * jax.nn.softplus(for_alpha + params.b_alpha))
        s, o = jax.vmap(of_head)(s, unit(q), unit(k), v, beta, alpha)
        return s, o.ravel()

    return Cell(init, init_carry, step)
