"""Configs: what is recorded is what comes back, and what differs is named."""

import json
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from jaxrnn.runs.config import changed, config_of, from_plain, record_of, to_plain
from jaxrnn.runs.files import to_json


@dataclass(frozen=True)
class Inner:
    size: int
    rate: float = 0.5
    path: Path | None = None


@dataclass(frozen=True)
class Config:
    inner: Inner = Inner(3)
    name: str = "gru"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[str, float] = ("a", 1.0)
    settings: tuple[Inner, ...] = ()
    mode: Literal["smoke", "quick", 1] = "smoke"
    clip: float | None = 1.0
    count: float | int = 1
    flag: bool = False
    options: dict[str, list[int]] = field(default_factory=dict)


numbers = st.floats() | st.integers()
inners = st.builds(
    Inner,
    st.integers(),
    numbers,
    st.none() | st.text("ab/é\udc80", min_size=1).map(Path),
)
configs = st.builds(
    Config,
    inner=inners,
    name=st.text(),
    sizes=st.lists(st.integers()).map(tuple),
    pair=st.tuples(st.text(), st.floats()),
    settings=st.lists(inners).map(tuple),
    mode=st.sampled_from(["smoke", "quick", 1]),
    clip=st.none() | st.floats(),
    count=numbers,
    flag=st.booleans(),
    options=st.dictionaries(st.text(), st.lists(st.integers())),
)


def same(a: Any, b: Any) -> bool:
    """Equal in type too, and NaN equal to NaN."""
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Inner | Config):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return type(a) is type(b) and a == b


@given(configs)
def test_round_trip_through_json(config):
    plain = json.loads(to_json(to_plain(config)))
    assert same(from_plain(Config, plain), config)
    record = json.loads(to_json(record_of(config)))
    assert same(config_of(Config, record), config)
    assert changed(record, config) == {}


@given(configs, configs)
def test_changed_is_empty_only_for_equal_configs(a, b):
    assert (changed(record_of(a), b) == {}) == (to_plain(a) == to_plain(b))


def test_changed_names_fields():
    old = Config(Inner(3))
    new = replace(old, inner=Inner(4, rate=math.inf), flag=True, sizes=(1,))
    assert changed(record_of(old), new) == {
        "size": (3, 4),
        "rate": (0.5, "inf"),
        "sizes": ([1, 2], [1]),
        "flag": (False, True),
    }


def test_a_field_newer_than_the_record_counts_as_its_default():
    plain = to_plain(Config(Inner(3)))
    del plain["name"], plain["inner"]["rate"]
    assert from_plain(Config, plain) == Config(Inner(3))
    record = record_of(Config(Inner(3)))
    del record["name"], record["rate"]
    assert changed(record, Config(Inner(3), name="lstm")) == {"name": ("gru", "lstm")}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"hidden": 1}, "config has unknown fields hidden; known: inner, name"),
        ({"inner": {"size": 1, "sze": 2}}, r"config has unknown fields inner\.sze"),
        ({"inner": {}}, r"config lacks inner\.size"),
        ({"inner": 3}, "config inner: expected an object, got 3"),
        ({"name": 3}, "config name: expected str, got 3"),
        ({"inner": {"size": True}}, r"config inner\.size: expected int, got True"),
        ({"inner": {"size": 1.0}}, r"config inner\.size: expected int, got 1\.0"),
        ({"sizes": [1, "x"]}, r"config sizes\[1\]: expected int, got 'x'"),
        ({"pair": ["x"]}, r"config pair: expected tuple\[str, float\], got \['x'\]"),
        ({"mode": "fast"}, r"config mode: expected .*Literal\['smoke', 'quick', 1\], got 'fast'"),
        ({"mode": True}, r"config mode: expected .*Literal\['smoke', 'quick', 1\], got True"),
        ({"clip": "x"}, "config clip: expected NoneType, got 'x'"),
    ],
)
def test_a_wrong_record_is_one_line(edit, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_plain(Config, to_plain(Config(Inner(3))) | edit)
    assert "\n" not in str(caught.value)


def test_what_a_config_cannot_hold():
    with pytest.raises(ValueError, match="a config cannot hold a set"):
        to_plain(replace(Config(Inner(3)), name={1}))

    @dataclass(frozen=True)
    class Ambiguous:
        inner: Inner | Config

    with pytest.raises(ValueError, match="cannot tell dataclasses of a union apart"):
        from_plain(Ambiguous, to_plain(Ambiguous(Inner(3))))
