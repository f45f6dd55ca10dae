"""Complex numbers in a cell whose params are real ones."""

import jax
import jax.numpy as jnp
from jax import lax


def wide(a: jax.Array) -> jax.Array:
    """As wide as the parts of a complex number are: at least 32 bits."""
    return a.astype(jnp.float32) if a.dtype.itemsize < 4 else a


def complex_of(re: jax.Array, im: jax.Array) -> jax.Array:
    return lax.complex(wide(re), wide(im))


def polar(radius: jax.Array, phase: jax.Array) -> jax.Array:
    return complex_of(radius * jnp.cos(phase), radius * jnp.sin(phase))
