"""The summary of a run or a benchmark, and the numbers that stand for several seeds in it."""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
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
    """Claims with the spread of what each seed alone would have observed. An order is decided by
    the seeds: it holds, or fails, where the interval of the differences between two of its names
    says so, and is open where that has zero in it.

    Args:
      claims: of all seeds together.
      by_seed: the same claims in the same order, of each seed alone; of fewer than two seeds the
        claims stay as they are.
    """
    if len(by_seed) < 2:
        return list(claims)
    together = zip(claims, *by_seed, strict=True)
    return [
        claim._replace(spread=_spread(claim, alone), holds=_decided(claim, alone))
        for claim, *alone in together
    ]


def _decided(claim: Claim, alone: Sequence[Claim]) -> bool | None:
    """Of an order what the differences of the same seed say, of anything else `holds`: any two
    names that stand the wrong way round refute it, and all neighbours have to stand right."""
    seeds: list[Any] = [each.observed for each in alone]
    if claim.holds is None or not isinstance(claim.observed, dict):
        return claim.holds
    names = [n for n in claim.observed if all(_is_finite(seed.get(n)) for seed in seeds)]
    if len(names) < len(claim.observed):  # one diverged or is not there
        return claim.holds
    intervals = {
        (a, b): median_and_spread([seed[b] - seed[a] for seed in seeds])["interval"]
        for a, b in combinations(names, 2)
    }
    if any(high <= 0 for _, high in intervals.values()):
        return False
    return True if all(intervals[pair][0] > 0 for pair in pairwise(names)) else None


def _is_finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


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
