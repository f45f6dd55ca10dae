"""Training and testing on tasks: what a model of one is, its objective and its score."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.base import (
    Batch,
    Cell,
    GradientEstimator,
    Key,
    Metrics,
    Objective,
    Params,
    PyTree,
    Y,
)
from jaxrnn.cell_files import factory_in
from jaxrnn.data.tasks import TASKS, Scored, Task
from jaxrnn.data.tasks.checking import require_sound
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import Optimizer
from jaxrnn.training import Ingredients, Training, epoch_training
from jaxrnn.unroll import unroll

TEST_KEY = 2**31 - 1
"""What test batches are drawn from; training runs have the keys of their seeds."""


def find_task(name: str) -> Task:
    """The task behind a name in `TASKS` or behind `path/to/file.py:factory`, a researcher's own,
    whose factory is called without arguments.

    Raises:
      ValueError: unknown name, no such factory in the file, one that returns no task, or one whose
        examples are not what the task says, or a file that fails when it is run.
    """
    if name in TASKS:
        return TASKS[name]()
    if task_file(name) is None:
        known = ", ".join(TASKS)
        raise ValueError(
            f"task {name!r} is not known; give one of {known}, or path/to/file.py:factory"
        )
    found = factory_in(name)()
    if not isinstance(found, Task):
        raise ValueError(
            f"{name} returns {type(found).__name__}; let it return a jaxrnn.data.tasks.Task, such "
            "as arrays(inputs, targets)"
        )
    require_sound(name, found)
    return found


def task_file(name: str) -> Path | None:
    """The researcher's own file that a task's name points to, if it does."""
    path, colon, _ = name.rpartition(":")
    return Path(path) if colon and path.endswith(".py") else None


def task_name(name: str) -> str:
    """What a task is called: its name, or that of its factory in a file."""
    return name.rpartition(":")[2]


def task_objective(task: Task) -> Objective:
    """Outputs [T, B, answers] and `Scored` targets to losses [T, B], whose mean is the mean over
    sequences of the loss at scored places: cross-entropy in nats, or squared error."""

    def objective(outputs: Y, targets: Scored) -> Array:
        if task.classifies:
            losses = cross_entropy(outputs, targets.values)
        else:
            losses = jnp.square(outputs - targets.values.astype(outputs.dtype)).mean(-1)
        weights = targets.weights.astype(losses.dtype)
        # an output that is not finite where nothing is scored must not count either
        return jnp.where(weights > 0, losses, jnp.zeros_like(losses)) * weights

    return objective


def task_score(task: Task, outputs: Y, targets: Scored) -> Float[Array, ""]:
    """Accuracy over scored places, or mean squared error, each sequence counting alike."""
    if not task.classifies:
        return task_objective(task)(outputs, targets).mean()
    right = (outputs.argmax(-1) == targets.values).astype(jnp.float32)
    return (right * targets.weights).mean()


def scaled(task: Task, score: float, length: int) -> float:
    """A score as 0 for the best constant answer and 1 where everything is right: the papers' scaled
    accuracy, and as much of the squared error as has gone."""
    chance = task.chance(length)
    best = 1.0 if task.classifies else 0.0
    return (score - chance) / (best - chance)


def task_training(
    task: Task,
    cell: Cell,
    estimator: GradientEstimator,
    optimizer: Optimizer,
    *,
    batch_size: int,
    steps_per_epoch: int,
    epochs: int,
    log_every: int | None = None,
) -> Training:
    """A training run on a task: every training step draws a batch of its own on the device, with
    lengths from the task's fewest to its most time steps.

    Args:
      cell: the training model.
      estimator: of `cell` and `task_objective(task)`, `stateless`: no batch goes on where the last
        one ended.
      optimizer: of a training step.
      batch_size: sequences of a training step.
      steps_per_epoch: after so many the model is tested.
      log_every: training steps of a chunk; an epoch where it is None.
    """

    def epoch_data(key: Key) -> Callable[[Array], Batch]:
        def batch_at(position):
            own = jax.random.fold_in(key, position)
            return task.padded(own, task.train_lengths, batch_size)

        return batch_at

    def first():
        return epoch_data(jax.random.key(0))(jnp.int32(0))

    return epoch_training(
        Ingredients(cell, task_objective(task), estimator, optimizer, first),
        epoch_data,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        epochs=epochs,
        log_every=log_every,
    )


def task_validation(
    task: Task, cell: Cell, lengths: Sequence[int], batch_size: int
) -> Callable[[Params], Metrics]:
    """`params -> {"valid_loss", "score_LENGTH", ...}`: the mean loss at the first of the lengths,
    and the score at each, always on the same sequences, `batch_size` of each length."""
    batch, objective = _test_batch(task, tuple(lengths), batch_size), task_objective(task)

    def of_length(number: int, tree: PyTree) -> PyTree:
        """The sequences of one length, [T, batch_size, ...] of [T, B, ...]."""
        some = slice(number * batch_size, (number + 1) * batch_size)
        return jax.tree.map(lambda a: a[:, some], tree)

    def validate(params):
        keys = jax.random.split(jax.random.key(0), len(lengths) * batch_size)
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
        # shorter ones are padded behind their ends, which nothing before them sees
        _, outputs = unroll(cell, params, carry, batch.inputs)
        metrics = {"valid_loss": objective(*of_length(0, (outputs, batch.targets))).mean()}
        for number, length in enumerate(lengths):
            its = of_length(number, (outputs, batch.targets))
            metrics[f"score_{length}"] = task_score(task, *its)
        return metrics

    return validate


@lru_cache(maxsize=64)
def _test_batch(task: Task, lengths: tuple[int, ...], batch_size: int) -> Batch:
    """Drawn once for all models of a task, which are many."""
    draw = jax.jit(lambda key: task.tests(key, lengths, batch_size))
    return draw(jax.random.key(TEST_KEY))
