"""One event file: records of a training step each, written when they are given and durable after
`flush`.

tensorboardX's own writers queue what they are given for a thread, whose queue `flush` does not
empty; they name their file by the second, so that two of them overwrite each other, and cannot be
opened again. Here only its format of records is used.
"""

import re
import time
from itertools import count
from pathlib import Path
from typing import Any

from tensorboardX.record_writer import RecordWriter, masked_crc32c

from jaxrnn.runs.files import write_atomic, writing
from jaxrnn.runs.progress import warn
from jaxrnn.runs.tensorboard.protos import Event, SessionLog

_NAME = re.compile(r"events\.out\.tfevents\.(\d{1,12})\.")


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
        self._path, self._ahead = _new_file(folder)
        self._records = RecordWriter(str(self._path))
        self._write(Event(wall_time=self._now(), file_version="brain.Event:2"))
        begins = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=self._now(), step=first_step, session_log=begins))
        self.flush()

    def append(self, step: int, **content: Any) -> None:
        """One event: a `summary`, or a `graph_def`."""
        self._write(Event(wall_time=self._now(), step=step, **content))

    def flush(self) -> None:
        """Waits until all events are on the disk."""
        with writing(self._path):
            self._records.flush()

    def close(self) -> None:
        self.flush()
        self._records.close()

    def _now(self) -> float:
        """The time, later than that of earlier files where the clock was set back since."""
        return time.time() + self._ahead

    def _write(self, event: Any) -> None:
        with writing(self._path):
            self._records.write(event.SerializeToString())


def take_back(folder: Path, first_step: int) -> None:
    """Takes the events from a training step on out of the files of earlier sessions. The mark of a
    new session has TensorBoard forget them; but not every reader of its own forgets texts."""
    for path in folder.glob("events.out.tfevents.*"):
        _keep_before(path, first_step)


def check_events(folder: Path) -> None:
    """Warns of event files below `folder` that are no longer as they were written."""
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        records, altered = _read(path.read_bytes())
        if altered:
            warn(
                f"{path}: what stands behind {len(records)} records is not as it was written, and "
                "TensorBoard does not show it; restore the file from a copy"
            )


def _keep_before(path: Path, first_step: int) -> None:
    """The file goes where none is left. What stands behind the first record that cannot be read is
    nothing to TensorBoard either."""
    records, _ = _read(path.read_bytes())
    kept = [record for event, record in records if event.step < first_step]
    if kept and len(kept) < len(records):
        write_atomic(path, b"".join(kept))
    elif records and not kept:
        path.unlink()


def _read(data: bytes) -> tuple[list[tuple[Any, bytes]], bool]:
    """The events of a file, each with its record, up to the first that cannot be read; and whether
    that one was altered, and not only cut off, as by a kill."""
    found, at = [], 0
    # a record: its length in 8 bytes, a checksum of them in 4, the event, a checksum of it in 4
    while at + 12 <= len(data):
        length = data[at : at + 8]
        end = at + 16 + int.from_bytes(length, "little")
        if data[at + 8 : at + 12] != _checksum(length):
            return found, True
        if end > len(data):
            break
        content = data[at + 12 : end - 4]
        if data[end - 4 : end] != _checksum(content):
            return found, True
        found.append((Event.FromString(content), data[at:end]))
        at = end
    return found, False


def _checksum(data: bytes) -> bytes:
    return masked_crc32c(data).to_bytes(4, "little")


def _new_file(folder: Path) -> tuple[Path, float]:
    """A file that nobody else has, named by the time and a number, and the seconds by which that
    time is ahead of the clock: TensorBoard reads files in the order of their names."""
    now = time.time()
    found = (_NAME.match(path.name) for path in folder.glob("events.out.tfevents.*"))
    latest = max((int(name[1]) + 1 for name in found if name), default=0)
    ahead = max(0.0, latest - now) if latest > now + 1 else 0.0
    names = (f"events.out.tfevents.{now + ahead:.0f}.{i:04d}" for i in count())
    for path in map(folder.joinpath, names):
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path, ahead
    raise AssertionError("there is always a next number")
