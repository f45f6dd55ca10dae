"""Linear oscillators as a state space model."""

from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_one_of, require_positive

Discretisation = Literal["implicit", "symplectic"]


class LinOSSParams(NamedTuple):
    """`a`, whose positive part counts, and `time_step` before its sigmoid, are of each
    oscillator."""

    a: Float[Array, " H"]
    time_step: Float[Array, " H"]
    w_ih: Float[Array, "I H"]
    w_out: Float[Array, "H H"]
    d: Float[Array, "I H"]


class LinOSSCarry(NamedTuple):
    z: Float[Array, " H"]
    y: Float[Array, " H"]


def linoss(input_size: int, hidden_size: int, discretisation: Discretisation = "implicit") -> Cell:
    """Linear oscillatory state space model; x [I] to o [H]. H oscillators y'' = -A y + u B, with
    A = relu(a) and t = sigmoid(time_step), each by its own time steps:

        z' = S (z - t A y + t x B)
        y' = y + t z'
        o = y' C + x D

    S is 1 / (1 + t^2 A) where discretisation is "implicit" (LinOSS-IM): all of it fades; and 1
    where it is "symplectic" (LinOSS-IMEX): nothing does, it swings on for ever. The carry is (z
    [H], y [H]), zero at first: how fast an oscillator moves, and where it is.

    Reference: Rusch and Rus (2024), https://arxiv.org/abs/2410.03943, sections 2.1 and 2.2, with
    first values as in the authors' code (github.com/tk-rusch/linoss): a and sigmoid^-1(t) evenly
    from 0 to 1, B and C evenly within one by the root of how many numbers they read. B and C are
    real as in the paper, complex in its code; D is a matrix, where the paper's has one number a
    channel. Without the block around it (GELU and a gated linear unit).
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    require_one_of(get_args(Discretisation), discretisation=discretisation)

    def init(key):
        key_a, key_time, key_input, key_output, key_past = jax.random.split(key, 5)
        return LinOSSParams(
            a=jax.random.uniform(key_a, (hidden_size,)),
            time_step=jax.random.uniform(key_time, (hidden_size,)),
            w_ih=_even(key_input, input_size, hidden_size),
            w_out=_even(key_output, hidden_size, hidden_size),
            d=_even(key_past, input_size, hidden_size),
        )

    def init_carry(params, key):
        zeros = partial(jnp.zeros, hidden_size, params.a.dtype)
        return LinOSSCarry(z=zeros(), y=zeros())

    def step(params, carry, x):
        z, y = carry
        a, t = jax.nn.relu(params.a), jax.nn.sigmoid(params.time_step)
        z = z - t * a * y + t * (x @ params.w_ih)
        if discretisation == "implicit":
            z = z / (1 + t**2 * a)
        y = y + t * z
        return LinOSSCarry(z, y), y @ params.w_out + x @ params.d

    return Cell(init, init_carry, step)


def _even(key, rows, columns):
    return jax.random.uniform(key, (rows, columns), minval=-1.0, maxval=1.0) / rows**0.5
