"""Whoever follows a training while it runs, beside its log: TensorBoard, or nobody."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.base import TrainState


class Recorder:
    """Records nothing; what does overrides these. States have a leading axis of members."""

    def begin(self, step: int, state: TrainState) -> None:
        """Before the first chunk, at the training step from which it starts."""

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        """A line of the log was written."""

    def chunk(self, step: int, state: TrainState) -> None:
        """A chunk ended."""

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        """An epoch ended, and its samples are written; `best` are the lowest validation losses,
        infinite where there is none."""

    def flush(self) -> None:
        """A checkpoint comes: what was recorded up to here must not be lost."""

    def end(self, step: int, state: TrainState) -> None:
        """The training is complete."""

    def diverged(self) -> None:
        """The loss is no number any more, and the training stops."""

    def close(self) -> None:
        """In any case, last."""
