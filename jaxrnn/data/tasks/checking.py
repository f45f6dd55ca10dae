"""Whether a researcher's own task holds what it says of itself."""

import math
from collections.abc import Iterator
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import require_one_of
from jaxrnn.data.tasks.task import Draw, Example, Metric, Task

SEQUENCES = 64
"""That are looked at."""


def require_sound(name: str, task: Task) -> None:
    """A task's lengths, chance and examples fit its description.

    Raises:
      ValueError: names the task and what does not.
    """
    for problem in _problems(task):
        raise ValueError(f"task {name}: {problem}")


def _problems(task: Task) -> Iterator[str]:
    require_one_of(get_args(Metric), metric=task.metric)
    low, high = task.train_lengths
    if not 1 <= task.shortest <= low <= high:
        yield (
            f"train_lengths are {low} and {high}; give the fewest and the most time steps, from "
            f"shortest, {task.shortest}, on"
        )
    if min(task.test_lengths, default=0) < task.shortest:
        yield f"test_lengths are {task.test_lengths}; give some, from {task.shortest} on"
    best = 1.0 if task.classifies else 0.0
    for length in task.test_lengths:
        chance = task.chance(length)
        if not math.isfinite(chance) or chance == best:
            yield (
                f"chance at length {length} is {chance}; give what the best constant answer has, "
                f"which is not {best:g}"
            )
    yield from _of_draw("draw", task, task.draw, low, high)
    yield from _of_draw("draw_test", task, task.draw_test, low, max(task.test_lengths))


def _of_draw(what: str, task: Task, draw: Draw, size: int, length: int) -> Iterator[str]:
    """Examples of `size` time steps in room for `length`."""
    keys = jax.random.split(jax.random.key(0), SEQUENCES)
    found = jax.eval_shape(lambda key: draw(key, jnp.int32(size), length), keys[0])
    if not isinstance(found, Example):
        yield f"{what} returns {type(found).__name__}; let it return an Example"
    vectors = jnp.issubdtype(found.inputs.dtype, jnp.floating)
    inputs = ((length, task.reads), "floats") if vectors else ((length,), "integers")
    targets = ((length,), "integers") if task.classifies else ((length, task.answers), "floats")
    for part, meant in zip(
        found._fields, (inputs, targets, ((length,), "truth values")), strict=True
    ):
        leaf = getattr(found, part)
        if (leaf.shape, _kind(leaf.dtype)) != meant:
            shape, kind = meant
            yield f"{part} of {what} are {leaf.dtype}{list(leaf.shape)}; give {kind} {list(shape)}"
    example = jax.device_get(
        jax.jit(jax.vmap(lambda key: draw(key, jnp.int32(size), length)))(keys)
    )
    if example.scored[:, size:].any():
        yield f"{what} scores what is behind the end; leave out places from `size` on"
    if not example.scored.any(1).all():
        yield f"{what} has sequences of {size} time steps without a scored place; score some"
    for part, read, count in (
        ("inputs", example.inputs[:, :size], task.reads),
        ("targets", example.targets[example.scored], task.answers),
    ):
        if _kind(read.dtype) == "integers" and not 0 <= read.min() <= read.max() < count:
            yield f"{part} of {what} reach from {read.min()} to {read.max()}; give 0 to {count - 1}"
        if not np.isfinite(read).all():
            yield f"{part} of {what} are not all finite; give numbers"


def _kind(dtype: Any) -> str:
    kinds = {"integers": jnp.integer, "floats": jnp.floating, "truth values": jnp.bool_}
    return next((name for name, kind in kinds.items() if jnp.issubdtype(dtype, kind)), str(dtype))
