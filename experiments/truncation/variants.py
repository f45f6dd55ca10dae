"""The gradient styles as they are compared: each with its two integers and its batch's length."""

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
        if not STYLES[self.style].truncates:
            return f"{self.style}, T {self.num_steps}"
        return f"{self.style} ({self.window}, {self.stride}), T {self.num_steps}"


def tensorflow_style(window: int) -> Variant:
    """Batches of the window's length, through which errors go back to the edge."""
    return Variant("tbptt", window, window, window)


def true_truncation(window: int, num_steps: int, *, full: bool) -> Variant:
    """Every error goes back `window` steps; with `full` even the first ones, into history."""
    return Variant("tbptt", window, 1, num_steps, window - 1 if full else 0)


def truncating(window: int, num_steps: int) -> list[Variant]:
    """Every style whose errors the window bounds. True truncation twice: with full reach at the
    batch length of the others, and as published, on batches of `num_steps` cut at their edge."""
    others = [
        Variant(name, window, window, window)
        for name, style in STYLES.items()
        if style.truncates and name != "tbptt"
    ]
    true = [
        true_truncation(window, window, full=True),
        true_truncation(window, num_steps, full=False),
    ]
    return [tensorflow_style(window), *true, *others]


def unbounded(num_steps: int) -> list[Variant]:
    """Every style whose errors no window bounds, on batches of `num_steps`."""
    return [
        Variant(name, num_steps, num_steps, num_steps)
        for name, style in STYLES.items()
        if not style.truncates
    ]
