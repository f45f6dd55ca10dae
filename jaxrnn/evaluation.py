"""The loss of a model on a text, as it is or while it goes on learning."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Integer

from jaxrnn.base import (
    Batch,
    Cell,
    Key,
    Metrics,
    Objective,
    Params,
    TrainState,
    require_positive,
)
from jaxrnn.data.streams import text_streams
from jaxrnn.gradients.bptt import bptt
from jaxrnn.optimizers import Optimizer
from jaxrnn.training import make_train_step
from jaxrnn.unroll import try_integers, unroll, unroll_last


def held_out(tokens: Integer[Array | np.ndarray, " N"], batch_size: int) -> Batch | None:
    """The tokens [N] that nothing trains on as streams side by side, at most `batch_size` of them;
    None where they are too few to predict one."""
    batch_size = min(batch_size, len(tokens) // 2)
    return Batch(*map(jnp.asarray, text_streams(tokens, batch_size))) if batch_size else None


def validation(
    cell: Cell,
    objective: Objective,
    batch: Batch | None,
    *,
    num_steps: int = 200,
) -> Callable[[Params], Metrics]:
    """The one way to a validation loss: `params -> {"valid_loss"}`, pure, the mean loss over every
    time step of `batch` [L, B, ...]; `params -> {}` where nothing is held out (None).

    `cell` is the evaluation model, which draws nothing; `num_steps` as in `evaluate`.
    """

    def validate(params):
        if batch is None:
            return {}
        key = jax.random.key(0)
        return {"valid_loss": evaluate(cell, objective, params, key, batch, num_steps=num_steps)}

    return validate


AT_ONCE = 256
"""Windows that are read side by side."""


def window_validation(
    cell: Cell,
    objective: Objective,
    tokens: Integer[Array | np.ndarray, " N"],
    *,
    num_steps: int,
) -> Callable[[Params], Metrics]:
    """As `validation`, of a model that reads windows: the mean loss of the token behind every
    window of `num_steps` of `tokens` [N], each from a carry of its own; `{}` where there is none.
    """
    tokens = jnp.asarray(tokens)
    count = len(tokens) - num_steps
    groups = -(-count // AT_ONCE)

    def validate(params):
        if count < 1:
            return {}
        # the last group is filled up, and what fills it does not count
        starts = jnp.pad(jnp.arange(count), (0, groups * AT_ONCE - count))
        keys = jax.random.split(jax.random.key(0), AT_ONCE)
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)

        def losses(starts):
            inputs = tokens[starts[None] + jnp.arange(num_steps)[:, None]]
            _, (logits,) = unroll_last(cell, params, carry, inputs, 1)
            return objective(logits, tokens[starts + num_steps])

        every = lax.map(losses, starts.reshape(groups, AT_ONCE)).ravel()
        return {"valid_loss": every[:count].mean()}

    return validate


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
      ValueError: a batch without a time step or a sequence, or whose inputs and targets differ in
        their number; what the cell or the objective refuses, such as tokens outside the vocabulary.
    """
    require_positive(num_steps=num_steps)
    length, batch_size = _size_of(batch)
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
    length, batch_size = _size_of(batch)
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


def _size_of(batch: Batch) -> tuple[int, int]:
    """(L, B); of none of either there is no mean."""
    sizes = {leaf.shape[:2] for leaf in jax.tree.leaves(batch)}
    if len(sizes) > 1 or 0 in min(sizes):
        raise ValueError(
            f"the leaves of batch have (L, B) {sorted(sizes)}; give inputs and targets of the same "
            "time steps and sequences, at least one of each"
        )
    return sizes.pop()


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
