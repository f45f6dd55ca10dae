"""The directory of a run, and its log of metrics."""

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from jaxrnn.runs.files import read_bytes, to_json, write_atomic, writing


@dataclass(frozen=True)
class RunDirectory:
    """A run: what suffices to repeat it, to resume it and to sample from it."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config, JSON."""
        return self.path / "config.json"

    @property
    def environment(self) -> Path:
        """Versions, devices, git commit, checksums of the texts, JSON."""
        return self.path / "environment.json"

    @property
    def vocabulary(self) -> Path:
        return self.path / "vocabulary.json"

    def own_vocabulary(self, setting: str) -> Path:
        """Of a setting that reads with another vocabulary than the run's."""
        return self.path / "vocabularies" / f"{setting}.json"

    @property
    def cell(self) -> Path:
        """The source of the cell, where it came from a user's file; what that imports from beside
        it is in cell_modules."""
        return self.path / "cell.py"

    @property
    def task(self) -> Path:
        """The source of the task, where it came from a user's file."""
        return self.path / "task.py"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, one line a logged step."""
        return self.path / "metrics.jsonl"

    @property
    def diverged(self) -> Path:
        """What was said of settings whose loss was NaN or infinite, by name, JSON."""
        return self.path / "diverged.json"

    @property
    def summary(self) -> Path:
        """Results and claims, JSON; written when the run is complete."""
        return self.path / "summary.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def samples(self) -> Path:
        return self.path / "samples"


def create_run(path: Path, *, begun_before: bool = False) -> RunDirectory:
    """Makes the folder of a new run, parents included.

    Args:
      begun_before: a process may have died when it had made the folder and written nothing yet.

    Raises: FileExistsError if anything at all is at `path`, but for such a folder; OSError if it
      cannot be made.
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # what writes checkpoints takes no such name
        raise OSError(f"--run {str(path)!a} is no UTF-8; choose another name") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_made(path, error) from None
    try:
        # Of two processes that start at the same time, mkdir lets one through.
        path.mkdir()
    except FileExistsError:
        if begun_before:
            if path.is_dir() and all(
                each.is_dir() or each.name.startswith(".") for each in path.rglob("*")
            ):
                return RunDirectory(path)
            lost = f"{RunDirectory(path).config} is missing, and other files of the run are there"
            raise FileExistsError(f"{lost}; restore it from a copy, or move them away") from None
        # only a training run can go on; a benchmark's folder, say, has no config
        resume = f" or --resume {path}" if RunDirectory(path).config.is_file() else ""
        message = f"--run {path} exists; choose another directory{resume}"
        raise FileExistsError(message) from None
    except OSError as error:
        raise _not_made(path, error) from None
    return RunDirectory(path)


def _not_made(path: Path, error: OSError) -> OSError:
    # mkdir(exist_ok=True) says "File exists" of a parent that is a file.
    cause = str(error.strerror).lower()
    if isinstance(error, FileExistsError):
        links = [str(parent) for parent in path.parents if parent.is_symlink()]
        cause = "a parent of it is a file"
        if links and not os.path.exists(links[0]):
            cause = f"{links[0]} is a link that leads nowhere"
    return OSError(f"--run {path} cannot be made: {cause}; choose another directory")


def default_run_path(experiment: str, root: Path = Path("runs")) -> Path:
    """`root/experiment/YYYY-mm-dd-HHMMSS`, followed by -2, -3, ... where that exists already."""
    first = Path(root) / experiment / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = chain([first], (first.with_name(f"{first.name}-{i}") for i in count(2)))
    return next(path for path in names if not path.exists())


def open_run(path: Path, flag: str = "run") -> RunDirectory:
    """An existing run, which `flag` named.

    Raises: FileNotFoundError if there is none at `path`; OSError if nobody can tell.
    """
    run = RunDirectory(Path(path))
    try:
        str(path).encode()
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        is_run = is_folder and run.config.is_file()
    except UnicodeEncodeError:  # what reads checkpoints takes no such name
        raise OSError(f"{flag} {str(path)!a} is no UTF-8; rename it") from None
    except FileNotFoundError:
        is_folder = is_run = False
    except OSError as error:  # a parent that is a file, a loop of links, a folder closed to us
        cause = str(error.strerror).lower()
        raise OSError(
            f"{flag} {path} cannot be read: {cause}; give the directory of a run"
        ) from None
    if not is_folder:
        raise FileNotFoundError(f"{flag} {path} does not exist; give the directory of a run")
    if is_folder and not is_run and (Path(path) / "sweep.json").is_file():
        begun = min(Path(path).glob("*/config.json"), default=None)
        such = f"such as {begun.parent}" if begun else "of which none has begun"
        raise FileNotFoundError(f"{flag} {path} is a sweep; give one of its runs, {such}")
    if not is_run:
        raise FileNotFoundError(f"{path} is not a run directory: it has no {run.config.name}")
    return run


def refuse_links_out(path: Path) -> None:
    """Nothing is written or removed through a link that leads out of a run, or of any folder.

    Raises: ValueError, which names the link.
    """
    root = Path(path).resolve()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            link = Path(folder, name)
            if link.is_symlink() and not Path(os.path.realpath(link)).is_relative_to(root):
                raise ValueError(
                    f"{link} is a link out of {path}, to {os.readlink(link)}; put what it leads to "
                    "in its place"
                )


class MetricsLog:
    """The log of metrics, opened to append. Raises: DiskFull from every method that writes.

    Args:
      seen: the sha256 of the setting's lines so far, as `cut_log` gives it, which goes on with what
        is appended.
    """

    def __init__(self, path: Path, seen: Any = None):
        self._path = Path(path)
        self._seen = hashlib.sha256() if seen is None else seen
        # without a buffer: what a full disk refused must not be tried again when the file closes
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 (lives as long as the log)

    def append(self, record: dict[str, Any]) -> None:
        """Adds one line; NaN and infinities become null."""
        line = (to_json(record, indent=None) + "\n").encode()
        self._seen.update(line)
        with writing(self._path):
            while line:  # a disk that fills up takes a part of it first
                line = line[self._file.write(line) :]

    @property
    def sha256(self) -> str:
        """Of the setting's lines, what was there before included."""
        return self._seen.hexdigest()

    def flush(self) -> None:
        """Waits until all lines are on the disk."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with writing(self._path):
            self._file.close()


class NoLog:
    """A log that nobody reads: of a process whose run another one writes."""

    sha256 = ""

    def append(self, record: dict[str, Any]) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def cut_log(path: Path, setting: str, lines: int, sha256: str | None = None) -> Any:
    """Leaves the first `lines` lines of `setting` in the log, which its checkpoint has seen; those
    of other settings stay. Returns the hash of what is left of the setting, for `MetricsLog`.

    Args:
      sha256: of these lines, where the checkpoint knows it.

    Raises: ValueError if there are fewer lines (some are lost that the checkpoint counts on), if
    they are not those that it has seen, or one is no line of a log; DiskFull; OSError.
    """
    path = Path(path)
    data = read_bytes(path) if os.path.lexists(path) else b""
    seen, taken = _seen_of(path, data, setting, lines, sha256)
    text = b"".join(line for line, stays in taken if stays)
    if not data.startswith(text):
        write_atomic(path, text)
    elif text != data:
        os.truncate(path, len(text))
    return seen


def check_log(path: Path, setting: str, lines: int, sha256: str | None) -> None:
    """Raises what `cut_log` does of a log that the checkpoint has not seen; writes nothing."""
    _seen_of(Path(path), read_bytes(path), setting, lines, sha256)


def _seen_of(
    path: Path, data: bytes, setting: str, lines: int, sha256: str | None
) -> tuple[Any, list[tuple[bytes, bool]]]:
    """The hash of the setting's first `lines` lines, and every line with whether it stays."""
    taken, count, seen = [], 0, hashlib.sha256()
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        mine = _record(path, number, line)["setting"] == setting
        count += mine
        taken.append((line + b"\n", not mine or count <= lines))
        if mine and count <= lines:
            seen.update(line + b"\n")
    remedy = "restore it from a copy or start a new run"
    if count < lines:
        lost = f"it holds {count} lines of {setting}, the checkpoint expects {lines}"
        raise ValueError(f"{path} was damaged: {lost}; {remedy}")
    if sha256 not in (None, seen.hexdigest()):
        altered = f"its first {lines} lines of {setting} are not those that the checkpoint has seen"
        raise ValueError(f"{path} was altered: {altered}; {remedy}")
    return seen, taken


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a log; a last line without its end (a run that writes, or died) is left out.

    Raises: FileNotFoundError; ValueError, which names the line that is not JSON.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"{path} does not exist; this run has logged nothing")
    lines = read_bytes(path).split(b"\n")[:-1]
    return [_record(path, number, line) for number, line in enumerate(lines, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        fault = f"{path} line {number} is not valid JSON"
        raise ValueError(f"{fault}; restore it from a copy") from None
    if not isinstance(record, dict):
        fault = f"{path} line {number} is no object: {record!r:.40}"
        raise ValueError(f"{fault}; restore it from a copy")
    for field, kind in (("setting", str), ("seed", int), ("step", int)):
        if not isinstance(record.get(field), kind) or isinstance(record[field], bool):
            value = repr(record[field]) if field in record else "missing"
            fault = f"{path} line {number}: {field} is {value:.40}, no {kind.__name__}"
            raise ValueError(f"{fault}; restore it from a copy")
    for field in ("loss", "train_loss", "valid_loss"):
        if not isinstance(record.get(field), int | float | None):
            fault = f"{path} line {number}: {field} is {record[field]!r:.40}, no number"
            raise ValueError(f"{fault}; restore it from a copy")
    return record
