"""From a gradient estimator and an optimizer to a training step, and from streams to a whole
training run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxrnn.base import (
    Batch,
    Cell,
    GradientEstimator,
    Key,
    Metrics,
    Objective,
    Params,
    TrainState,
    distinct,
    require_positive,
)
from jaxrnn.data.streams import Streams, num_segments, segment
from jaxrnn.optimizers import Optimizer, updates_of, with_learning_rate
from jaxrnn.rows.momentum import RowSteps


def init_state(
    cell: Cell,
    estimator: GradientEstimator,
    optimizer: Optimizer,
    key: Key,
    batch_size: int,
    learning_rate: ArrayLike | None = None,
) -> TrainState:
    """The state before the first training step; no array is in it twice, so that it can be donated.

    `learning_rate`, which may be traced, replaces the optimizer's, which has to be in its state
    (`jaxrnn.optimizers.with_learning_rate`).
    """
    require_positive(batch_size=batch_size)
    key_params, key_carry, key_training = jax.random.split(key, 3)
    params = cell.init(key_params)
    opt_state = optimizer.init(params)
    if learning_rate is not None:
        opt_state = with_learning_rate(opt_state, learning_rate)
    state = TrainState(
        params=params,
        opt_state=opt_state,
        carry=estimator.init(params, key_carry, batch_size),
        key=key_training,
        step=jnp.int32(0),
        position=jnp.int32(0),
    )
    return distinct(state)


def make_train_step(
    estimator: GradientEstimator, optimizer: Optimizer
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """One training step, a `lax.scan` body: an epoch is `lax.scan(train_step, state, batches)`.

    A batch is what the estimator takes; params may be complex, see `jaxrnn.optimizers`. Any rule
    of optax serves that asks for no more than gradients, params and the loss, `value=`. The metrics
    are the estimator's and `grad_norm`, the global norm of the gradient before clipping.
    """

    def train_step(state: TrainState, batch):
        grads, carry, metrics = estimator.estimate(state.params, state.carry, batch)
        updates, opt_state = updates_of(
            optimizer, grads, state.opt_state, state.params, metrics["loss"]
        )
        state = state._replace(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            carry=carry,
            step=state.step + 1,
            position=state.position + 1,
        )
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    return train_step


class Ingredients(NamedTuple):
    """What a training run is made of, for callbacks that observe it (TensorBoard).

    Attributes:
      cell: the model that is trained.
      objective: what it is trained on.
      estimator, optimizer: of a training step.
      batch: `() -> Batch`, always the same one, such as a training step's.
      vectors: `params -> {name: [V, ...]}`, a vector for each symbol of the vocabulary: embeddings.
    """

    cell: Cell
    objective: Objective
    estimator: GradientEstimator
    optimizer: Optimizer
    batch: Callable[[], Batch]
    vectors: Callable[[Params], dict[str, Array]] = lambda params: {}


class Training(NamedTuple):
    """A training run as two pure functions.

    Attributes:
      init: `(key, learning_rate) -> TrainState`.
      chunk: `TrainState -> (TrainState, metrics)`, the next stretch of training steps, never past
        the end of an epoch. The metrics are stacked, [steps in a chunk]; `metrics["step"]` counts
        training steps from 1 and is 0 where the epoch had no step left.
      chunks: how many chunks make the whole training run.
      steps_per_epoch: training steps of an epoch.
      ingredients: what it is made of; None where it is not to be observed.

    A whole training run is `init` and then `chunks` times `chunk`; both vmap, over keys and over
    learning rates.
    """

    init: Callable[[Key, ArrayLike], TrainState]
    chunk: Callable[[TrainState], tuple[TrainState, Metrics]]
    chunks: int
    steps_per_epoch: int
    ingredients: Ingredients | None = None


def epoch_chunk(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    estimator: GradientEstimator,
    epoch_data: Callable[[Key], Callable[[Array], Batch]],
    *,
    steps_per_epoch: int,
    batch_size: int,
    chunks_per_epoch: int,
) -> Callable[[TrainState], tuple[TrainState, Metrics]]:
    """The `chunk` of a `Training` that walks through epochs.

    Every epoch begins with fresh sequences. `epoch_data(key)` gives the epoch's batches by
    position, from a key of that epoch; it is called once per chunk.
    """
    length = -(-steps_per_epoch // chunks_per_epoch)
    fills = length * chunks_per_epoch == steps_per_epoch

    def begin_epoch(state, key):
        return state._replace(carry=estimator.init(state.params, key, batch_size))

    def chunk(state: TrainState):
        epoch = state.step // steps_per_epoch
        key_data, key_carry = jax.random.split(jax.random.fold_in(state.key, epoch))
        batch_at = epoch_data(key_data)
        state = lax.cond(state.position == 0, begin_epoch, lambda s, _: s, state, key_carry)

        def train(state):
            state, metrics = train_step(state, batch_at(state.position))
            return state, metrics | {"step": state.step}

        def rest(state):
            _, shapes = jax.eval_shape(train, state)
            return state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

        def slot(state, _):
            if fills:
                return train(state)
            return lax.cond(state.position < steps_per_epoch, train, rest, state)

        state, metrics = lax.scan(slot, state, length=length)
        return state._replace(position=state.position % steps_per_epoch), metrics

    return chunk


def epoch_training(
    ingredients: Ingredients,
    epoch_data: Callable[[Key], Callable[[Array], Any]],
    *,
    steps_per_epoch: int,
    batch_size: int,
    epochs: int,
    log_every: int | None,
    by_rows: RowSteps | None = None,
) -> Training:
    """A training run of its ingredients that walks through epochs of `epoch_data`, as `epoch_chunk`
    has it; the other arguments are those of `stream_training`."""
    cell, _, estimator, optimizer, *_ = ingredients
    log_every = steps_per_epoch if log_every is None else log_every
    require_positive(steps_per_epoch=steps_per_epoch, epochs=epochs, log_every=log_every)
    chunks_per_epoch = -(-steps_per_epoch // log_every)
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer) if by_rows is None else by_rows.train_step,
        estimator if by_rows is None else by_rows.estimator,
        epoch_data,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        chunks_per_epoch=chunks_per_epoch,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, batch_size, learning_rate)

    whole = chunk if by_rows is None else by_rows.within(chunk)
    return Training(init, whole, epochs * chunks_per_epoch, steps_per_epoch, ingredients)


def stream_training(
    cell: Cell,
    objective: Objective,
    estimator: GradientEstimator,
    optimizer: Optimizer,
    streams: Streams | Callable[[Key], Streams],
    *,
    num_steps: int,
    batch_size: int,
    epochs: int,
    history: int = 0,
    log_every: int | None = None,
    shuffled: bool = False,
    reads: Callable[[Key, Array, Batch], Any] | None = None,
    by_rows: RowSteps | None = None,
    observed: GradientEstimator | None = None,
    vectors: Callable[[Params], dict[str, Array]] = lambda params: {},
) -> Training:
    """The one way from streams to a training run: segments of `num_steps` time steps, one to a
    training step, from the streams' start to their end in every epoch.

    Args:
      cell: the training model, on which the estimator works.
      objective: what it is trained on.
      estimator, optimizer: of a training step.
      streams: [L, B, ...], which stay on the device; or `key -> Streams`, which draws those of an
        epoch.
      num_steps: T, scored time steps of a training step.
      batch_size: B, of the streams.
      epochs: how often the streams are gone through.
      history: K, time steps in front of the scored ones.
      log_every: training steps of a chunk; an epoch where it is None.
      shuffled: every epoch draws the order of its segments.
      reads: `(key of the epoch, position, batch) -> what the estimator takes`, where that is more
        than the batch.
      by_rows: the training step instead of `make_train_step`'s, see `jaxrnn.rows.row_momentum`.
      observed: the estimator that callbacks are given, where the one that trains takes more than
        a batch.
      vectors: see `Ingredients`.

    Raises:
      ValueError: sizes below 1, or streams shorter than a segment.
    """
    rows = streams if callable(streams) else _staying(streams)
    steps_per_epoch = num_segments(jax.eval_shape(rows, jax.random.key(0)), num_steps, history)

    def epoch_data(key: Key) -> Callable[[Array], Any]:
        drawn = rows(key)
        if not shuffled and reads is None:
            return lambda position: segment(drawn, position, num_steps, history)
        key_order, key_reads = jax.random.split(key)
        order = jnp.arange(steps_per_epoch)
        if shuffled:
            order = jax.random.permutation(key_order, order)

        def batch_at(position):
            batch = segment(drawn, order[position], num_steps, history)
            return batch if reads is None else reads(key_reads, position, batch)

        return batch_at

    def first():
        return segment(rows(jax.random.key(0)), jnp.int32(0), num_steps, history)

    ingredients = Ingredients(cell, objective, estimator, optimizer, first, vectors)
    training = epoch_training(
        ingredients,
        epoch_data,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        epochs=epochs,
        log_every=log_every,
        by_rows=by_rows,
    )
    if observed is None:
        return training
    return training._replace(ingredients=ingredients._replace(estimator=observed))


def _staying(streams: Streams) -> Callable[[Key], Streams]:
    """The streams of every epoch, put on the device once."""
    on_device = jax.tree.map(jnp.asarray, streams)
    return lambda key: on_device
