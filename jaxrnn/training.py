"""From a gradient estimator and an optimizer to a training step; and the loss of a model on a
text, as it is or while it goes on learning."""

from collections.abc import Callable
from typing import NamedTuple

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
from jaxrnn.gradients.bptt import bptt
from jaxrnn.optimizers import Optimizer, updates_of, with_learning_rate
from jaxrnn.unroll import try_integers, unroll


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


class Parts(NamedTuple):
    """What a training is made of, for those who look into it (TensorBoard).

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
    """What an experiment's `make_train(config)` returns: a training as two pure functions.

    Attributes:
      init: `(key, learning_rate) -> TrainState`.
      chunk: `TrainState -> (TrainState, metrics)`, the next stretch of training steps, never past
        the end of an epoch. The metrics are stacked, [steps in a chunk]; `metrics["step"]` counts
        training steps from 1 and is 0 where the epoch had no step left.
      chunks: how many chunks make the whole training.
      steps_per_epoch: training steps of an epoch.
      parts: what it is made of; None where nobody may look into it.

    A whole training is `init` and then `chunks` times `chunk`; both vmap, over keys and over
    learning rates.
    """

    init: Callable[[Key, ArrayLike], TrainState]
    chunk: Callable[[TrainState], tuple[TrainState, Metrics]]
    chunks: int
    steps_per_epoch: int
    parts: Parts | None = None


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


def evaluate(
    cell: Cell,
    objective: Objective,
    params: Params,
    key: Key,
    batch: Batch,
    *,
    num_steps: int = 200,
) -> Array:
    """Mean loss over every time step of `batch` [L, B, ...], each sequence unrolled once from its
    start.

    The sequences are walked in stretches of `num_steps`, so that memory does not grow with L.
    `cell` is the evaluation model (`training=False`).

    Raises:
      ValueError: what the cell or the objective refuses, such as tokens outside the vocabulary.
    """
    require_positive(num_steps=num_steps)
    length, batch_size = jax.tree.leaves(batch.targets)[0].shape[:2]
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(key, batch_size))
    try_integers(_with_losses(cell, objective), params, carry, (batch.inputs, batch.targets))

    def add(carry, part: Batch):
        carry, outputs = unroll(cell, params, carry, part.inputs)
        return carry, objective(outputs, part.targets).sum()

    stretches, rest = _stretches(batch, num_steps)
    carry, sums = lax.scan(add, carry, stretches)
    total = sums.sum()
    if length % num_steps:
        total += add(carry, rest)[1]
    return total / (length * batch_size)


def dynamic_evaluate(
    cell: Cell,
    objective: Objective,
    optimizer: Optimizer,
    params: Params,
    key: Key,
    batch: Batch,
    *,
    num_steps: int = 50,
) -> Array:
    """Mean loss over every time step of `batch` [L, B, ...] of a model that goes on learning from
    what it was tested on.

    The losses of each stretch of `num_steps` are taken before it is learnt, by one training step
    on them alone: no target has a part in its own prediction. With B above 1 all sequences share
    the params, so that one learns from another's earlier stretches too; B = 1 is a text read from
    its start to its end. `params` are not changed. `cell` is the evaluation model.

    Reference: Mikolov et al. (2010), https://doi.org/10.21437/Interspeech.2010-343; Krause et al.
    (2018), https://arxiv.org/abs/1709.07432, whose rule the optimizer need not be.
    """
    require_positive(num_steps=num_steps)
    length, batch_size = jax.tree.leaves(batch.targets)[0].shape[:2]
    estimator = bptt(cell, objective)
    train_step = make_train_step(estimator, optimizer)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(key, batch_size))
    try_integers(_with_losses(cell, objective), params, carry, (batch.inputs, batch.targets))
    state = TrainState(
        params=params,
        opt_state=optimizer.init(params),
        carry=estimator.init(params, key, batch_size),
        key=key,
        step=jnp.int32(0),
        position=jnp.int32(0),
    )

    def learn(state, part: Batch):
        state, metrics = train_step(state, part)
        return state, metrics["loss"]

    stretches, rest = _stretches(batch, num_steps)
    state, losses = lax.scan(learn, state, stretches)
    total = losses.sum() * num_steps
    if length % num_steps:
        total += learn(state, rest)[1] * (length % num_steps)
    return total / length


def _with_losses(cell: Cell, objective: Objective) -> Cell:
    """`cell` on (input, target), with the loss as its output."""

    def step(params, carry, x):
        carry, output = cell.step(params, carry, x[0])
        # objectives may count on axes of time and batch
        output = jax.tree.map(lambda a: a[None, None], output)
        with jax.ensure_compile_time_eval():  # what is known stays known
            target = jax.tree.map(lambda a: a[None, None], x[1])
        return carry, objective(output, target)

    return cell._replace(step=step)


def _stretches(batch: Batch, num_steps: int) -> tuple[Batch, Batch]:
    """The whole stretches of a batch [L, B, ...], [L // num_steps, num_steps, B, ...], and what is
    left behind them, [L % num_steps, B, ...]."""
    length = len(jax.tree.leaves(batch.targets)[0])
    whole = length // num_steps
    end = whole * num_steps
    cut = jax.tree.map(lambda a: a[:end].reshape((whole, num_steps, *a.shape[1:])), batch)
    return cut, jax.tree.map(lambda a: a[end:], batch)
