"""How fast a cell is beside gru and lstm: the gradient of an unroll, as training steps take it."""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrnn.cells import CELLS, CellFactory
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.unroll import unroll

OWN, PEERS = "this cell", ("gru", "lstm")
BATCH_SIZE, NUM_STEPS, HIDDEN_SIZE = 32, 100, 128
LEAST_TURNS = 3


def milliseconds(factory: CellFactory, seconds: float) -> dict[str, float]:
    """The median time of a gradient of the cell (`OWN`) and of each of `PEERS`, taken in turns
    for about `seconds` after compiling, at least three times.

    Inputs are as wide as the carry, batch and time as usual in training; the gradients are those of
    the sum of all squared outputs, to params and inputs.
    """
    factories = {OWN: factory} | {name: CELLS[name] for name in PEERS}
    calls = {name: _gradient(made) for name, made in factories.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[OWN]) < LEAST_TURNS:
        for name, call in calls.items():
            call()  # the caches are as this cell left them
            start = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def _gradient(factory: CellFactory) -> Callable[[], object]:
    """Compiled, and called once."""
    cell = factory(HIDDEN_SIZE, HIDDEN_SIZE)
    keys = jax.random.split(jax.random.key(0), 2 + BATCH_SIZE)
    params = jax.tree.map(jnp.asarray, cell.init(keys[0]))
    carry = jax.vmap(cell.init_carry, (None, 0))(params, keys[2:])
    xs = jax.random.normal(keys[1], (NUM_STEPS, BATCH_SIZE, HIDDEN_SIZE))
    leaves, tree = jax.tree.flatten(params)
    floats = [leaf for leaf in leaves if is_float(leaf)]

    def loss(floats, xs):
        rest = iter(floats)
        params = tree.unflatten(next(rest) if is_float(leaf) else leaf for leaf in leaves)
        _, ys = unroll(cell, params, carry, xs)
        # squares, so that the gradient differs from one output to another
        return sum(jnp.sum(jnp.abs(y) ** 2) for y in jax.tree.leaves(ys) if is_float(y))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))

    def call():
        return jax.block_until_ready(gradient(floats, xs))

    call()
    return call
