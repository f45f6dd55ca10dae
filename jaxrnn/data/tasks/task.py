"""What a task is: examples that are drawn, and which of their places are scored."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxrnn.base import Batch, Key, require_positive

Metric = Literal["accuracy", "scaled accuracy", "mean squared error"]


class Scored(NamedTuple):
    """The targets of a task's batch.

    Attributes:
      values: classes [T, B] or numbers [T, B, O]; of no account where they are not scored.
      weights: [T, B], zero where nothing is scored. The scored places of a sequence share T evenly,
        so that the mean over all time steps of weighted losses is the mean over sequences of each
        one's mean over its scored places.
    """

    values: Shaped[Array, "T B *O"]
    weights: Float[Array, "T B"]


class Example(NamedTuple):
    """One sequence, as a task draws it.

    Attributes:
      inputs: tokens [T] or vectors [T, I].
      targets: classes [T] or numbers [T, O].
      scored: which places count.
    """

    inputs: Shaped[Array, "T *I"]
    targets: Shaped[Array, "T *O"]
    scored: Bool[Array, " T"]


Draw = Callable[[Key, Int[Array, ""], int], Example]
"""`(key, size, length) -> Example` of `size` time steps in room for `length`: size may be traced,
and nothing is scored behind it."""


class Task(NamedTuple):
    """A task: a distribution over sequences of any length, of which some places are to be answered.

    A task describes data and is static: under `jit` close over it.

    Attributes:
      draw: one example for training.
      draw_test: one for testing; the same function where nothing is ever drawn twice.
      reads: how many tokens there are, or numbers in a vector, where inputs are floats.
      answers: how many classes there are, or numbers in an answer.
      metric: how the papers score it. Scaled accuracy is 0 at chance and 1 where all is right.
      chance: `length -> ` the accuracy, or the mean squared error, of the best constant answer.
      floor: `length -> ` the lowest expected loss of any predictor, nats or squared error; NaN
        where nobody knows it.
      shortest: the fewest time steps that an example has.
      train_lengths: the fewest and the most time steps of training sequences.
      test_lengths: the first one as long as training sequences are at most, then longer ones.
    """

    draw: Draw
    draw_test: Draw
    reads: int
    answers: int
    metric: Metric
    chance: Callable[[int], float]
    floor: Callable[[int], float]
    shortest: int
    train_lengths: tuple[int, int]
    test_lengths: tuple[int, ...]

    def batch(self, key: Key, length: int, batch_size: int) -> Batch:
        """`batch_size` sequences of `length` time steps, inputs [T, B, ...] and `Scored` targets.

        Raises:
          ValueError: a length that the task does not have.
        """
        return self._drawn(self.draw, key, (length, length), batch_size)

    def padded(self, key: Key, lengths: tuple[int, int], batch_size: int) -> Batch:
        """Sequences of `lengths[0]` to `lengths[1]` time steps, each as probable, with room for the
        longest: behind the end of one inputs are zeros and weights too."""
        return self._drawn(self.draw, key, lengths, batch_size)

    def test(self, key: Key, length: int, batch_size: int) -> Batch:
        """As `batch`, from what is there to test on."""
        return self._drawn(self.draw_test, key, (length, length), batch_size)

    def tests(self, key: Key, lengths: Sequence[int], batch_size: int) -> Batch:
        """Sequences to test on, `batch_size` of each of the lengths one after the other, all with
        room for the longest: one program draws them, and one unrolls a model over them."""
        for length in lengths:
            self._check(length, length)
        require_positive(batch_size=batch_size)
        sizes = jnp.repeat(jnp.array(lengths, jnp.int32), batch_size)
        keys = jax.random.split(key, len(lengths) * batch_size)
        return self._scored(self.draw_test, keys, sizes, max(lengths))

    @property
    def classifies(self) -> bool:
        """Whether answers are classes, and not numbers."""
        return self.metric != "mean squared error"

    def _drawn(self, draw: Draw, key: Key, lengths: tuple[int, int], batch_size: int) -> Batch:
        low, length = lengths
        require_positive(length=length, batch_size=batch_size)
        self._check(low, length)

        def sized(key):
            key_size, key_draw = jax.random.split(key)
            return jax.random.randint(key_size, (), low, length + 1, jnp.int32), key_draw

        sizes, keys = jax.vmap(sized)(jax.random.split(key, batch_size))
        return self._scored(draw, keys, sizes, length)

    def _check(self, low: int, length: int) -> None:
        if not self.shortest <= low <= length:
            said = length if low == length else f"{low} to {length}"
            raise ValueError(
                f"length is {said}; give at least {self.shortest}, the shortest that the task has"
            )

    def _scored(self, draw: Draw, keys: Array, sizes: Int[Array, " B"], length: int) -> Batch:
        """An example for each key and size, in room for `length`."""

        def example(key, size):
            drawn = draw(key, size, length)
            return drawn._replace(inputs=_until(size, drawn.inputs), scored=drawn.scored)

        drawn = jax.vmap(example, out_axes=1)(keys, sizes)
        scored = drawn.scored.astype(jnp.float32)
        count = jnp.maximum(scored.sum(0, keepdims=True), jnp.float32(1))
        return Batch(drawn.inputs, Scored(drawn.targets, scored * jnp.float32(length) / count))


def places(length: int) -> Int[Array, " length"]:
    """0, 1, ... of int32, whatever JAX's default is."""
    return jnp.arange(length, dtype=jnp.int32)


def answered(every: bool, size: Int[Array, ""], length: int) -> Bool[Array, " length"]:
    """Every place of an example, or its last one alone."""
    return places(length) < size if every else places(length) == size - 1


def integers(key: Key, shape: tuple[int, ...], low: int, high: int) -> Int[Array, "..."]:
    """int32 from low up to but not `high`."""
    return jax.random.randint(key, shape, low, high, jnp.int32)


def constantly(value: float) -> Callable[[int], float]:
    """The same at every length."""
    return lambda length: value


def deterministic(draw: Draw, **rest: Any) -> Task:
    """A task whose scored answers follow from the inputs: the floor of its loss is zero."""
    return Task(draw=draw, draw_test=draw, floor=constantly(0.0), **rest)


def _until(size: Int[Array, ""], inputs: Shaped[Array, "T *I"]) -> Shaped[Array, "T *I"]:
    inside = places(inputs.shape[0]) < size
    inside = inside.reshape(-1, *(1,) * (inputs.ndim - 1))
    return jnp.where(inside, inputs, jnp.zeros_like(inputs))
