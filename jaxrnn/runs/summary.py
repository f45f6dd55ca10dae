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
) -> None:
    """Writes summary.json; `seconds` are those of training, over all sessions of the run."""
    summary = {
        "experiment": experiment,
        "config": record_of(config),
        "results": results,
        "claims": [claim._asdict() for claim in claims],
        "seconds": seconds,
    }
    write_json(run.summary, summary)


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
