"""Callbacks: what a training run tells, beside its log, to TensorBoard, to a sampler, or to
nobody."""

from collections.abc import Mapping, Sequence
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
        """An epoch ended; `best` are the lowest validation losses, infinite where there is none."""

    def flush(self) -> None:
        """A checkpoint comes: what was recorded up to here must not be lost."""

    def end(self, step: int, state: TrainState) -> None:
        """The training run is complete."""

    def diverged(self) -> None:
        """The loss is NaN or infinite, and the training run stops."""

    def close(self) -> None:
        """In any case, last."""


class Several(Recorder):
    """Callbacks that are told everything one after the other."""

    def __init__(self, recorders: Sequence[Recorder]):
        self._recorders = recorders

    def begin(self, step: int, state: TrainState) -> None:
        for each in self._recorders:
            each.begin(step, state)

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        for each in self._recorders:
            each.line(member, step, numbers)

    def chunk(self, step: int, state: TrainState) -> None:
        for each in self._recorders:
            each.chunk(step, state)

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        for each in self._recorders:
            each.epoch(step, state, best)

    def flush(self) -> None:
        for each in self._recorders:
            each.flush()

    def end(self, step: int, state: TrainState) -> None:
        for each in self._recorders:
            each.end(step, state)

    def diverged(self) -> None:
        for each in self._recorders:
            each.diverged()

    def close(self) -> None:
        for each in self._recorders:
            each.close()
