"""The JSON files of a run, read and checked: a fault is named with its file and field."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxrnn.data import Vocabulary
from jaxrnn.runs.config import from_plain
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import read_json

T = TypeVar("T")

REMEDY = "restore it from a copy"


def recorded_experiment(run: RunDirectory) -> str:
    """Of config.json, whatever else is in it. Raises: as `read_record`."""
    path, record = run.config, read_json(run.config)
    _require(path, "its content", record, dict)
    _require_field(path, "", record, "experiment", str)
    return record["experiment"]


def read_record(run: RunDirectory) -> dict[str, Any]:
    """The content of config.json: experiment, config, settings (name, model, and those flags
    of which the config has a number to each setting) and seeds.

    Raises: OSError; ValueError, one line that names the file and the field.
    """
    path, record = run.config, read_json(run.config)
    _require(path, "its content", record, dict)
    kinds = {"experiment": str, "config": dict, "settings": list, "seeds": list}
    for field, kind in kinds.items():
        _require_field(path, "", record, field, kind)
    for i, setting in enumerate(record["settings"]):
        _require(path, f"settings[{i}]", setting, dict)
        _require_field(path, f"settings[{i}].", setting, "name", str)
        _require_field(path, f"settings[{i}].", setting, "model", dict)
        _require(path, f"settings[{i}].flags", setting.get("flags", {}), dict)  # new since 0.2.0
        if not is_file_name(setting["name"]):
            fault = f"settings[{i}].name is {setting['name']!r:.60}, no name of a file"
            raise ValueError(f"{path}: {fault}; {REMEDY}")
    for i, seed in enumerate(record["seeds"]):
        _require(path, f"seeds[{i}]", seed, int)
    if not record["seeds"]:
        raise ValueError(f"{path}: seeds is empty; {REMEDY}")
    return record


def is_file_name(name: str) -> bool:
    """Whether it is a name in a folder, and leads to no other one."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")


def recorded_in(
    path: Path, cls: type[T], plain: Any, read: Callable[[type[T], Any], T] = from_plain
) -> T:
    """`read` of what the file at `path` holds, which its errors name."""
    return _naming(path, lambda: read(cls, plain))


def read_vocabulary_file(path: Path) -> Vocabulary:
    """Raises: OSError; ValueError, one line that names the file and the field."""
    data = read_json(path)
    _require(path, "its content", data, dict)
    for field, kind in {"level": str, "symbols": list}.items():
        _require_field(path, "", data, field, kind)
    for i, symbol in enumerate(data["symbols"]):
        _require(path, f"symbols[{i}]", symbol, str)
    if "unknown" not in data:
        raise ValueError(f"{path}: unknown is missing; {REMEDY}")
    if data["unknown"] is not None:
        _require(path, "unknown", data["unknown"], int)
    return _naming(path, lambda: Vocabulary.from_json(data))


def _naming(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _require_field(path: Path, prefix: str, record: dict[str, Any], field: str, kind: type) -> None:
    if field not in record:
        raise ValueError(f"{path}: {prefix}{field} is missing; {REMEDY}")
    _require(path, prefix + field, record[field], kind)


def _require(path: Path, name: str, value: Any, kind: type) -> None:
    names = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
    # True is an int to Python
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{path}: {name} is {value!r:.60}, not {names[kind]}; {REMEDY}")
