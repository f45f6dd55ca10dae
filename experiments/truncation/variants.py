"""The gradient styles as they are compared: each with its two integers and its batch's length."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxrnn.gradients import STYLES


class Variant(NamedTuple):
    """A style of the registry in one training.

    Attributes:
      style: its name in `STYLES`.
      window, stride: the two integers every style answers to.
      num_steps: T, scored time steps of a batch.
      history: K, time steps in front of them.
    """

    style: str
    window: int
    stride: int
    num_steps: int
    history: int = 0

    @property
    def name(self) -> str:
        parts = [self.style, self.window, self.stride, self.num_steps]
        return "_".join(map(str, [*parts, *([f"history_{self.history}"] if self.history else [])]))

    @property
    def label(self) -> str:
        """For a table: the integers where they matter."""
        integers = [str(getattr(self, name)) for name in STYLES[self.style].integers]
        read = f" ({', '.join(integers)})" if integers else ""
        return f"{self.style}{read}, T {self.num_steps}"


def tensorflow_style(window: int) -> Variant:
    """Batches of the window's length, through which errors go back to the edge."""
    return Variant("tbptt", window, window, window)


def true_truncation(window: int, num_steps: int, *, full: bool) -> Variant:
    """Every error goes back `window` steps; with `full` even the first ones, into history."""
    return Variant("tbptt", window, 1, num_steps, window - 1 if full else 0)


def truncating(window: int, num_steps: int) -> list[Variant]:
    """Every style that reads its window: where the window bounds how far errors go, on batches of
    its length; where it is the mean of what is drawn, on batches of `num_steps`. True truncation
    twice: with full reach at the length of the others, and as published, on batches of `num_steps`
    cut at their edge."""
    others = [
        Variant(name, window, window, window if style.truncates else num_steps)
        for name, style in STYLES.items()
        if "window" in style.integers and name != "tbptt"
    ]
    true = [
        true_truncation(window, window, full=True),
        true_truncation(window, num_steps, full=False),
    ]
    return [tensorflow_style(window), *true, *others]


def unbounded(windows: Sequence[int], num_steps: int) -> list[Variant]:
    """Every style that reads no window: on batches of `num_steps`, through which errors go back,
    or, where they go back across batches anyway, on batches of the shortest window. A longer batch
    would only take updates from a style that can learn as it goes."""
    found = []
    for name, style in STYLES.items():
        if "window" not in style.integers:
            length = min(windows) if style.remembers else num_steps
            found.append(Variant(name, length, length, length))
    return found
