"""What is trained on what."""

import importlib.util
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from jaxrnn import runs
from jaxrnn.base import require_positive
from jaxrnn.cell_files import cell_file, cell_name, check_cells, require_apart
from jaxrnn.data.tasks import NEEDS, TASKS, Task
from jaxrnn.data.tasks.published import AS_DELETANG as DELETANGS
from jaxrnn.data.tasks.published import PUBLISHED
from jaxrnn.runs import Decided
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.records import read_record
from jaxrnn.tasks import find_task, task_file, task_name

ALL = "all"


@dataclass(frozen=True)
class Model(runs.ModelConfig):
    cell: Decided[str] = "gru"
    embedding_size: int = 16
    """Numbers that a token, or a vector, is read as."""


@dataclass(frozen=True)
class Loop(runs.LoopConfig):
    batch_size: int = 64
    epochs: int = 2
    seeds: int = 3
    log_every: int = 250


@dataclass(frozen=True)
class Config:
    """Every cell on every task at every learning rate."""

    tasks: tuple[str, ...] = ("parity", "modular_arithmetic")
    """Names in TASKS, path/to/file.py:factory, or all."""
    cells: tuple[str, ...] = ("elman", "gru", "lstm", "mgu", "min_gru", "lru")
    """Names in CELLS, or path/to/file.py:factory; either with options: "lru(r_min=0.9)"."""
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Learning rates, of which each cell has its best on each task; --sweep takes their place."""
    halve_rates: int = 2
    """Of each cell on each task, after a first part of the epochs one in so many rates goes on; 0
    trains all to the end."""
    equal: Literal["hidden_size", "parameters", "seconds"] = "parameters"
    """What all cells share on a task. parameters, seconds: the hidden size is the largest whose
    model, or whose training run, stays within what is given."""
    parameters: int = 10_000
    seconds: float = 30.0
    """Of training a cell on a task at one learning rate, by the speed that is measured before."""
    steps: int = 500
    """Training steps of an epoch, after which a model is tested."""
    test_sequences: int = 256
    """Sequences of each length that are tested on."""
    tasks_as: Literal["usual", "published", "deletang"] = "usual"
    """Lengths and scored places: published has those of papers, where there are such (parity and
    modular arithmetic: Grazzi et al.); deletang those of Deletang et al."""
    sizes: Decided[tuple[tuple[str, int], ...]] = ()
    """The hidden sizes that a resumed run has found already, by setting."""
    model: Model = Model()
    gradient: runs.GradientConfig = runs.GradientConfig(estimator="bptt")
    optimizer: runs.OptimizerConfig = runs.OptimizerConfig(optimizer="adam", max_norm=1.0)
    loop: Loop = Loop()


QUICK_TASKS = (
    *("parity", "modular_arithmetic", "word_s3", "flip_flop"),
    *("dyck", "selective_copy", "adding", "reversing"),
)
NEGATIVE = "(eigenvalues=-1..1)"
# transitions in [0, 1] and in [-1, 1], otherwise the same
BOTH_RANGES = tuple(f"{n}{e}" for n in ("delta_net", "mamba2", "rg_lru") for e in ("", NEGATIVE))
LONG = {"equal": "hidden_size", "halve_rates": 0}
# Grazzi et al. (2024), table 3: 2 layers of 128, batches of 1,024, 100,000 steps, AdamW, best of 3
AS_GRAZZI = {"num_layers": 2, "hidden_size": 128, "embedding_size": 128, "batch_size": 1024}
AS_GRAZZI |= {"steps": 10_000, "epochs": 10, "optimizer": "adamw", "tasks_as": "published"}
AS_GRAZZI |= {"cells": ("lstm", "slstm", "mlstm", *BOTH_RANGES[:4])}
# Deletang et al. (2022): 256 units, batches of 128, Adam at 1e-3, best of 10; their example's steps
AS_DELETANG = {"num_layers": 1, "hidden_size": 256, "embedding_size": 0, "batch_size": 128}
AS_DELETANG |= {"steps": 1_000, "epochs": 10, "rates": (1e-3,), "seeds": 10}
AS_DELETANG |= {"tasks_as": "deletang"}
EIGENVALUES = {"tasks": ("parity",), "cells": BOTH_RANGES, "equal": "hidden_size"}
EIGENVALUES |= {"hidden_size": 16, "rates": (3e-3, 1e-2, 3e-2), "steps": 300, "seeds": 2}
# T = 200 and 100 blanks, as Arjovsky et al. (2016) have them
MEMORY = {"tasks": ("adding", "copy"), "cells": ("gru", "lstm"), "equal": "hidden_size"}
MEMORY |= {"tasks_as": "published", "hidden_size": 32, "rates": (3e-3, 1e-2), "epochs": 4}
MEMORY |= {"steps": 2_500, "seeds": 2}
# one cell with states of H^2 / 8, H^2 / 2 and H^2 numbers
RECALL = {"tasks": ("recall",), "equal": "hidden_size", "hidden_size": 32, "block": "pre-norm"}
RECALL |= {"cells": ("delta_net(heads=8)", "delta_net(heads=2)", "delta_net"), "convolution": 4}
RECALL |= {"embedding_size": 32, "rates": (3e-3, 1e-2), "steps": 800, "seeds": 2}
SMOKE = {"tasks": ("parity", "adding"), "cells": ("elman", "gru"), "rates": (3e-3, 1e-2)}
SMOKE |= {"parameters": 500, "embedding_size": 4, "steps": 5, "batch_size": 8, "seeds": 2}
SMOKE |= {"test_sequences": 16}
PRESETS = {
    "smoke": runs.replaced(Config(), **SMOKE),
    "quick": runs.replaced(Config(), tasks=QUICK_TASKS, batch_size=32, steps=400, seeds=2),
    "eigenvalues": runs.replaced(Config(), batch_size=32, **EIGENVALUES),
    "memory": runs.replaced(Config(), batch_size=32, **MEMORY),
    "recall": runs.replaced(Config(), batch_size=32, **RECALL),
    "published": runs.replaced(Config(), **LONG, **AS_GRAZZI),
    "deletang": runs.replaced(Config(), **LONG, **AS_DELETANG),
}


def searched(config: Config) -> runs.Search:
    """The sweep over learning rates; halved, where there are rates and epochs enough."""
    sweep = ["learning_rate=" + ",".join(f"{rate:g}" for rate in config.rates)]
    halves = 2 <= config.halve_rates <= config.loop.epochs and len(config.rates) > 1
    return runs.Search(sweep, config.halve_rates if halves else 0)


def names_of(config: Config) -> tuple[str, ...]:
    """The tasks' names; where all are asked for, of those whose data are here."""
    if config.tasks != (ALL,):
        return config.tasks
    return tuple(n for n in TASKS if importlib.util.find_spec(NEEDS.get(n, "jax")))


def settings(config: Config) -> dict[str, Config]:
    """Each cell on each task, a config with these alone."""
    check_cells(config.cells)
    require_positive(steps=config.steps, test_sequences=config.test_sequences)
    if config.halve_rates == 1:
        raise ValueError("--halve-rates is 1; give at least 2, or 0 to train all rates to the end")
    if not 0 < config.seconds < math.inf:
        raise ValueError(f"--seconds is {config.seconds}; give more than 0")
    for what, given in (("tasks", config.tasks), ("cells", config.cells), ("rates", config.rates)):
        if not given:
            raise ValueError(f"--{what} is empty; give at least one")
    require_apart("--tasks", config.tasks, task_name)
    files = {task_file(name) for name in config.tasks} - {None}
    if len(files) > 1:
        named = " and ".join(sorted(map(str, files)))
        raise ValueError(f"--tasks names {len(files)} files, {named}; put the factories into one")
    if ALL in config.tasks and len(config.tasks) > 1:
        raise ValueError(f"--tasks holds all beside others; give {ALL} alone, or the others")
    found, sizes = {}, dict(config.sizes)
    for task in names_of(config):
        for cell in config.cells:
            model = replace(config.model, cell=cell)
            own, name = replace(config, tasks=(task,), cells=(cell,)), setting_name(task, cell)
            if name in sizes:
                own = replace(own, equal="hidden_size")
                model = replace(model, hidden_size=sizes[name])
            found[name] = replace(own, model=model)
    return found


def resolved(config: Config, resumed: RunDirectory | None) -> Config:
    """A resumed run goes on with the hidden sizes that it has: a clock does not find the same ones
    twice."""
    if resumed is None or config.equal != "seconds":
        return config
    recorded = read_record(resumed)["settings"]
    sizes = tuple((one["name"], one["model"]["hidden_size"]) for one in recorded)
    return replace(config, sizes=sizes)


def setting_name(task: str, cell: str) -> str:
    return f"{task_name(task)}-{cell_name(cell)}"


def task_of(config: Config, name: str) -> Task:
    """The task, in its paper's setting where that is asked for."""
    return _task(name, config.tasks_as, version_of(name))


@lru_cache(maxsize=64)
def _task(name: str, tasks_as: str, version: float) -> Task:
    """One object for all models, so that its test batches are drawn once."""
    known = {"usual": {}, "published": PUBLISHED, "deletang": DELETANGS}[tasks_as]
    return known[name]().task if name in known else find_task(name)


def version_of(name: str) -> float:
    """Of a task's or a cell's file, so that one which was edited meanwhile is not taken for what it
    was."""
    path = cell_file(name)
    return path.stat().st_mtime if path is not None and path.is_file() else 0.0
