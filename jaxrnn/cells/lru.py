"""The linear recurrent unit."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.complex_parts import complex_of, polar, wide
from jaxrnn.cells.weights import input_weights


class LRUParams(NamedTuple):
    """Real numbers: B and C by their real and imaginary parts; nu, theta and gamma behind a
    logarithm."""

    nu: Float[Array, " H"]
    theta: Float[Array, " H"]
    gamma: Float[Array, " H"]
    b_re: Float[Array, "I H"]
    b_im: Float[Array, "I H"]
    c_re: Float[Array, "H H"]
    c_im: Float[Array, "H H"]
    d: Float[Array, "I H"]


def lru(
    input_size: int,
    hidden_size: int,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 2 * math.pi,
) -> Cell:
    """Linear recurrent unit; x [I] to y [H].

        lambda = exp(-exp(nu) + i exp(theta))
        h' = lambda * h + exp(gamma) * (x B)
        y = Re(h' C) + x D

    The carry is h [H] of complex numbers, zero at first; the output is y, of real ones. Nothing but
    h itself goes through lambda, so all time steps can be worked out in parallel. |lambda| is below
    1 whatever nu becomes; it begins between r_min and r_max, evenly over that ring, with a phase
    up to max_phase, and exp(gamma) begins at sqrt(1 - |lambda|^2).

    Reference: Orvieto et al. (2023), https://arxiv.org/abs/2303.06349; D is a matrix as in the
    paper's text (its code has one number a channel), and begins Glorot-uniform. In 16 bits h is
    still complex64: there is no narrower complex number.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not 0 <= r_min < r_max <= 1:
        raise ValueError(f"r_min is {r_min} and r_max {r_max}; give 0 <= r_min < r_max <= 1")
    if not max_phase > 0:
        raise ValueError(f"max_phase is {max_phase}; give an angle above 0, in radians")

    def init(key):
        key_radius, key_phase, *keys = jax.random.split(key, 7)
        # not the ends themselves, where logarithms end
        area, turn = (
            jax.random.uniform(k, (hidden_size,), minval=1e-4, maxval=1 - 1e-4)
            for k in (key_radius, key_phase)
        )
        squared = area * (r_max**2 - r_min**2) + r_min**2
        b_re, b_im = (
            jax.random.normal(k, (input_size, hidden_size)) / math.sqrt(2 * input_size)
            for k in keys[:2]
        )
        c_re, c_im = (
            jax.random.normal(k, (hidden_size, hidden_size)) / math.sqrt(hidden_size)
            for k in keys[2:4]
        )
        return LRUParams(
            nu=jnp.log(-0.5 * jnp.log(squared)),
            theta=jnp.log(max_phase * turn),
            gamma=0.5 * jnp.log(1 - squared),
            b_re=b_re,
            b_im=b_im,
            c_re=c_re,
            c_im=c_im,
            d=input_weights(keys[4], input_size, hidden_size),
        )

    def init_carry(params, key):
        zeros = wide(params.nu) * 0
        return complex_of(zeros, zeros)

    def step(params, h, x):
        decay = polar(jnp.exp(-jnp.exp(wide(params.nu))), jnp.exp(wide(params.theta)))
        gain = jnp.exp(params.gamma)
        driven = complex_of(gain * (x @ params.b_re), gain * (x @ params.b_im))
        h = decay * h + driven
        re, im = (part.astype(params.c_re.dtype) for part in (h.real, h.imag))
        return h, re @ params.c_re - im @ params.c_im + x @ params.d

    return Cell(init, init_carry, step)
