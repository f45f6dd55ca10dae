"""Configs as plain data: a frozen dataclass to JSON-able values, back again, and what differs.

The config of an experiment nests groups of fields (`jaxrnn.runs.groups`); its record, like its
flags, has them all side by side.

Fields may be: bool, int, float, str, None, Path, Literal, a nested dataclass, `tuple`, `list`,
`dict` with string keys, and unions of these (of dataclasses at most one). A union takes its first
member that fits the recorded value.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from jaxrnn.runs.groups import Decided

T = TypeVar("T")


def to_plain(config: Any) -> Any:
    """A config dataclass as dicts, lists, strings, numbers and None. Raises: ValueError.

    JSON has no NaN and no infinities; here they are the strings "nan", "inf" and "-inf".
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {key: to_plain(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [to_plain(value) for value in config]
    if isinstance(config, Path):
        return str(config)
    if isinstance(config, float) and not math.isfinite(config):
        return str(config)
    if config is None or isinstance(config, bool | int | float | str):
        return config
    raise ValueError(f"a config cannot hold a {type(config).__name__}: {config!r:.80}")


def from_plain(cls: type[T], plain: dict[str, Any]) -> T:
    """The config of dataclass `cls` that `plain` records; a field it lacks takes its default.

    Raises: ValueError, one line that names the field: unknown, missing without a default, or of
    another type than the annotation says.
    """
    return _dataclass(cls, plain, "")


def record_of(config: Any) -> dict[str, Any]:
    """An experiment's config as config.json has it: a value for each flag, plain."""
    return {name: to_plain(value) for name, value in flags_of(config).items()}


def config_of(cls: type[T], record: Any) -> T:
    """The config that a record holds; a field it lacks takes its default.

    Raises: ValueError, one line that names the field: unknown, or of another type.
    """
    if not isinstance(record, dict):
        raise ValueError(f"config {cls.__name__}: expected an object, got {record!r:.80}")
    hints = {name: hint for name, (_, hint) in _flags(cls).items()}
    if unknown := [name for name in record if name not in hints]:
        raise ValueError(
            f"config has unknown fields {', '.join(unknown)}; known: {', '.join(hints)}"
        )
    return replaced(cls(), **{name: _value(hints[name], v, name) for name, v in record.items()})


def flags_of(config: Any) -> dict[str, Any]:
    """The value of every field of an experiment's config that is a flag, of its groups too."""
    places = {name: place for name, (place, _) in _flags(type(config)).items()}
    return {
        name: getattr(getattr(config, place) if place else config, name)
        for name, place in places.items()
    }


def replaced(config: T, **changes: Any) -> T:
    """`config` with other values of some flags, wherever their fields are."""
    places = {name: place for name, (place, _) in _flags(type(config)).items()}
    if unknown := [name for name in changes if name not in places]:
        raise ValueError(f"config has no {', '.join(unknown)}; known: {', '.join(places)}")
    own = {name: value for name, value in changes.items() if not places[name]}
    for group in {places[name] for name in changes} - {""}:
        mine = {name: value for name, value in changes.items() if places[name] == group}
        own[group] = dataclasses.replace(getattr(config, group), **mine)
    return dataclasses.replace(config, **own)  # pyright: ignore[reportArgumentType]


def field_value(cls: type, name: str, plain: Any) -> Any:
    """What `plain` is as the value of a flag. Raises: ValueError, one line that names the flag."""
    return _value(_flags(cls)[name][1], plain, name)


WITHOUT_EFFECT = frozenset({"seed", "seeds", "log_every", "sample_length", "schedule"})
"""Flags on which no statement about a training run depends; the schedule changes the time alone."""


def alike(config: T, other: T, free: Iterable[str] = ()) -> bool:
    """Whether two configs have the same values of all flags but the free ones."""
    theirs = flags_of(other)
    return not {n for n, v in flags_of(config).items() if v != theirs[n]} - {*free}


def changed(recorded: dict[str, Any], config: Any) -> dict[str, tuple[Any, Any]]:
    """The fields in which `config` differs from a recorded one: name -> (old, new), plain.

    A field that the record lacks counts as its default. Raises: ValueError as `config_of`.
    """
    old, new = record_of(config_of(type(config), recorded)), record_of(config)
    return {name: (old[name], new[name]) for name in new if not _same(old[name], new[name])}


@functools.cache
def _flags(cls: type) -> dict[str, tuple[str, Any]]:
    """Field name to the group that it is in, "" for none, and its type; without what is decided."""
    found: dict[str, tuple[str, Any]] = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        inner = _flags(hint) if _is_group(hint) else {name: ("", hint)}
        for field, (_, kind) in inner.items():
            kind, *markers = get_args(kind) if get_origin(kind) is Annotated else (kind,)
            if markers == DECIDED:
                continue
            if field in found:
                raise ValueError(f"{cls.__name__} has two fields {field}; a flag is given once")
            found[field] = (name if _is_group(hint) else "", kind)
    return found


def _is_group(hint: Any) -> TypeGuard[type]:
    return dataclasses.is_dataclass(hint)


DECIDED = [*get_args(Decided[Any])[1:]]


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)  # True == 1 in Python


def _dataclass(cls: type[T], plain: Any, where: str) -> T:
    if not isinstance(plain, dict):
        raise ValueError(f"config {where or cls.__name__}: expected an object, got {plain!r:.80}")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # pyright: ignore[reportArgumentType]
    prefix = f"{where}." if where else ""
    if unknown := [f"{prefix}{name}" for name in plain if name not in fields]:
        raise ValueError(
            f"config has unknown fields {', '.join(unknown)}; known: {', '.join(fields)}"
        )
    missing = dataclasses.MISSING
    required = [n for n, f in fields.items() if f.default is missing is f.default_factory]
    if absent := [f"{prefix}{name}" for name in required if name not in plain]:
        raise ValueError(f"config lacks {', '.join(absent)}; add a value for each")
    hints = get_type_hints(cls)
    return cls(**{n: _value(hints[n], value, f"{prefix}{n}") for n, value in plain.items()})


def _value(hint: Any, plain: Any, where: str) -> Any:
    """`plain` as the type `hint` says, or a ValueError that names the field `where`."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, plain, where)
    if dataclasses.is_dataclass(origin) and isinstance(origin, type):
        return _dataclass(origin, plain, where)
    if origin in (tuple, list) and isinstance(plain, list | tuple):
        uniform = origin is list or not arguments or arguments[-1] is Ellipsis
        hints = (arguments or (Any,))[:1] * len(plain) if uniform else arguments
        if len(hints) == len(plain):
            items = zip(hints, plain, strict=True)
            return origin(_value(h, item, f"{where}[{i}]") for i, (h, item) in enumerate(items))
    elif origin is dict and isinstance(plain, dict):
        hint = arguments[1] if arguments else Any
        return {key: _value(hint, item, f"{where}.{key}") for key, item in plain.items()}
    elif origin is Path and isinstance(plain, str):
        return Path(plain)
    elif origin is float and plain in ("nan", "inf", "-inf"):
        return float(plain)
    elif _is_scalar(origin, arguments, plain):
        return plain
    name = str(hint) if arguments else getattr(hint, "__name__", str(hint))
    raise ValueError(f"config {where}: expected {name}, got {plain!r:.80}")


def _is_scalar(origin: Any, arguments: tuple[Any, ...], plain: Any) -> bool:
    if origin is Literal:
        return any(_same(plain, choice) for choice in arguments)
    if isinstance(plain, bool):  # an int to Python, not to a reader of the config
        return origin in (bool, Any)
    if origin is float:
        return isinstance(plain, float | int)
    return origin is Any or isinstance(plain, origin)


def _union(members: tuple[Any, ...], plain: Any, where: str) -> Any:
    if sum(map(dataclasses.is_dataclass, members)) > 1:
        raise ValueError(f"config {where}: a record cannot tell dataclasses of a union apart")
    for member in members[:-1]:
        with suppress(ValueError):
            return _value(member, plain, where)
    return _value(members[-1], plain, where)
