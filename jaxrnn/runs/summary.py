"""The summary of a run or a benchmark, and the numbers that stand for several seeds in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn.analysis.coverage import covers
from jaxrnn.analysis.statistics import bootstrap, iqm
from jaxrnn.runs.claims import Claim
from jaxrnn.runs.config import record_of
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_json


def write_summary(
    run: RunDirectory,
    experiment: str,
    config: Any,
    results: Any,
    claims: Sequence[Claim],
    seconds: float,
    tables: Sequence[Any] = (),
) -> None:
    """Writes summary.json; `seconds` are those of training, over all sessions of the run, and
    `tables` those of the report, kept as they are printed."""
    summary = {
        "experiment": experiment,
        "config": record_of(config),
        "results": results,
        "claims": [claim._asdict() for claim in claims],
        "tables": plain(tables),
        "seconds": seconds,
    }
    write_json(run.summary, summary)


def plain(tables: Sequence[Any]) -> list[dict[str, Any]]:
    """Tables of a report as they are printed."""
    return [
        {
            "title": table.title,
            "columns": list(table.columns),
            "rows": [[str(value) for value in row] for row in table.rows],
        }
        for table in tables
    ]


def median_and_spread(values: Sequence[float]) -> dict[str, Any]:
    """What several seeds came to: "median", "min", "max"; "seeds", how many; "iqm", the
    interquartile mean, and "interval", the ends of its bootstrap interval of 95 %, which "covers"
    this part of what it should (None of one seed). A seed without a number diverged, and counts as
    infinite."""
    numbers = np.array(values, float)
    numbers = np.where(np.isnan(numbers), np.inf, numbers)
    found = bootstrap(iqm, numbers[:, None]) if len(numbers) > 1 else None
    return {
        "median": float(np.median(numbers)),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "seeds": len(numbers),
        "iqm": float(iqm(numbers[:, None])),
        "interval": None if found is None else [float(found.low), float(found.high)],
        "covers": None if found is None else covers(len(numbers)),
    }


def over_seeds(claims: Sequence[Claim], by_seed: Sequence[Sequence[Claim]]) -> list[Claim]:
    """Claims with the spread of what each seed alone would have observed.

    Args:
      claims: of all seeds together.
      by_seed: the same claims in the same order, of each seed alone; of fewer than two seeds the
        claims stay as they are.
    """
    if len(by_seed) < 2:
        return list(claims)
    together = zip(claims, *by_seed, strict=True)
    return [claim._replace(spread=_spread(claim, alone)) for claim, *alone in together]


def _spread(claim: Claim, alone: Sequence[Claim]) -> dict[str, Any] | None:
    seen = [each.observed for each in alone]
    if isinstance(claim.observed, dict):
        named = {name: [of[name] for of in seen] for name in claim.observed}  # pyright: ignore
        return {
            name: found for name, found in ((n, _numbers(v)) for n, v in named.items()) if found
        }
    return _numbers(seen)


def _numbers(seen: Sequence[Any]) -> dict[str, Any] | None:
    """The spread of what every seed has observed; None where one has not, or no number."""
    if any(value is None or isinstance(value, str) for value in seen):
        return None
    return median_and_spread(seen)
