"""Momentum that leaves alone what a batch does not read.

With momentum a row goes on moving after its last gradient, so a plain update reads and writes every
table from end to end. But how it moves without a gradient is known:

    v' = m v        k steps:  v_k = m^k v
    w' = w - r v'             w_k = w - r (m + ... + m^k) v

So a row is brought up to date when it is read, and all of them at the end of a chunk: outside, the
state is that of the plain optimizer, to rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrnn.base import Cell, GradientEstimator, Metrics, Params, TrainState
from jaxrnn.optimizers import Optimizer, updates_of
from jaxrnn.rows.layout import layout_of, leaves_of, rows_of, with_leaves, without
from jaxrnn.rows.narrowing import Narrowed, Rows
from jaxrnn.swept import own


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
    train_step: Callable[[TrainState, Any], tuple[TrainState, Metrics]]
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
    momentum = own(momentum)
    layout = layout_of(cell, tables)

    def current(state: TrainState, rows: Rows) -> tuple[Params, Params]:
        """Params and velocities with these rows of the tables, brought up to date."""
        rate = optax.tree.get(state.opt_state, "learning_rate")
        weights, velocities = {}, {}
        for name, table in state.params.tables.items():
            numbers, seen = table.numbers[rows[name]], table.seen[rows[name]]
            kept = jnp.power(momentum, (state.step - seen).astype(numbers.dtype))[:, None]
            w, v = numbers[:, 0], numbers[:, 1]
            weights[name] = w - rate * momentum * (1 - kept) / (1 - momentum) * v
            velocities[name] = kept * v
        trace = optax.tree.get(state.opt_state, "trace")
        return (
            with_leaves(state.params.rest, leaves_of(layout, weights)),
            with_leaves(trace, leaves_of(layout, velocities)),
        )

    def train_step(state: TrainState, batch: Narrowed):
        params, trace = current(state, batch.rows)
        grads, carry, metrics = estimator.estimate(params, state.carry, batch.batch)
        opt_state = optax.tree.set(state.opt_state, trace=trace)
        updates, opt_state = updates_of(optimizer, grads, opt_state, params, metrics["loss"])
        params, trace = optax.apply_updates(params, updates), optax.tree.get(opt_state, "trace")
        written = {
            name: _write(
                table, batch.rows[name], _side_by_side(params, trace, name), state.step + 1
            )
            for name, table in state.params.tables.items()
        }
        state = state._replace(
            params=Opened(without(layout, params), written),
            opt_state=optax.tree.set(opt_state, trace=without(layout, trace)),
            carry=carry,
            step=state.step + 1,
            position=state.position + 1,
        )
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    def open_tables(state: TrainState) -> TrainState:
        trace = optax.tree.get(state.opt_state, "trace")
        opened = {}
        for name in tables:
            numbers = _side_by_side(state.params, trace, name)
            opened[name] = Table(numbers, jnp.full(len(numbers), state.step))
        return state._replace(
            params=Opened(without(layout, state.params), opened),
            opt_state=optax.tree.set(state.opt_state, trace=without(layout, trace)),
        )

    def close_tables(state: TrainState) -> TrainState:
        every = {name: jnp.arange(len(t.seen)) for name, t in state.params.tables.items()}
        params, trace = current(state, every)
        return state._replace(params=params, opt_state=optax.tree.set(state.opt_state, trace=trace))

    def init(opened: Opened, key, batch_size):
        # a carry begins with what is learnt of it, and no word's row is
        none = {name: table.numbers[:1, 0] for name, table in opened.tables.items()}
        return estimator.init(with_leaves(opened.rest, leaves_of(layout, none)), key, batch_size)

    def within(chunk):
        def plain(state: TrainState):
            state, metrics = chunk(open_tables(state))
            return close_tables(state), metrics

        return plain

    return RowSteps(estimator._replace(init=init), train_step, within)


def _side_by_side(params: Params, trace: Params, table: str) -> Float[Array, "U 2 E"]:
    return jnp.stack([rows_of(params, table), rows_of(trace, table)], axis=1)


def _write(table: Table, rows: Int[Array, " U"], numbers: Float[Array, "U 2 E"], step) -> Table:
    # what stands for no row is out of bounds, and dropped
    return Table(
        table.numbers.at[rows].set(numbers, mode="drop"),
        table.seen.at[rows].set(step, mode="drop"),
    )
