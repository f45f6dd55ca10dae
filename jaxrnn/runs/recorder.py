"""Callbacks: what a training run tells, beside its log, to TensorBoard, to a sampler, or to
nobody."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrnn.base import TrainState


class Recorder:
    """The protocol of a callback; it records nothing, and what does overrides some of these.

    A setting's calls are `begin`; then for each chunk of training steps its `line`s, each member's
    in order, and `chunk`; where an epoch ends with it the epoch's `line`s and `epoch`; where a
    checkpoint comes `flush`; then `end` or `diverged`, unless the run is stopped; and in any case
    `close`. A run that was killed tells what came after its last checkpoint a second time, from
    the step that `begin` gets.

    States have a leading axis of members. They are on the device, and the next chunk takes their
    memory: whoever keeps one copies it.
    """

    def begin(self, step: int, state: TrainState) -> None:
        """Before the first chunk, at the training step from which it starts."""

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        """A line of the log was written: `member` counts the seeds from 0, and `numbers` are what
        was logged, but for setting, seed, epoch and step."""

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
        self.recorders = recorders

    def begin(self, step: int, state: TrainState) -> None:
        for each in self.recorders:
            each.begin(step, state)

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        for each in self.recorders:
            each.line(member, step, numbers)

    def chunk(self, step: int, state: TrainState) -> None:
        for each in self.recorders:
            each.chunk(step, state)

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        for each in self.recorders:
            each.epoch(step, state, best)

    def flush(self) -> None:
        for each in self.recorders:
            each.flush()

    def end(self, step: int, state: TrainState) -> None:
        for each in self.recorders:
            each.end(step, state)

    def diverged(self) -> None:
        for each in self.recorders:
            each.diverged()

    def close(self) -> None:
        for each in self.recorders:
            each.close()


def reads_chunks(recorder: Recorder) -> bool:
    """Whether `chunk` does anything: the states of several processes are gathered for it."""
    if isinstance(recorder, Several):
        return any(map(reads_chunks, recorder.recorders))
    return type(recorder).chunk is not Recorder.chunk
