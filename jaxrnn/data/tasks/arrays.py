"""A task from a user's own arrays."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxrnn.base import Key
from jaxrnn.data.tasks.task import Example, Task, answered, constantly, places

UNKNOWN = float("nan")
LEAST = 1e-9
"""Below this part of what there is an error is one of rounding."""


class _Examples(NamedTuple):
    """[N, T, ...], [N, T, ...] and [N], of which the first are for training or for testing."""

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray


def arrays(
    inputs: ArrayLike,
    targets: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    held_out: float = 0.2,
) -> Task:
    """Sequences that lie in arrays, as classification or regression; of a file
    `arrays(**numpy.load("data.npz"))`, whose names are those of the arguments.

    Args:
      inputs: tokens [N, T] as integers, or numbers [N, T] or [N, T, I] as floats.
      targets: classes as integers, or numbers as floats: [N, T, ...] has an answer for each time
        step, any other shape [N, ...] one for each sequence, asked for at its last time step.
      lengths: [N], how many time steps of each sequence count; what stands behind is of no
        account, NaN included. None: all of them.
      held_out: the part of the sequences, at the end, that is for testing alone.

    A sequence is drawn anew, with replacement, for each place in a batch. A batch with less room
    than a sequence has holds its beginning.

    Raises:
      ValueError: shapes that do not fit together, what is neither integers nor floats, lengths
        outside 1 to T, negative tokens or classes, numbers that are not finite, too few sequences,
        or held-out ones whose answers are all those of the best constant answer.
    """
    xs, ys = _of_numbers("inputs", inputs), _of_numbers("targets", targets)
    if xs.ndim not in (2, 3) or (xs.ndim == 3 and np.issubdtype(xs.dtype, np.integer)):
        raise ValueError(
            f"inputs are {xs.dtype}{list(xs.shape)}; give tokens [N, T], or numbers [N, T, I]"
        )
    for name, a in (("inputs", xs), ("targets", ys)):
        if 0 in a.shape[1:]:
            raise ValueError(f"{name} have shape {list(a.shape)}; give at least one number to each")
    count, room = xs.shape[:2]
    ends = np.full(count, room) if lengths is None else np.asarray(lengths)
    if ends.shape != (count,) or not np.issubdtype(ends.dtype, np.integer):
        raise ValueError(f"lengths are {ends.dtype}{list(ends.shape)}; give {count} whole numbers")
    if ends.min(initial=1) < 1 or ends.max(initial=1) > room:
        raise ValueError(f"lengths reach from {ends.min()} to {ends.max()}; give 1 to {room}")
    if not ys.ndim or len(ys) != count:
        raise ValueError(f"targets have shape {list(ys.shape)}; give one entry to each of {count}")
    tested = round(count * held_out) if 0 < held_out < 1 else 0
    if not 0 < tested < count:
        raise ValueError(
            f"held_out is {held_out}, {tested} of {count} sequences; leave some for each side"
        )
    every = ys.shape[:2] == (count, room)
    if not every:
        ys = np.repeat(ys[:, None], room, axis=1)
    inside = np.arange(room) < ends[:, None]
    classes = np.issubdtype(ys.dtype, np.integer)
    xs = _plain("inputs", xs, inside, tokens=np.issubdtype(xs.dtype, np.integer))
    ys = _plain("targets", ys, inside, tokens=bool(classes))
    if classes and ys.ndim > 2:
        raise ValueError(f"targets have shape {list(ys.shape)}; give one class to an answer")
    whole = _Examples(xs, ys, ends.astype(np.int32))
    train, test = (
        _Examples(*(a[part] for a in whole)) for part in (slice(-tested), slice(-tested, None))
    )
    longest = int(ends.max())
    chance = _constant(train, test, every)
    left = 1 - chance(longest) if classes else chance(longest)
    if left <= LEAST * (1.0 if classes else np.square(test.targets, dtype=float).mean()):
        raise ValueError(
            f"targets of the {tested} held-out sequences are all what the best constant answer is, "
            "so that nothing can be learnt; shuffle the sequences, or give other targets"
        )
    return Task(
        draw=partial(_draw, train, every),
        draw_test=partial(_draw, test, every),
        reads=int(xs.max()) + 1 if xs.ndim == 2 else xs.shape[2],
        answers=int(ys.max()) + 1 if classes else ys.shape[2],
        metric="accuracy" if classes else "mean squared error",
        chance=chance,
        floor=constantly(UNKNOWN),
        shortest=1,
        train_lengths=(longest, longest),
        test_lengths=(longest,),
    )


def _of_numbers(name: str, given: ArrayLike) -> np.ndarray:
    a = np.asarray(given)
    if not any(jnp.issubdtype(a.dtype, kind) for kind in (jnp.integer, jnp.floating)):
        raise ValueError(
            f"{name} are {a.dtype}{list(a.shape)}; give integers or floats, of truth values "
            "a.astype(int), of names numpy.unique(a, return_inverse=True)[1]"
        )
    return a


def _draw(examples: _Examples, every: bool, key: Key, size, length: int) -> Example:
    chosen = jax.random.randint(key, (), 0, len(examples.lengths), jnp.int32)
    inputs, targets = (
        jnp.asarray(_with_room(each, length))[chosen]
        for each in (examples.inputs, examples.targets)
    )
    end = jnp.minimum(jnp.asarray(examples.lengths)[chosen], size)
    at = places(length).reshape(-1, *(1,) * (inputs.ndim - 1))
    inputs = jnp.where(at < end, inputs, jnp.zeros_like(inputs))
    return Example(inputs, targets, answered(every, end, length))


def _with_room(a: np.ndarray, length: int) -> np.ndarray:
    """[N, length, ...]: cut off, or zeros behind."""
    missing = max(length - a.shape[1], 0)
    return np.pad(a[:, :length], [(0, 0), (0, missing), *[(0, 0)] * (a.ndim - 2)])


def _plain(name: str, a: np.ndarray, inside: np.ndarray, *, tokens: bool) -> np.ndarray:
    """Tokens or classes as int32 [N, T], numbers as float32 [N, T, O]; zeros behind the ends."""
    if not tokens:
        with np.errstate(over="ignore"):  # what is too large is refused below
            a = a.astype(np.float32).reshape(*a.shape[:2], -1)
    a = np.where(inside.reshape(*inside.shape, *(1,) * (a.ndim - 2)), a, 0)
    if tokens and (a.min() < 0 or a.max() > np.iinfo(np.int32).max):
        wrong = a.min() if a.min() < 0 else a.max()
        raise ValueError(f"{name} holds {wrong}; count tokens and classes from 0")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} holds numbers that are not finite; leave them out, or fill them")
    return a.astype(np.int32) if tokens else a.astype(np.float32)


def _constant(train: _Examples, test: _Examples, every: bool) -> Callable[[int], float]:
    """How well that answer does in testing which is the best constant one in training."""

    def chance(length: int) -> float:
        weights, answers = zip(
            *(_shares(each, every, length) for each in (train, test)), strict=True
        )
        if answers[0].ndim == 2:  # [N, T]: classes
            counts = np.bincount(answers[0].ravel(), weights[0].ravel())
            return float(((answers[1] == counts.argmax()) * weights[1]).sum())
        mean = (answers[0] * weights[0][..., None]).sum((0, 1))
        return float((((answers[1] - mean) ** 2).mean(-1) * weights[1]).sum())

    return chance


def _shares(examples: _Examples, every: bool, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What each place counts for in the mean over sequences, and the answers there."""
    answers = examples.targets[:, :length]
    ends, at = np.minimum(examples.lengths, length)[:, None], np.arange(answers.shape[1])
    scored = (at < ends if every else at == ends - 1).astype(float)
    return scored / scored.sum(1, keepdims=True) / len(scored), answers
