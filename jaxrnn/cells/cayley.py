"""An Elman network whose recurrent matrix stays orthogonal."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.complex_parts import wide
from jaxrnn.cells.weights import input_weights


class CayleyParams(NamedTuple):
    w_ih: Float[Array, "I H"]
    skew: Float[Array, "H H"]
    b: Float[Array, " H"]


def cayley(input_size: int, hidden_size: int, negative: float = 0.5) -> Cell:
    """Scaled Cayley orthogonal recurrence (scoRNN); x [I] to h [H].

        A = skew - skew^T
        W = (I + A)^-1 (I - A) D
        z = x V + h W
        h' = sign(z) * relu(|z| + b)

    W is orthogonal whatever skew becomes: errors that go back through it neither grow nor shrink. D
    is a diagonal of ones, in its last places -1, the share `negative` of H; it is not learnt. The
    carry is h [H], zero at first; the output is h'. skew begins with angles up to a quarter of a
    turn, evenly, between each two numbers of h; b within 0.01.

    Reference: Helfrich et al. (2018), https://arxiv.org/abs/1707.09520, sections 3 and 5, which
    has of skew the numbers above its diagonal alone; the activation is modReLU (Arjovsky et al.
    2016, https://arxiv.org/abs/1511.06464) of real numbers. In 16 bits W is worked out in 32.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not 0 <= negative <= 1:
        raise ValueError(f"negative is {negative}; give a share from 0 to 1")
    signs = np.where(np.arange(hidden_size) < round((1 - negative) * hidden_size), 1.0, -1.0)

    def init(key):
        key_input, key_angle, key_bias = jax.random.split(key, 3)
        angles = jax.random.uniform(key_angle, (hidden_size,), maxval=math.pi / 2)
        pairs = np.arange(hidden_size - 1) % 2 == 0
        return CayleyParams(
            w_ih=input_weights(key_input, input_size, hidden_size),
            skew=jnp.diag(jnp.where(pairs, jnp.tan(angles[1:] / 2), 0.0), 1),
            b=jax.random.uniform(key_bias, (hidden_size,), minval=-0.01, maxval=0.01),
        )

    def init_carry(params, key):
        return jnp.zeros_like(params.b)

    def step(params, h, x):
        skew = wide(params.skew)
        one, a = jnp.eye(hidden_size, dtype=skew.dtype), skew - skew.T
        w = jnp.linalg.solve(one + a, one - a) * jnp.asarray(signs, skew.dtype)[None]
        z = x @ params.w_ih + h @ w.astype(params.skew.dtype)
        h = jnp.sign(z) * jax.nn.relu(jnp.abs(z) + params.b)
        return h, h

    return Cell(init, init_carry, step)
