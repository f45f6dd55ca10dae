"""Linear attention that writes by the delta rule."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import Eigenvalues, head_size, reaches_below_zero, unit
from jaxrnn.cells.weights import input_weights


class DeltaNetParams(NamedTuple):
    """Columns of `w_ih` in the order q, k, v, of each the heads one after another; one column of
    `w_beta` for each head."""

    w_ih: Float[Array, "I 3*H"]
    w_beta: Float[Array, "I N"]


def delta_net(
    input_size: int, hidden_size: int, heads: int = 1, eigenvalues: Eigenvalues = "[0, 1]"
) -> Cell:
    """DeltaNet; x [I] to o [H]. Of each head, D = H / heads:

        q, k = silu(x W_q) / |silu(x W_q)|, silu(x W_k) / |silu(x W_k)|
        v = silu(x W_v)
        beta = sigmoid(x w_beta)
        S' = S (I - beta k k^T) + beta v k^T
        o = S' q

    S holds a value v for each key k: what it has for k goes over into v by the share beta. The
    eigenvalues of I - beta k k^T are 1 and 1 - beta; with eigenvalues "[-1, 1]" beta is twice the
    sigmoid. The carry is S [heads, D, D], zero at first.

    Reference: Yang et al. (2024), https://arxiv.org/abs/2406.06484, section 2.2, which has it from
    Schlag et al. (2021), https://arxiv.org/abs/2102.11174; its recurrence alone, without the short
    convolution in front of the SiLU and the normalisation behind o. Negative eigenvalues: Grazzi et
    al. (2024), https://arxiv.org/abs/2411.12537.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    size = head_size(hidden_size, heads)
    highest = 2 if reaches_below_zero(eigenvalues) else 1

    def init(key):
        key_input, key_beta = jax.random.split(key)
        return DeltaNetParams(
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_beta=input_weights(key_beta, input_size, heads),
        )

    def init_carry(params, key):
        return jnp.zeros((heads, size, size), params.w_ih.dtype)

    def of_head(s, q, k, v, beta):
        s = s + beta * jnp.outer(v - s @ k, k)
        return s, s @ q

    def step(params, s, x):
        from_x = jax.nn.silu(x @ params.w_ih)
        q, k, v = (a.reshape(heads, size) for a in jnp.split(from_x, 3))
        beta = highest * jax.nn.sigmoid(x @ params.w_beta)
        s, o = jax.vmap(of_head)(s, unit(q), unit(k), v, beta)
        return s, o.ravel()

    return Cell(init, init_carry, step)
