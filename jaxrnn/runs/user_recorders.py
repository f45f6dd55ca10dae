"""A researcher's own callbacks, from `--recorder path/to/file.py:factory`: found before a run
begins, and kept from stopping it."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn.base import TrainState
from jaxrnn.cell_files import factory_in
from jaxrnn.cell_neighbours import importing_neighbours
from jaxrnn.runs.command import one_line
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.progress import warn
from jaxrnn.runs.recorder import Recorder

RecorderFactory = Callable[[RunDirectory, str, Sequence[int]], Recorder]
"""`(run, setting, seeds) -> Recorder`, as those of `Setting.recorders`."""


def recorder_factories(flags: TrainingFlags) -> dict[str, RecorderFactory]:
    """The factories of `--recorder`, by what was given; their files are run. They come from this
    command line and no run keeps them, so that nobody is asked whether to trust them.

    Raises:
      ValueError: one twice, what is no file and factory, or a file that fails when it is run; with
        `--no-cell-code`, any.
    """
    found: dict[str, RecorderFactory] = {}
    for name in flags.recorder:
        path, colon, factory = name.rpartition(":")
        if flags.no_cell_code:
            raise ValueError(f"--no-cell-code: --recorder {name} is code; leave one of them out")
        if name in found:
            raise ValueError(f"--recorder {name} is given twice; give it once")
        if not (colon and factory and path.endswith(".py")):
            raise ValueError(f"--recorder {name} names no factory; give path/to/file.py:factory")
        try:
            found[name] = _finding_neighbours(Path(path), factory_in(name))
        except ValueError as error:
            raise ValueError(f"--recorder {name}: {error}") from error
    return found


def _finding_neighbours(path: Path, factory: RecorderFactory) -> RecorderFactory:
    def make(run: RunDirectory, setting: str, seeds: Sequence[int]) -> Recorder:
        with importing_neighbours(path):  # a factory may import when it is called
            return factory(run, setting, seeds)

    return make


class Sheltered(Recorder):
    """A callback whose first error is a warning: it is told nothing more then, but `close`, and the
    training run goes on. With JAXRNN_TRACEBACK=1 the error stops the run and shows where.

    Args:
      name: of the callback, for the warning.
      make: makes it when the training run begins.
    """

    def __init__(self, name: str, make: Callable[[], Any]):
        self._name, self._make = name, make
        self._recorder: Recorder | None = None

    def begin(self, step: int, state: TrainState) -> None:
        def made() -> None:
            recorder = self._make()
            if not isinstance(recorder, Recorder):
                kind = type(recorder).__name__
                raise ValueError(f"it made a {kind}; return a jaxrnn.runs.Recorder")
            self._recorder = recorder
            recorder.begin(step, state)

        self._attempt("when it begins", made)

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        self._tell("line", member, step, dict(numbers))

    def chunk(self, step: int, state: TrainState) -> None:
        self._tell("chunk", step, state)

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        self._tell("epoch", step, state, best.copy())

    def flush(self) -> None:
        self._tell("flush")

    def end(self, step: int, state: TrainState) -> None:
        self._tell("end", step, state)

    def diverged(self) -> None:
        self._tell("diverged")

    def close(self) -> None:
        self._tell("close")
        self._recorder = None

    def _tell(self, method: str, *arguments: Any) -> None:
        recorder = self._recorder
        if recorder is not None:
            self._attempt(f"in {method}", lambda: getattr(recorder, method)(*arguments))

    def _attempt(self, where: str, call: Callable[[], None]) -> None:
        try:
            call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a SystemExit would look like the end of the run
            if os.environ.get("JAXRNN_TRACEBACK"):
                raise
            failed, self._recorder = self._recorder, None
            said = one_line(error) if isinstance(error, Exception) else repr(error)
            warn(f"--recorder {self._name} failed {where}, and is told nothing more: {said}")
            if failed is not None and where != "in close":
                # a second error would say no more
                with contextlib.suppress(Exception, SystemExit):
                    failed.close()
