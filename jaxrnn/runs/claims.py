"""Claims: published or derived statements, held against the numbers of a run.

`holds` is computed, never typed in: true or false, or null where the run did not measure (None). A
measurement that is NaN, e.g. of a run that diverged, was made and failed: false.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

Measured = float | None
"""None where the run did not measure, or the source has no number."""


class Claim(NamedTuple):
    """A statement, where it stands, what it expects, what this run observed, whether it holds.

    Attributes:
      published: the number that the source itself has; None where it has none.
      spread: what the seeds behind `observed` came to, as `median_and_spread` says it, or that of
        each name where several are observed; None of one seed.
    """

    name: str
    source: str
    expected: str
    observed: float | dict[str, float | None] | str | None
    holds: bool | None
    published: float | None = None
    spread: dict[str, Any] | None = None


def within(name: str, source: str, observed: Measured, expected: float, tolerance: float) -> Claim:
    """`observed` is at most `tolerance` away from `expected`, the published number."""
    # Compared as low <= x <= high: 0.52 - 0.516 <= 0.004 would be false by rounding.
    holds = _holds(observed, expected - tolerance, expected + tolerance)
    return Claim(name, source, f"{expected:.4g} ± {tolerance:g}", observed, holds, expected)


def below(
    name: str, source: str, observed: Measured, limit: float, published: Measured = None
) -> Claim:
    """`observed` is less than `limit`."""
    holds = None if observed is None else bool(observed < limit)
    return Claim(name, source, f"below {limit:g}", observed, holds, published)


def above(
    name: str, source: str, observed: Measured, limit: float, published: Measured = None
) -> Claim:
    """`observed` is more than `limit`."""
    holds = None if observed is None else bool(observed > limit)
    return Claim(name, source, f"above {limit:g}", observed, holds, published)


def at_least(
    name: str, source: str, observed: Measured, limit: float, published: Measured = None
) -> Claim:
    """`observed` is `limit` or more."""
    holds = _holds(observed, limit, math.inf)
    return Claim(name, source, f"at least {limit:g}", observed, holds, published)


def at_most(
    name: str, source: str, observed: Measured, limit: float, published: Measured = None
) -> Claim:
    """`observed` is `limit` or less."""
    holds = _holds(observed, -math.inf, limit)
    return Claim(name, source, f"at most {limit:g}", observed, holds, published)


def between(name: str, source: str, observed: Measured, low: float, high: float) -> Claim:
    """`observed` is in [low, high]."""
    return Claim(name, source, f"{low:g} to {high:g}", observed, _holds(observed, low, high))


def ordered(name: str, source: str, observed: dict[str, float | None]) -> Claim:
    """The values ascend strictly in the order in which they are given."""
    values = list(observed.values())
    known = [value for value in values if value is not None]
    # What is known can refute the order; only all of it can confirm.
    holds = all(a < b for a, b in pairwise(known)) and not any(map(math.isnan, known))
    decided = None if holds and len(known) < len(values) else holds
    return Claim(name, source, " < ".join(observed), observed, decided)


def claims_table(claims: Iterable[Claim]) -> "Table":
    """A table for a terminal, one claim a row; the sources are in summary.json."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("claim", "expected", "observed", "holds")
    marks = {True: "[green]yes[/]", False: "[red]no[/]", None: "open"}
    for claim in claims:
        texts = (claim.name, claim.expected, observed_text(claim.observed))
        table.add_row(*map(escape, texts), marks[claim.holds])
    return table


def _holds(observed: Measured, low: float, high: float) -> bool | None:
    return None if observed is None else bool(low <= observed <= high)


def observed_text(observed: float | dict[str, float | None] | str | None) -> str:
    """What was observed, for a reader."""
    if isinstance(observed, dict):
        return ", ".join(f"{name} {observed_text(value)}" for name, value in observed.items())
    if observed is None:
        return "-"
    return observed if isinstance(observed, str) else f"{observed:.5g}"
