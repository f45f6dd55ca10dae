"""The gradient styles as they are compared: each with its two integers and its batch's length."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from experiments.truncation.config import Config, Gradient
from jaxrnn.gradients import STYLES


class Variant(NamedTuple):
    """A style of the registry in one training run.

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
        name = f"{self.style}_{self.window}_{self.stride}_{self.num_steps}"
        return f"{name}_history_{self.history}" if self.history else name

    @property
    def label(self) -> str:
        """For a table: the integers where they matter."""
        integers = [str(getattr(self, name)) for name in STYLES[self.style].integers]
        read = f" ({', '.join(integers)})" if integers else ""
        return f"{self.style}{read}, T {self.num_steps}"

    def set_in(self, config: Config) -> Config:
        """The config of a training run by this variant, with what its style reads."""
        read = {name: getattr(self, name) for name in (*STYLES[self.style].integers, "history")}
        gradient = Gradient(estimator=self.style, schedule=config.gradient.schedule, **read)
        return replace(config, num_steps=(self.num_steps,), gradient=gradient)


def variant_of(config: Config) -> Variant:
    """What `Variant.set_in` has set."""
    (steps,), gradient = config.num_steps, config.gradient
    window = gradient.window or steps
    return Variant(gradient.estimator, window, gradient.stride or window, steps, gradient.history)


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
    full = true_truncation(window, window, full=True)
    cut = true_truncation(window, num_steps, full=False)
    return [tensorflow_style(window), full, cut, *others]


REPEATED = ("snap_2",)
"""Styles that are another one where every number of a layer feeds every other: snap of order 2 is
rtrl there, and takes as long."""


def unbounded(windows: Sequence[int], num_steps: int) -> list[Variant]:
    """Every style that reads no window: on batches of `num_steps`, through which errors go back,
    or, where they go back across batches anyway, on batches of the shortest window. A longer batch
    would only take updates from a style that can learn as it goes."""
    lengths = {
        name: min(windows) if style.carries_credit else num_steps
        for name, style in STYLES.items()
        if "window" not in style.integers and name not in REPEATED
    }
    return [Variant(name, length, length, length) for name, length in lengths.items()]
