"""Runs and sweeps that no test has to train: copies of the run of version 0.1.0 with other configs
and losses."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

FIXTURE = Path(__file__).parent / "fixtures" / "version_0_1_0" / "run"
"""Settings gru and elman of two seeds each."""
RATES = {"rate_1": 0.001, "rate_2": 0.01, "rate_3": 0.1}


def like_the_fixture(
    path: Path, config: Mapping[str, object], *, higher: float = 0.0, seeds: int = 0
) -> Path:
    """A run with some other fields of its config, whose losses are higher, and whose seeds begin
    at `seeds`."""
    shutil.copytree(FIXTURE, path)
    record = json.loads((FIXTURE / "config.json").read_text())
    record["config"] |= config
    record["seeds"] = [seed + seeds for seed in record["seeds"]]
    (path / "config.json").write_text(json.dumps(record))
    lines = [json.loads(line) for line in (FIXTURE / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["seed"] += seeds
        for name in {"loss", "train_loss", "valid_loss"} & line.keys():
            line[name] += higher
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def make_sweep(path: Path, begun: int = 3) -> Path:
    """A sweep of three learning rates of which the second is the best, and the third by far the
    worst; of these the first have begun."""
    for (name, rate), higher in list(zip(RATES.items(), (0.05, 0.0, 2.0), strict=True))[:begun]:
        like_the_fixture(path / name, {"learning_rate": rate}, higher=higher)
    content = {
        "experiment": "char",
        "fields": {"learning_rate": [*RATES.values()]},
        "runs": {name: {"learning_rate": rate} for name, rate in RATES.items()},
    }
    (path / "sweep.json").write_text(json.dumps(content))
    return path
