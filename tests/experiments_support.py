"""What the tests of experiments share: a small text, small settings, what a command printed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrnn.runs import checkpoints
from jaxrnn.runs.checking import check_numbers, members
from jaxrnn.runs.command import in_flags, one_line
from jaxrnn.runs.flags import read_flags
from jaxrnn.runs.lock import LOCK
from jaxrnn.runs.manifests import signed
from jaxrnn.runs.preparing import check_setting, of_seeds
from jaxrnn.runs.sweep.directory import read_sweep
from jaxrnn.runs.sweep.halving import first_search
from jaxrnn.training import Training

CLOCKS = {"seconds", "steps_per_second", "seconds_per_epoch"}

# A cell in a researcher's own file, and some that are no cells.
CELLS_FILE = """
import jax
import jax.numpy as jnp
from jaxrnn import elman


def mine(input_size, hidden_size):
    return elman(input_size, hidden_size)


def raises(input_size, hidden_size):
    raise RuntimeError("no such luck\\nand a second line")


def number(input_size, hidden_size):
    return 3


def no_arguments():
    return elman(1, 1)


def wrong_shapes(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    return cell._replace(step=lambda params, h, x: (h, x @ params.w_hh))


def drifts(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    return cell._replace(step=lambda params, h, x: (jnp.concatenate([h, h]), h))


def too_many(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    return cell._replace(step=lambda params, h, x: (h, jnp.concatenate([h, h])))


def refuses(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    return cell._replace(step=lambda params, h, x: (h, h.sum() @ h))


def interrupts(input_size, hidden_size):
    raise KeyboardInterrupt
"""


def write_text(folder: Path) -> Path:
    """About 4,000 characters of a few words; lines begin with a capital. Who trains on it what
    another test trains too compiles nothing anew."""
    words = ["the", "rose", "by", "any", "other", "name", "would", "smell", "as", "sweet\nA"]
    order = np.random.default_rng(0).integers(0, len(words), 780)
    path = folder / "text.txt"
    path.write_text(" ".join(words[i] for i in order), encoding="utf-8")
    return path


def write_cells(folder: Path) -> Path:
    path = folder / "cells.py"
    path.write_text(CELLS_FILE, encoding="utf-8")
    return path


def small_char(text: Path) -> list[str]:
    """The smoke run with less of all: 14 segments an epoch, in chunks of 3, 3, 3, 3 and 2."""
    sizes = "--cell elman --num-layers 1 --hidden-size 6 --embedding-size 4 --batch-size 8"
    rest = "--num-steps 30 --epochs 2 --log-every 3 --learning-rate 0.01 --sample-length 5"
    return [
        "--preset",
        "smoke",
        "--corpus",
        str(text),
        *sizes.split(),
        *rest.split(),
        "--devices",
        "1",
    ]


# The smoke run in two settings, with seeds that two devices do not divide: an epoch is a chunk.
SMALL_TOY = [
    *["--preset", "smoke", "--num-steps", "2", "3", "--state-size", "2", "3", "--epochs", "1", "2"],
    *["--length", "1230", "--batch-size", "10", "--seeds", "3", "--log-every", "4"],
]


def logged(run: Path) -> list[dict[str, Any]]:
    """The lines of the log, without what a clock measured."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [without_clocks(line) for line in lines]


def searches(sweep: Path, setting: str) -> list[Any]:
    """Of a halved sweep, the search after each rung."""
    folder, points = sweep / "search" / setting, len(read_sweep(sweep).runs)
    steps = checkpoints.committed_steps(folder)
    found = [checkpoints.restore_checkpoint(folder, n, first_search(points)) for n in steps]
    return [search for search, _ in found]


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if k not in CLOCKS}
    return [without_clocks(v) for v in value] if isinstance(value, list) else value


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` and its bytes, but who has locked it."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def unbind(run: Path) -> None:
    """Makes the checkpoints of a run those of an earlier version, which did not know what they
    belong to."""
    for path in run.rglob(checkpoints.MANIFEST):
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["sha256"]
        for name in ("belongs_to", "log_sha256", "beside"):
            del content["record"][name]
        path.write_text(signed(content), encoding="utf-8")


def error_of(
    capsys: Any, main: Callable[[Sequence[str]], int], arguments: Sequence[str], code: int = 1
) -> str:
    """The one line that a command which fails prints."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


def config_of(experiment: Any, *arguments: object) -> Any:
    """The config of a training command line."""
    return read_flags(experiment.EXPERIMENT, [str(argument) for argument in arguments])[0]


def training_of(experiment: Any, config: Any) -> Training:
    """The first training run of a config."""
    config = experiment.EXPERIMENT.resolved(config, None)
    part = next(iter(experiment.settings(config).values()))
    return experiment.build(part).training


def refusal(experiment: Any, config: Any) -> str:
    """What the experiment's command says to a config without tracing a training step."""
    try:
        check_numbers(config)
        config = experiment.EXPERIMENT.resolved(config, None)
        seeds = members(config.loop.seed, config.loop.seeds)
        for part in experiment.settings(config).values():
            setting = experiment.build(part)
            check_setting(setting, of_seeds(setting, seeds), jax.devices()[:1])
    except Exception as error:
        return in_flags(one_line(error), config)
    raise AssertionError("it is not refused")
