"""One event file: records of a training step each, written when they are given and durable after
`flush`.

tensorboardX's own writers queue what they are given for a thread, whose queue `flush` does not
empty; they name their file by the second, so that two of them overwrite each other, and cannot be
opened again. Here only its format of records is used.
"""

import time
from itertools import count
from pathlib import Path
from typing import Any

from tensorboardX.record_writer import RecordWriter

from jaxrnn.runs.files import writing
from jaxrnn.runs.tensorboard.protos import Event, SessionLog


class EventFile:
    """A new event file in `folder`, beside those of earlier sessions and of other processes.

    Args:
      folder: made where it is missing.
      first_step: the first training step that will be written; what earlier files hold from there
        on is taken back, since TensorBoard reads all files of a folder as one.

    Raises:
      DiskFull: from every method that writes.
    """

    def __init__(self, folder: Path, first_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = _new_file(folder)
        self._records = RecordWriter(str(self._path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        begins = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=first_step, session_log=begins))
        self.flush()

    def append(self, step: int, **content: Any) -> None:
        """One event: a `summary`, or a `graph_def`."""
        self._write(Event(wall_time=time.time(), step=step, **content))

    def flush(self) -> None:
        """Waits until all events are on the disk."""
        with writing(self._path):
            self._records.flush()

    def close(self) -> None:
        self.flush()
        self._records.close()

    def _write(self, event: Any) -> None:
        with writing(self._path):
            self._records.write(event.SerializeToString())


def _new_file(folder: Path) -> Path:
    """A file that nobody else has: named by the time, which TensorBoard sorts by, and a number."""
    names = (f"events.out.tfevents.{time.time():.0f}.{i:04d}" for i in count())
    for path in map(folder.joinpath, names):
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always a next number")
