"""The summary of a run or a benchmark, and the numbers that stand for several seeds in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

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


def median_and_spread(values: Sequence[float]) -> dict[str, float]:
    """{"median", "min", "max"} over seeds."""
    numbers = np.array(values, float)
    return {
        "median": float(np.median(numbers)),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
    }
