"""What a checkpoint belongs to: the run's config, vocabulary and cell as it was trained with them,
what its numbers depend on besides, and the log as far as it had come. A run from before there were
such records is not checked."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxrnn.cell_files import cell_name
from jaxrnn.cell_neighbours import code_sha256
from jaxrnn.runs.checkpoints import latest_record, newest_fault
from jaxrnn.runs.directory import RunDirectory, check_log, read_metrics
from jaxrnn.runs.files import read_json
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import REMEDY, read_record

BOUND = "belongs_to"
"""In a checkpoint's record."""


def bound_to(run: RunDirectory, setting: str) -> dict[str, Any]:
    """For a checkpoint's record: the config itself, so that a field can be named, and hashes."""
    vocabulary = vocabulary_of(run, setting)
    return {
        "config": read_record(run),
        "vocabulary": _fields(vocabulary) if vocabulary.is_file() else {},
        "environment": _computed_with(run),
        **{
            kind: code_sha256(kept) if kept.is_file() else None
            for kind, kept in (("cell", run.cell), ("task", run.task))
        },
    }


def vocabulary_of(run: RunDirectory, setting: str) -> Path:
    """The file of the setting's own vocabulary, or of the run's; there may be none."""
    own = run.own_vocabulary(setting)
    return own if own.is_file() else run.vocabulary


def check_run(run: RunDirectory, record: dict[str, Any]) -> None:
    """Holds a run's files, but for the log, against its newest checkpoints, of every setting.

    Args:
      record: of config.json.

    Raises:
      ValueError: what is not as it was, in one line that names the file and the field.
    """
    if not run.checkpoints.is_dir():
        return
    # the folders that are there, and not those that the config names: that may be what was altered
    for folder in sorted(run.checkpoints.iterdir()):
        kept = latest_record(folder)
        if kept is not None and BOUND in kept:
            _check_bound(run, folder.name, record, kept[BOUND])


def _check_bound(run: RunDirectory, setting: str, record: dict[str, Any], bound: Any) -> None:
    check_config(run.config, bound["config"], record)
    path = vocabulary_of(run, setting)
    if bound["vocabulary"] and not path.is_file():
        raise ValueError(f"{path} is missing, which the run was trained with; {REMEDY}")
    now = _fields(path) if bound["vocabulary"] else {}
    for field, sha256 in bound["vocabulary"].items():
        if now.get(field) != sha256:
            raise ValueError(f"{path}: {field} is not what the run was trained with; {REMEDY}")
    now = _computed_with(run)
    for name, old in bound.get("environment", {}).items():
        if now and not (name in now and _same(now[name], old)):
            new = f"{now[name]!r:.60}" if name in now else "missing"
            raise ValueError(
                f"{run.environment}: {name} is {new}, the run was trained with {old!r:.60}; "
                f"{REMEDY}"
            )
    for kind, kept in (("cell", run.cell), ("task", run.task)):
        # one that is not there is not run
        if kept.is_file() and bound.get(kind) not in (None, code_sha256(kept)):
            raise ValueError(f"{kept} is not the {kind} that the run was trained with; {REMEDY}")


def check_log_of(run: RunDirectory, setting: str, kept: Any) -> None:
    """Holds the log, where the run has one, against the record of a checkpoint.

    Raises:
      ValueError: it is not as it was, in one line that names the file.
    """
    if "log_sha256" in kept and run.metrics.is_file():
        check_log(run.metrics, setting, kept["log_lines"], kept["log_sha256"])


def check_complete(run: RunDirectory) -> None:
    """Holds a complete run against the newest checkpoints of every setting, where nothing else of
    it is read, as in a sweep whose other runs go on: its log, and, with a warning, these.

    Raises:
      ValueError: the log is not as it was, in one line that names the file.
    """
    folders = sorted(run.checkpoints.iterdir()) if run.checkpoints.is_dir() else []
    for folder in folders or [run.checkpoints]:
        if fault := newest_fault(folder):
            warn(f"{fault}; {run.path} is complete and stays so: {REMEDY}, or resume it alone")
        kept = latest_record(folder)
        if kept is None:
            continue
        if not run.metrics.is_file():
            raise ValueError(f"{run.metrics} is missing, which the run wrote; {REMEDY}")
        check_log_of(run, folder.name, kept)


def require_unbegun(run: RunDirectory, setting: str) -> None:
    """Of a setting without any checkpoint: nothing is trained anew in a run that was complete, and
    in another one not without a word.

    Raises:
      ValueError: the run has a summary, so its checkpoints were lost.
    """
    if run.summary.is_file():
        raise ValueError(
            f"{run.checkpoints / setting} has no checkpoint, though the run was complete; restore "
            "it from a copy or start a new run"
        )
    lines = read_metrics(run.metrics) if run.metrics.is_file() else []
    if count := sum(line.get("setting") == setting for line in lines):
        warn(
            f"{run.checkpoints / setting} has no checkpoint, though {run.metrics} has {count} "
            f"lines of {setting}: none was due yet, or they were lost; it begins anew"
        )


def _fields(path: Path) -> dict[str, str]:
    """A hash for each field of a JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: its content is {content!r:.60}, not an object; {REMEDY}")
    return {
        name: hashlib.sha256(json.dumps(value).encode()).hexdigest()
        for name, value in content.items()
    }


def _computed_with(run: RunDirectory) -> dict[str, Any]:
    """Of environment.json what the numbers of a run depend on; nothing where there is none."""
    if not run.environment.is_file():
        return {}
    found = dict(_leaves(read_json(run.environment)))
    mine = re.compile(r"x64|devices\.used|numerics\..*")
    return {name: value for name, value in found.items() if mine.fullmatch(name)}


def check_config(path: Path, was: dict[str, Any], now: dict[str, Any]) -> None:
    """Holds the record of a config, that of `path`, against what it was.

    Raises:
      ValueError: a field that is not as it was, and that no flag may change afterwards.
    """
    if json.dumps(was) == json.dumps(now):
        return  # as nearly always, and a run may have many settings
    there = dict(_leaves(now))
    fixed = was["config"].get("decay", "none") != "none"
    for name, old in _leaves(was):
        if name not in there:
            raise ValueError(f"{path}: {name} is missing, it was {old!r:.60}; {REMEDY}")
        new = there[name]
        epochs = r"(config\.epochs(\[\d+\])?|settings\[\d+\]\.flags\.epochs)"
        if re.fullmatch(epochs, name) and not fixed and _at_least(new, old):
            continue  # --epochs may be raised
        if name == "config.corpus":
            continue  # its sha256 is in environment.json: the same text may be elsewhere
        if name.startswith("settings[") and name.endswith(".model.cell"):
            # its path is that of the run, which may have moved
            old, new = cell_name(str(old)), cell_name(str(new))
        if not _same(new, old):
            raise ValueError(
                f"{path}: {name} is {new!r:.60}, the run was trained with {old!r:.60}; {REMEDY}"
            )


def _same(new: Any, old: Any) -> bool:
    return new == old and isinstance(new, bool) == isinstance(old, bool)


def _at_least(new: Any, old: Any) -> bool:
    numbers = isinstance(new, int) and isinstance(old, int)
    return numbers and not isinstance(new, bool) and new >= old


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a record with its place, e.g. `settings[0].model.cell`, and the lengths of its
    lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        yield f"{name}.length" if name else "length", len(value)
        for i, item in enumerate(value):
            yield from _leaves(item, f"{name}[{i}]")
    else:
        yield name, value
