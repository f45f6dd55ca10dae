"""Momentum that leaves alone what a batch does not read.

With momentum a row goes on moving after its last gradient, so a plain update reads and writes every
table from end to end. But how it moves without a gradient is known:

    v' = m v        k steps:  v_k = m^k v
    w' = w - r v'             w_k = w - r (m + ... + m^k) v

So a row is brought up to date when it is read, and all of them at the end of a chunk: outside, the
state is that of the plain optimizer, to rounding.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrnn.base import (
    Cell,
    GradientEstimator,
    Metrics,
    Params,
    TrainState,
    named_leaves,
    path_name,
)
from jaxrnn.optimizers import Optimizer
from jaxrnn.rows.narrowing import TABLES, Narrowed, axes_of


class Table(NamedTuple):
    """Rows of a table, each as it was after `seen` training steps.

    Attributes:
      numbers: weights and velocities, [V, 2, E].
      seen: [V].
    """

    numbers: Float[Array, "V 2 E"]
    seen: Int[Array, " V"]


class Opened(NamedTuple):
    """In the place of params while a chunk runs: they, without the leaves that are in tables."""

    rest: Params
    tables: dict[str, Table]


class RowSteps(NamedTuple):
    """Training steps by rows.

    Attributes:
      estimator: for the beginning of an epoch inside a chunk.
      train_step: on states whose tables are opened, and batches that are `Narrowed`.
      within: a chunk of such steps to one on plain states.
    """

    estimator: GradientEstimator
    train_step: Callable[[TrainState, Narrowed], tuple[TrainState, Metrics]]
    within: Callable[
        [Callable[[TrainState], tuple[TrainState, Metrics]]],
        Callable[[TrainState], tuple[TrainState, Metrics]],
    ]


def row_momentum(
    cell: Cell,
    estimator: GradientEstimator,
    optimizer: Optimizer,
    momentum: float,
    tables: tuple[str, ...],
) -> RowSteps:
    """The training step of `estimator` and `optimizer`, at a cost that does not grow with V.

    Args:
      cell: with the tables among its params.
      estimator: on narrowed params and batches.
      optimizer: `clipped_momentum`; its learning rate is what its state says.
      momentum: that of the optimizer, at least 0 and below 1.
      tables: names in `TABLES`, those that every batch is narrowed to.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; give at least 0 and less than 1")
    axes = axes_of(dict.fromkeys(tables))
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    shapes = {name: leaf.shape for name, leaf in named_leaves(shapes).items() if name in axes}

    def without(tree):
        return jax.tree.map_with_path(lambda p, a: () if path_name(p) in axes else a, tree)

    def whole(rest, leaves):
        """`rest` with the leaves that it lacks."""

        def fill(path, leaf):
            return leaves.get(path_name(path), leaf)

        return jax.tree.map_with_path(fill, rest, is_leaf=lambda a: isinstance(a, tuple) and not a)

    def rows_of(tree, table):
        """The leaves of a table side by side, [V, E]."""
        leaves = named_leaves(tree)
        parts = [jnp.moveaxis(leaves[name], axis, 0) for name, axis in TABLES[table].items()]
        return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def leaves_of(rows, table):
        """The way back, of any number of rows."""
        leaves, start = {}, 0
        for name, axis in TABLES[table].items():
            others = shapes[name][:axis] + shapes[name][axis + 1 :]
            end = start + math.prod(others)
            part = rows[:, start:end].reshape(-1, *others)
            leaves[name], start = jnp.moveaxis(part, 0, axis), end
        return leaves

    def current(table: Table, places, step, rate):
        """Rows brought up to date, [U, 2, E]."""
        numbers, seen = table.numbers[places], table.seen[places]
        kept = jnp.power(momentum, (step - seen).astype(numbers.dtype))[:, None]
        weights, velocity = numbers[:, 0], numbers[:, 1]
        weights -= rate * momentum * (1 - kept) / (1 - momentum) * velocity
        return jnp.stack([weights, kept * velocity], axis=1)

    def narrowed_trees(state, rows):
        """Params and velocities, narrowed."""
        rate = optax.tree.get(state.opt_state, "learning_rate")
        numbers = {
            name: current(table, rows[name], state.step, rate)
            for name, table in state.params.tables.items()
        }
        trees = (state.params.rest, optax.tree.get(state.opt_state, "trace"))
        return tuple(
            whole(
                tree, {k: v for t, n in numbers.items() for k, v in leaves_of(n[:, i], t).items()}
            )
            for i, tree in enumerate(trees)
        )

    def open_tables(state: TrainState) -> TrainState:
        trace = optax.tree.get(state.opt_state, "trace")
        opened = {}
        for name in tables:
            numbers = jnp.stack([rows_of(tree, name) for tree in (state.params, trace)], axis=1)
            opened[name] = Table(numbers, jnp.full(len(numbers), state.step))
        return state._replace(
            params=Opened(without(state.params), opened),
            opt_state=optax.tree.set(state.opt_state, trace=without(trace)),
        )

    def close_tables(state: TrainState) -> TrainState:
        every = {name: jnp.arange(len(t.seen)) for name, t in state.params.tables.items()}
        params, trace = narrowed_trees(state, every)
        return state._replace(params=params, opt_state=optax.tree.set(state.opt_state, trace=trace))

    def train_step(state: TrainState, batch: Narrowed):
        params, trace = narrowed_trees(state, batch.rows)
        grads, carry, metrics = estimator.estimate(params, state.carry, batch.batch)
        opt_state = optax.tree.set(state.opt_state, trace=trace)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        trace = optax.tree.get(opt_state, "trace")
        written = {
            name: _write(
                table,
                batch.rows[name],
                jnp.stack([rows_of(tree, name) for tree in (params, trace)], axis=1),
                state.step + 1,
            )
            for name, table in state.params.tables.items()
        }
        state = state._replace(
            params=Opened(without(params), written),
            opt_state=optax.tree.set(opt_state, trace=without(trace)),
            carry=carry,
            step=state.step + 1,
            position=state.position + 1,
        )
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    def init(opened: Opened, key, batch_size):
        # a carry begins with what is learnt of it, and no word's row is
        nothing = {name: jnp.zeros((1, *t.numbers.shape[2:])) for name, t in opened.tables.items()}
        leaves = {k: v for name, rows in nothing.items() for k, v in leaves_of(rows, name).items()}
        return estimator.init(whole(opened.rest, leaves), key, batch_size)

    def within(chunk):
        def plain(state: TrainState):
            state, metrics = chunk(open_tables(state))
            return close_tables(state), metrics

        return plain

    return RowSteps(estimator._replace(init=init), train_step, within)


def _write(table: Table, places, numbers, step) -> Table:
    # what stands for no row is out of bounds, and dropped
    return Table(
        table.numbers.at[places].set(numbers, mode="drop"),
        table.seen.at[places].set(step, mode="drop"),
    )
