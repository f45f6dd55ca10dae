"""The time mixing of RWKV-7."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.heads import head_size, unit
from jaxrnn.cells.weights import input_weights

EPSILON = 64e-5
"""Added to the variance of a head under the root."""


class RWKV7Params(NamedTuple):
    """`mix` in the order r, k, v, d, a, g, and columns of `w_ih` in the order r, k, v, of each the
    heads one after another. Of d, a and g what they come from goes through `rank` numbers."""

    mix: Float[Array, "6 I"]
    w_ih: Float[Array, "I 3*H"]
    w_down: Float[Array, "3 I R"]
    w_up: Float[Array, "3 R H"]
    b_d: Float[Array, " H"]
    b_a: Float[Array, " H"]
    removed: Float[Array, " H"]
    replaced: Float[Array, " H"]
    bonus: Float[Array, " H"]
    scale: Float[Array, " H"]
    shift: Float[Array, " H"]
    w_out: Float[Array, "H H"]


class RWKV7Carry(NamedTuple):
    x: Float[Array, " I"]
    s: Float[Array, "N D D"]


def rwkv7(input_size: int, hidden_size: int, heads: int = 1, rank: int = 16) -> Cell:
    """RWKV-7's time mixing; x [I] to o [H]. Each of r, k, v, d, a, g reads its own mixture of x and
    the x before, x_* = x + (x_before - x) * mix_*. With D = H / heads, of each head what is behind
    w:

        r, k, v = x_r W_r, x_k W_k, x_v W_v
        w = exp(-exp(-1/2) sigmoid(tanh(x_d A_d) B_d + b_d))
        a = sigmoid(x_a A_a B_a + b_a)
        g = sigmoid(x_g A_g) B_g
        u = k * removed / |k * removed|
        k~ = k * (1 + (a - 1) * replaced)
        S' = S (diag(w) - u^T (a * u)) + v^T k~
        p = norm(r S'^T) + (r . (bonus * k~)) v
        o = (g * p) W_o

    norm subtracts the mean of a head and divides by its standard deviation, then scales (by 1 at
    first) and shifts (by 0); of a head of one number it leaves nothing. Vectors are rows. The carry
    is (x [I], S [heads, D, D]), zero at first. A transition's eigenvalues lie between -1 and 1, as
    a is below 1.

    Reference: Peng et al. (2025), https://arxiv.org/abs/2503.14456, section 4.1: the first layer,
    without the share that later layers take of its v. First values: A zero, b_d from
    -6.5 to -1.5 over h, `removed` 0.85 and `replaced` 1, as in the authors' code
    (github.com/BlinkDL/RWKV-LM), whose ranks are 64 and more; mix one half, W_o Glorot-uniform
    (zero there).
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, rank=rank)
    size = head_size(hidden_size, heads)

    def init(key):
        key_input, key_up, key_out = jax.random.split(key, 3)
        return RWKV7Params(
            mix=jnp.full((6, input_size), 0.5),
            w_ih=input_weights(key_input, input_size, hidden_size, gates=3),
            w_down=jnp.zeros((3, input_size, rank)),
            w_up=jnp.stack(
                [input_weights(k, rank, hidden_size) for k in jax.random.split(key_up, 3)]
            ),
            b_d=jnp.linspace(-6.5, -1.5, hidden_size),
            b_a=jnp.zeros(hidden_size),
            removed=jnp.full(hidden_size, 0.85),
            replaced=jnp.ones(hidden_size),
            bonus=jnp.zeros(hidden_size),
            scale=jnp.ones(hidden_size),
            shift=jnp.zeros(hidden_size),
            w_out=input_weights(key_out, hidden_size, hidden_size),
        )

    def init_carry(params, key):
        return RWKV7Carry(
            x=jnp.zeros(input_size, params.scale.dtype),
            s=jnp.zeros((heads, size, size), params.scale.dtype),
        )

    def of_head(s, r, k, v, w, a, u):
        s = s * w[None] - jnp.outer(s @ u, a * u) + jnp.outer(v, k)
        return s, s @ r

    def step(params, carry, x):
        x_r, x_k, x_v, x_d, x_a, x_g = (x + (carry.x - x) * mix for mix in params.mix)
        w_r, w_k, w_v = jnp.split(params.w_ih, 3, axis=1)
        (down_d, down_a, down_g), (up_d, up_a, up_g) = params.w_down, params.w_up
        r, k, v = x_r @ w_r, x_k @ w_k, x_v @ w_v
        d = jnp.tanh(x_d @ down_d) @ up_d + params.b_d
        a = jax.nn.sigmoid(x_a @ down_a @ up_a + params.b_a)
        g = jax.nn.sigmoid(x_g @ down_g) @ up_g
        w = jnp.exp(-math.exp(-0.5) * jax.nn.sigmoid(d))
        removed = k * params.removed
        k = k * (1 + (a - 1) * params.replaced)
        r, k, v, w, a, removed, bonus = (
            vector.reshape(heads, size) for vector in (r, k, v, w, a, removed, params.bonus)
        )
        s, read = jax.vmap(of_head)(carry.s, r, k, v, w, a, unit(removed))
        p = _normalised(read).ravel() * params.scale + params.shift
        p = p + ((r * bonus * k).sum(-1, keepdims=True) * v).ravel()
        return RWKV7Carry(x, s), (g * p) @ params.w_out

    return Cell(init, init_carry, step)


def _normalised(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
