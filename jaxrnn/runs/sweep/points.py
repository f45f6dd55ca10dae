"""What `--sweep` says: flags of an experiment, and the values that they take."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.cell_options import outside_brackets
from jaxrnn.runs.checking import check_numbers
from jaxrnn.runs.config import field_value, flags_of, record_of, replaced
from jaxrnn.runs.places import from_anywhere

MOST = 10_000
"""Points of one sweep."""

GRAMMAR = "give FIELD=A,B,C, FIELD=log:1e-4..1e-2:7 or FIELD=linear:0..0.5:6"
RANGE = re.compile(r"(log|linear):(.+?)\.\.(.+?)(?::(\d+))?")
DRAWN = re.compile(r"random:(\d+)")


class Point(NamedTuple):
    """One combination of values.

    Attributes:
      name: of its run, below the sweep's directory.
      values: flag to value, plain.
      config: the experiment's, with these values.
    """

    name: str
    values: dict[str, Any]
    config: Any


class Span(NamedTuple):
    """Numbers between two ends, by their logarithms or as they are."""

    log: bool
    low: float
    high: float

    def at(self, part: float | np.ndarray) -> Any:
        """What lies at a part of the way, 0 to 1."""
        if self.log:
            return self.low * (self.high / self.low) ** part
        return self.low + (self.high - self.low) * part


def sweep_points(config: Any, texts: Sequence[str]) -> list[Point]:
    """The points of `--sweep` texts, in order: every combination, or as many as `random:N` draws.

    Numbers of ranges are rounded to six significant digits, so that a run's name says them as they
    are; those of `random:N` are drawn from the config's seed.

    A point that comes twice, as where few values are drawn from, is one point.

    Raises:
      ValueError: a text that says nothing, a flag that is not there or twice, a value that the flag
        does not take, more than 10,000 points, two that train the same seed of the same flags.
    """
    drawn = [found for text in texts if (found := DRAWN.fullmatch(text))]
    if len(drawn) > 1:
        raise ValueError("--sweep has random:N twice; give one number of points")
    fields: dict[str, Span | list[Any]] = {}
    for text in texts:
        if DRAWN.fullmatch(text):
            continue
        name, equals, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name or not values.strip():
            raise ValueError(f"--sweep {text!r} names no field and values; {GRAMMAR}")
        if name not in flags_of(config):
            known = ", ".join(flags_of(config))
            raise ValueError(f"--sweep {text!r}: there is no flag {name}; there are {known}")
        if name in fields:
            raise ValueError(f"--sweep has {name} twice; give all its values at once")
        fields[name] = _values(config, name, values.strip(), counted=not drawn)
    if not fields:
        raise ValueError(f"--sweep {' '.join(texts)} has no field; {GRAMMAR}")
    if drawn:
        rows = _draw(config, fields, int(drawn[0][1]))
    else:
        count = math.prod(map(len, fields.values()))
        if count > MOST:
            raise ValueError(f"--sweep has {count:,} points; give at most {MOST:,}")
        rows = list(product(*fields.values()))
    points: dict[str, Point] = {}
    for point in points_of(config, [dict(zip(fields, row, strict=True)) for row in rows]):
        points.setdefault(repr(point.config), point)
    _check_seeds(points.values())
    return list(points.values())


def points_of(config: Any, rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """A point for each row of values; those of equal names are numbered."""
    points: list[Point] = []
    taken: dict[str, int] = {}
    for row in rows:
        values = {n: field_value(type(config), n, value) for n, value in row.items()}
        name = ",".join(f"{field}={_shown(value)}" for field, value in values.items())
        name = re.sub(r"[^\w=.,+-]", "_", name)[:120]
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name}-{taken[name]}"
        own = from_anywhere(replaced(config, **values), code=True)
        check_numbers(own)
        record = record_of(own)
        points.append(Point(name, {field: record[field] for field in row}, own))
    return points


def _check_seeds(points: Iterable[Point]) -> None:
    """Raises: ValueError, points that differ in their seeds alone, and have one of them in common:
    they would be compared as if they were independent."""
    alike: dict[str, list[Point]] = {}
    for point in points:
        alike.setdefault(repr(replaced(point.config, seed=0, seeds=1)), []).append(point)
    for some in alike.values():
        for one, other in pairwise(sorted(some, key=lambda point: point.config.loop.seed)):
            again = other.config.loop.seed
            if again < one.config.loop.seed + one.config.loop.seeds:
                raise ValueError(
                    f"--sweep: {one.name} and {other.name} both train seed {again}; give --seeds "
                    "alone, or each of them seeds of its own"
                )


def _values(config: Any, name: str, text: str, *, counted: bool) -> Span | list[Any]:
    """The values of one field; a range without a number of values is one to draw from."""
    found = RANGE.fullmatch(text)
    if not found:
        return [_read(config, name, part.strip()) for part in outside_brackets(text)]
    kind, low, high, count = found.groups()
    try:
        span = Span(kind == "log", float(low), float(high))
    except ValueError:
        raise ValueError(
            f"--sweep {name}={text}: {low}..{high} are no numbers; {GRAMMAR}"
        ) from None
    if not span.low < span.high < math.inf or (span.log and span.low <= 0):
        least = "above 0 " if span.log else ""
        raise ValueError(f"--sweep {name}={text}: give two numbers {least}that rise")
    if count is None and counted:
        raise ValueError(
            f"--sweep {name}={text} says no number of values; end it in :7, or add "
            "--sweep random:32"
        )
    if count is None:
        _number(config, name, span.low)  # whether the field takes numbers at all
        return span
    if not 2 <= int(count) <= MOST:
        raise ValueError(f"--sweep {name}={text}: give 2 to {MOST:,} values")
    numbers = [_number(config, name, a) for a in span.at(np.linspace(0, 1, int(count)))]
    return list(dict.fromkeys(numbers))


def _draw(config: Any, fields: Mapping[str, Span | list[Any]], count: int) -> list[list[Any]]:
    if not 1 <= count <= MOST:
        raise ValueError(f"--sweep random:{count}; give 1 to {MOST:,} points")
    random = np.random.default_rng(config.loop.seed)
    return [
        [
            _number(config, name, among.at(random.uniform()))
            if isinstance(among, Span)
            else among[random.integers(len(among))]
            for name, among in fields.items()
        ]
        for _ in range(count)
    ]


def _number(config: Any, name: str, number: float) -> Any:
    """A number of a range, as the field has it: whole, or of six digits."""
    for plain in (float(f"{number:.6g}"), round(number)):
        try:
            field_value(type(config), name, plain)
        except ValueError:
            continue
        return plain
    raise ValueError(
        f"--sweep {name}={number:g}, a number of a range: {name} takes no single number; write out "
        f"its values, {name}=A,B,C"
    )


def _read(config: Any, name: str, text: str) -> Any:
    """A value as it is written, of the field's type; parts of a tuple have blanks between them."""
    for plain in _meanings(text):
        try:
            field_value(type(config), name, plain)
        except ValueError:
            continue
        return plain
    field_value(type(config), name, text)  # says what it should be
    raise AssertionError("one of the meanings is the text itself")


def _meanings(text: str) -> Iterator[Any]:
    """What a text may say: a number, a truth value, nothing, itself, or several of them."""
    for kind in (float, int):
        with suppress(ValueError):
            yield kind(text)
    if text.lower() in ("true", "false"):
        yield text.lower() == "true"
    yield text
    if text == "None":
        yield None
    for kind in (float, int, str):
        with suppress(ValueError):
            yield [kind(part) for part in text.split()]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "+".join(map(_shown, value))
    if isinstance(value, str) and cell_file(value) is not None:
        return cell_name(value)
    return str(value)
