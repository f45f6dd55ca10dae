"""How gradients flow back through the carry: by lag, and in the long run."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxrnn.analysis.activations import count_time_steps
from jaxrnn.analysis.vectors import from_vector, to_vector
from jaxrnn.base import Carry, Cell, Key, Params, X, require_positive


class Flow(NamedTuple):
    """The derivative of the carry to earlier carries, by lag.

    Attributes:
      norm: [N, L + 1], Frobenius norm, of lags 0 (the identity) to L.
      singular_values: [N, L + 1, S], the largest ones, in descending order.
    """

    norm: Float[Array, "N L+1"]
    singular_values: Float[Array, "N L+1 S"]


def gradient_flow(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: X,
    *,
    ends: Sequence[int],
    lags: int,
    singular_values: int = 0,
) -> Flow:
    """The size of d carry_t / d carry_(t-k) along one example, for k = 0 to L.

    The matrix [C, C] of all numbers of the carry goes back step by step from each end, as C
    cotangents: N times L times C backward steps, and a singular value decomposition for each lag
    where singular values are wanted. What only the outputs depend on is no part of it.

    Args:
      cell: any cell, whole models included.
      params: its parameters.
      carry: of one example, before the first time step.
      xs: leaves [T, ...].
      ends: N time steps t, from 0; carry_t is the one after time step t, carry_-1 the one given.
      lags: L, at most the first end + 1.
      singular_values: S, how many to give; 0 saves the time.

    Raises:
      ValueError: an end outside xs, lags that reach back behind the given carry, more singular
        values than the carry has numbers.
    """
    steps = count_time_steps("xs", xs)
    require_positive(lags=lags)
    if not len(ends) or not 0 <= min(ends) <= max(ends) < steps:
        raise ValueError(f"ends is {ends!r}; give time steps from 0 to {steps - 1}")
    if lags > min(ends) + 1:
        raise ValueError(
            f"lags is {lags}, the first of ends {min(ends)}; give at most {min(ends) + 1}"
        )
    size, dtype = to_vector(carry).size, to_vector(carry).dtype
    if not 0 <= singular_values <= size:
        raise ValueError(f"singular_values is {singular_values}; give 0 to {size}")
    _, before = lax.scan(lambda c, x: (cell.step(params, c, x)[0], c), carry, xs)

    def sizes(matrix):
        if not singular_values:
            return jnp.sqrt((matrix**2).sum()), jnp.zeros(0, matrix.dtype)
        found = jnp.linalg.svd(matrix, compute_uv=False)[:singular_values]
        return jnp.sqrt((matrix**2).sum()), found

    def from_end(end):
        def back(matrix, lag):
            at = end - lag
            here, x = jax.tree.map(lambda a: a[at], (before, xs))
            _, pull = jax.vjp(lambda vector: _next(cell, params, vector, here, x), to_vector(here))
            matrix = jax.vmap(lambda row: pull(row)[0])(matrix)
            return matrix, sizes(matrix)

        identity = jnp.eye(size, dtype=dtype)
        _, later = lax.scan(back, identity, jnp.arange(lags))
        first = sizes(identity)
        return jax.tree.map(lambda a, rest: jnp.concatenate([a[None], rest]), first, later)

    return Flow(*lax.map(from_end, jnp.asarray(np.array(ends))))


def lyapunov_exponents(
    cell: Cell,
    params: Params,
    carry: Carry,
    xs: X,
    key: Key,
    *,
    count: int = 1,
    warm_up: int = 0,
) -> Float[Array, " count"]:
    """The largest Lyapunov exponents along one example, in nats per time step.

    The rates at which small differences between carries grow, the fastest first: `count`
    orthogonal directions, drawn from `key`, go forward with the step's derivative and are made
    orthogonal again after each time step (QR); an exponent is the mean logarithm of what that
    divides by. Above 0 small differences grow, and below 0 errors vanish in the backward
    pass; minus infinity means that a direction is lost within a step.

    Args:
      count: at most the numbers in the carry.
      warm_up: time steps at the start, where the directions still turn to the fastest ones, that
        do not count.
      cell, params, carry, xs: as in `gradient_flow`.

    Reference: Benettin et al. (1980), https://doi.org/10.1007/BF02128236; for recurrent networks
    Engelken et al. (2023), https://doi.org/10.1103/PhysRevResearch.5.043044

    Raises:
      ValueError: a count outside the carry's numbers, or a warm-up that leaves no time step.
    """
    steps = count_time_steps("xs", xs)
    size, dtype = to_vector(carry).size, to_vector(carry).dtype
    if not 1 <= count <= size:
        raise ValueError(f"count is {count}; give 1 to {size}, the numbers in the carry")
    if not 0 <= warm_up < steps:
        raise ValueError(f"warm_up is {warm_up}; give 0 to {steps - 1}, fewer than time steps")

    def forward(walk, x):
        carry, directions = walk
        here = carry
        _, push = jax.linearize(lambda v: _next(cell, params, v, here, x), to_vector(carry))
        directions, upper = jnp.linalg.qr(jax.vmap(push, 1, 1)(directions))
        carry, _ = cell.step(params, carry, x)
        return (carry, directions), jnp.log(jnp.abs(jnp.diagonal(upper)))

    directions, _ = jnp.linalg.qr(jax.random.normal(key, (size, count), dtype))
    _, growth = lax.scan(forward, (carry, directions), xs)
    return growth[warm_up:].mean(0)


def _next(cell: Cell, params: Params, vector: Float[Array, " C"], here: Carry, x: X):
    """The numbers of the carry after a step, from those before; `here` has what is no number."""
    return to_vector(cell.step(params, from_vector(vector, here), x)[0])
