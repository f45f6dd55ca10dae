"""Cells whose memory is known in closed form."""

import jax
import jax.numpy as jnp

from jaxrnn import Cell


def delay(lag: int) -> Cell:
    """y is the x of `lag` time steps ago, times w; x [I] to y [I], with one number in w."""
    return Cell(
        init=lambda key: {"w": jnp.float32(1.5)},
        init_carry=lambda params, key: jnp.zeros((lag, 3)),
        step=lambda params, carry, x: (
            jnp.concatenate([carry[1:], x[None]]),
            params["w"] * carry[0],
        ),
    )


def linear_cell(matrix: jax.Array) -> Cell:
    """c' = c A + x, y = c'."""

    def step(params, carry, x):
        carry = carry @ matrix + x
        return carry, carry

    return Cell(lambda key: (), lambda params, key: jnp.zeros(len(matrix)), step)


def counter() -> Cell:
    """c' = c + w x, y = c': forgets nothing."""

    def step(w, carry, x):
        carry = carry + w * x
        return carry, carry

    return Cell(lambda key: jnp.float32(0.5), lambda params, key: jnp.float32(0), step)
