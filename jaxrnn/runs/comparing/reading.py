"""The runs that are compared, and whether they can be."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.environment import recorded_texts
from jaxrnn.runs.frame import BESIDE, MEMBERS, results_rows
from jaxrnn.runs.records import read_record, read_vocabulary_file

SPLIT = ("valid_fraction", "limit")
"""Fields of the config that say what is held out, and into which symbols a text is divided."""


class Unalike(ValueError):
    """Two runs whose losses say nothing about one another; `str()` is one line that says why."""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The members of one run, as rows of `runs.results`, in which a field of the config is that
    field and not what was measured under its name.

    Raises:
      ValueError: it has logged nothing yet.
    """
    rows = list(results_rows(path))
    if not rows:
        raise ValueError(f"{path} has logged nothing yet; train it further")
    for row in rows:
        fields = {n.removeprefix(BESIDE): v for n, v in row.items() if n.startswith(BESIDE)}
        yield row | fields


def fields_of(paths: Sequence[Path]) -> list[str]:
    """Of all configs, but for those that a seed stands for."""
    names = [name for path in paths for name in read_record(RunDirectory(path))["config"]]
    return [name for name in dict.fromkeys(names) if name not in MEMBERS]


def require_alike(paths: Sequence[Path]) -> None:
    """Raises: Unalike, two runs of which the losses say nothing about one another, and why."""
    first = paths[0]
    texts, record, symbols = (
        recorded_texts(first),
        read_record(RunDirectory(first)),
        _symbols(first),
    )
    for other in paths[1:]:
        its, there = recorded_texts(other), read_record(RunDirectory(other))
        if sorted(its.values()) != sorted(texts.values()):
            raise Unalike(
                f"{first} and {other} differ in text ({_said(texts)}; {_said(its)}); "
                "compare runs of one text"
            )
        if not texts and record["experiment"] != there["experiment"]:
            raise Unalike(
                f"{first} is a run of {record['experiment']} and {other} one of "
                f"{there['experiment']}, which read no text; compare runs of one task"
            )
        for field in SPLIT:
            here, others = (each["config"].get(field) for each in (record, there))
            if here != others:
                flag = "--" + field.replace("_", "-")
                raise Unalike(
                    f"{first} and {other} differ in split: {flag} is {here} and {others}; compare "
                    "runs of one split"
                )
        if _symbols(other) != symbols:
            raise Unalike(
                f"{first} and {other} divide their text into other symbols, so that a loss per "
                "symbol is not the same; compare runs of one level"
            )


def _symbols(path: Path) -> Sequence[str] | None:
    vocabulary = RunDirectory(path).vocabulary
    return read_vocabulary_file(vocabulary).symbols if vocabulary.is_file() else None


def _said(texts: dict[str, str]) -> str:
    named = [f"{Path(name).name} with sha256 {str(sha256)[:12]}" for name, sha256 in texts.items()]
    return ", ".join(named) or "no text"
