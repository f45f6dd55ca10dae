"""Recurrent trace units."""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import Cell, require_one_of, require_positive
from jaxrnn.cells.complex_parts import wide
from jaxrnn.cells.weights import input_weights

Nonlinearity = Literal["behind", "inside"]


class RTUParams(NamedTuple):
    """nu and theta behind a logarithm; columns of `w_ih` in the order of the two halves of h, and
    so the rows of `w_out`."""

    nu: Float[Array, " H"]
    theta: Float[Array, " H"]
    w_ih: Float[Array, "I 2*H"]
    w_out: Float[Array, "2*H H"]


class RTUCarry(NamedTuple):
    h_1: Float[Array, " H"]
    h_2: Float[Array, " H"]


def rtu(input_size: int, hidden_size: int, nonlinearity: Nonlinearity = "behind") -> Cell:
    """Recurrent trace units; x [I] to y [H]. Of each unit, r = exp(-exp(nu)), angle = exp(theta):

        h_1' = r cos(angle) h_1 - r sin(angle) h_2 + sqrt(1 - r^2) x W_1
        h_2' = r cos(angle) h_2 + r sin(angle) h_1 + sqrt(1 - r^2) x W_2
        y = [relu(h_1'), relu(h_2')] W_out

    A unit is one complex number that is turned and shortened, in real ones: nothing but itself goes
    into it, so influences that are carried along are few (`rtrl`). Where nonlinearity is "inside",
    h_1' and h_2' are the relu of what stands there, and y reads them as they are. The carry is (h_1
    [H], h_2 [H]), zero at first. r begins between 0 and 1, evenly over the disc, and the angle
    evenly up to a full turn, as in `lru`.

    Reference: Elelimy et al. (2024), https://arxiv.org/abs/2409.01449: linear RTUs, and with the
    relu inside nonlinear ones. There the next layer reads h_1' and h_2', 2 H numbers, where W_out
    makes H of them.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    require_one_of(get_args(Nonlinearity), nonlinearity=nonlinearity)

    def init(key):
        key_radius, key_angle, key_input, key_output = jax.random.split(key, 4)
        # not the ends themselves, where logarithms end
        area, turn = (
            jax.random.uniform(k, (hidden_size,), minval=1e-4, maxval=1 - 1e-4)
            for k in (key_radius, key_angle)
        )
        return RTUParams(
            nu=jnp.log(-0.5 * jnp.log(area)),
            theta=jnp.log(2 * math.pi * turn),
            w_ih=input_weights(key_input, input_size, hidden_size, gates=2),
            w_out=input_weights(key_output, 2 * hidden_size, hidden_size),
        )

    def init_carry(params, key):
        return RTUCarry(h_1=jnp.zeros_like(params.nu), h_2=jnp.zeros_like(params.nu))

    def step(params, carry, x):
        log_r, angle = -jnp.exp(wide(params.nu)), jnp.exp(wide(params.theta))
        ahead, across = jnp.exp(log_r) * jnp.cos(angle), jnp.exp(log_r) * jnp.sin(angle)
        # sqrt(1 - r^2) from the logarithm: r itself is rounded to 1 long before
        from_x = jnp.sqrt(-jnp.expm1(2 * log_r))
        ahead, across, from_x = (a.astype(params.nu.dtype) for a in (ahead, across, from_x))
        x_1, x_2 = jnp.split(x @ params.w_ih, 2)
        h_1 = ahead * carry.h_1 - across * carry.h_2 + from_x * x_1
        h_2 = ahead * carry.h_2 + across * carry.h_1 + from_x * x_2
        seen_1, seen_2 = jax.nn.relu(h_1), jax.nn.relu(h_2)
        carry = RTUCarry(h_1, h_2) if nonlinearity == "behind" else RTUCarry(seen_1, seen_2)
        return carry, jnp.concatenate([seen_1, seen_2]) @ params.w_out

    return Cell(init, init_carry, step)
