"""What a run found: results, claims, the curves of its log."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn.runs.claims import Claim
from jaxrnn.runs.config import to_plain
from jaxrnn.runs.directory import RunDirectory, read_metrics
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
        "config": to_plain(config),
        "results": results,
        "claims": [claim._asdict() for claim in claims],
        "seconds": seconds,
    }
    write_json(run.summary, summary)


def training_seconds(run: RunDirectory, setting: str) -> float:
    """What a setting took, from the log: training, validating and logging, over all sessions."""
    lines = [line for line in read_metrics(run.metrics) if line["setting"] == setting]
    return lines[-1]["seconds"] if lines else 0.0


def curves(run: RunDirectory, setting: str, field: str) -> dict[int, np.ndarray]:
    """Of each seed, the rows (step, value) of the lines that have `field`; null becomes NaN."""
    rows: dict[int, list[tuple[float, float]]] = {}
    for line in read_metrics(run.metrics):
        if line["setting"] == setting and field in line:
            value = np.nan if line[field] is None else line[field]
            rows.setdefault(line["seed"], []).append((line["step"], value))
    return {seed: np.array(values) for seed, values in rows.items()}


def median_and_spread(values: Sequence[float]) -> dict[str, float]:
    """{"median", "min", "max"} over seeds."""
    numbers = np.array(values, float)
    return {
        "median": float(np.median(numbers)),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
    }
