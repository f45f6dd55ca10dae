"""The simplified state space layer."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from jaxrnn.base import Cell, require_positive
from jaxrnn.cells.complex_parts import complex_of, polar, wide
from jaxrnn.cells.weights import input_weights

SLOWEST = -1e-4
"""Above this no eigenvalue's real part counts."""


class S5Params(NamedTuple):
    """Real numbers: eigenvalues, B and C by their real and imaginary parts, time steps behind a
    logarithm."""

    lambda_re: Float[Array, " H"]
    lambda_im: Float[Array, " H"]
    log_step: Float[Array, " H"]
    b_re: Float[Array, "I H"]
    b_im: Float[Array, "I H"]
    c_re: Float[Array, "H H"]
    c_im: Float[Array, "H H"]
    d: Float[Array, "I H"]


def s5(input_size: int, hidden_size: int, step_min: float = 0.001, step_max: float = 0.1) -> Cell:
    """S5; x [I] to y [H]. The state space model s' = lambda s + x B, with x held between two
    time steps, and t = exp(log_step):

        s' = exp(lambda t) * s + (exp(lambda t) - 1) / lambda * (x B)
        y = 2 Re(s' C) + x D

    The carry is s [H] of complex numbers, zero at first: those of a state of 2 H real ones, whose
    other half are their conjugates. Nothing but s itself goes through lambda, so all time steps can
    be worked out in parallel. lambda, B and C begin as HiPPO-N in its eigenvectors, t between
    step_min and step_max, evenly in its logarithm.

    Reference: Smith et al. (2023), https://arxiv.org/abs/2208.04933, one block, in the form of the
    authors' code (github.com/lindermanlab/S5) with conj_sym and clip_eigs: the real part of lambda
    counts as at most -0.0001. D is a matrix, where the paper's has one number a channel. Without
    the GELU and the gate behind it. In 16 bits s is still complex64: there is no narrower complex
    number.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if not 0 < step_min < step_max:
        raise ValueError(
            f"step_min is {step_min} and step_max {step_max}; give 0 < step_min < step_max"
        )

    def init(key):
        key_step, key_b, key_c, key_d = jax.random.split(key, 4)
        turning, vectors = _hippo(hidden_size)
        low, high = math.log(step_min), math.log(step_max)
        # real matrices around a state of 2 H real numbers, seen from its eigenvectors
        b = jax.random.normal(key_b, (input_size, 2 * hidden_size)) / math.sqrt(input_size)
        c = jax.random.normal(key_c, (2 * hidden_size, hidden_size)) / math.sqrt(2 * hidden_size)
        return S5Params(
            lambda_re=jnp.full(hidden_size, -0.5),
            lambda_im=turning,
            log_step=jax.random.uniform(key_step, (hidden_size,), minval=low, maxval=high),
            b_re=b @ vectors.real,
            b_im=-b @ vectors.imag,
            c_re=vectors.real.T @ c,
            c_im=vectors.imag.T @ c,
            d=input_weights(key_d, input_size, hidden_size),
        )

    def init_carry(params, key):
        zeros = wide(params.log_step) * 0
        return complex_of(zeros, zeros)

    def step(params, s, x):
        re, im = jnp.minimum(wide(params.lambda_re), SLOWEST), wide(params.lambda_im)
        t = jnp.exp(wide(params.log_step))
        kept = polar(jnp.exp(re * t), im * t)
        driven = complex_of(x @ params.b_re, x @ params.b_im)
        s = kept * s + (kept - 1) / complex_of(re, im) * driven
        re, im = (part.astype(params.c_re.dtype) for part in (s.real, s.imag))
        return s, 2 * (re @ params.c_re - im @ params.c_im) + x @ params.d

    return Cell(init, init_carry, step)


def _hippo(half: int) -> tuple[Float[Array, " H"], Complex[Array, "2*H H"]]:
    """Imaginary parts of eigenvalues, the positive ones, and their eigenvectors, of HiPPO-N: the
    normal part of the HiPPO-LegS matrix. All real parts are -1/2, the other half are conjugates."""
    root = jnp.sqrt(2 * jnp.arange(2.0 * half) + 1)
    skew = jnp.triu(jnp.outer(root, root), 1) / 2
    turning, vectors = jnp.linalg.eigh(lax.complex(jnp.zeros_like(skew), skew.T - skew))
    return turning[half:], vectors[:, half:]
