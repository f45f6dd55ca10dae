"""What is trained on what."""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from jaxrnn import runs
from jaxrnn.cell_files import cell_name, check_cells
from jaxrnn.data.tasks import NEEDS, TASKS, Task
from jaxrnn.data.tasks.published import PUBLISHED
from jaxrnn.runs import Decided
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
    """Names in CELLS, or path/to/file.py:factory."""
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Learning rates, of which each cell has its best on each task; --sweep takes their place."""
    parameters: int = 10_000
    """What each model may have at most, its hidden size found from it; 0 takes --hidden-size."""
    steps: int = 500
    """Training steps of an epoch, after which a model is tested."""
    test_sequences: int = 256
    """Sequences of each length that are tested on."""
    published_tasks: bool = False
    """Tasks with their papers' lengths and scored places, where there are such."""
    model: Model = Model()
    gradient: runs.GradientConfig = runs.GradientConfig(estimator="bptt")
    optimizer: runs.OptimizerConfig = runs.OptimizerConfig(optimizer="adam", max_norm=1.0)
    loop: Loop = Loop()


QUICK_TASKS = (
    *("parity", "modular_arithmetic", "word_s3", "flip_flop"),
    *("dyck", "selective_copy", "adding", "reversing"),
)
# Grazzi et al. (2024), table 3: 2 layers of 128, batches of 1,024, 100,000 steps, AdamW
AS_GRAZZI = {"num_layers": 2, "hidden_size": 128, "embedding_size": 128, "batch_size": 1024}
AS_GRAZZI |= {"parameters": 0, "steps": 10_000, "epochs": 10, "optimizer": "adamw"}
SMOKE = {"tasks": ("parity", "adding"), "cells": ("elman", "gru"), "rates": (3e-3, 1e-2)}
SMOKE |= {"parameters": 500, "embedding_size": 4, "steps": 5, "batch_size": 8, "seeds": 2}
SMOKE |= {"test_sequences": 16}
PRESETS = {
    "smoke": runs.replaced(Config(), **SMOKE),
    "quick": runs.replaced(Config(), tasks=QUICK_TASKS, batch_size=32, steps=400, seeds=2),
    "published": runs.replaced(Config(), **AS_GRAZZI, published_tasks=True),
}


def rates(config: Config) -> Sequence[str]:
    """The sweep over learning rates."""
    return ["learning_rate=" + ",".join(f"{rate:g}" for rate in config.rates)]


def names_of(config: Config) -> tuple[str, ...]:
    """The tasks' names; where all are asked for, of those whose data are here."""
    if config.tasks != (ALL,):
        return config.tasks
    return tuple(n for n in TASKS if importlib.util.find_spec(NEEDS.get(n, "jax")))


def settings(config: Config) -> dict[str, Config]:
    """Each cell on each task, a config with these alone."""
    check_cells(config.cells)
    for what, given in (("tasks", config.tasks), ("cells", config.cells), ("rates", config.rates)):
        if not given:
            raise ValueError(f"--{what} is empty; give at least one")
    for name, times in Counter(map(task_name, config.tasks)).most_common(1):
        if times > 1:
            raise ValueError(f"--tasks holds {name} {times} times; give it once")
    if ALL in config.tasks and len(config.tasks) > 1:
        raise ValueError(f"--tasks holds all beside others; give {ALL} alone, or the others")
    found = {}
    for task in names_of(config):
        for cell in config.cells:
            model = replace(config.model, cell=cell)
            own = replace(config, tasks=(task,), cells=(cell,), model=model)
            found[setting_name(task, cell)] = own
    return found


def setting_name(task: str, cell: str) -> str:
    return f"{task_name(task)}-{cell_name(cell)}"


def task_of(config: Config, name: str) -> Task:
    """The task, in its paper's setting where that is asked for."""
    return _task(name, config.published_tasks, _version(name))


@lru_cache(maxsize=64)
def _task(name: str, published: bool, version: float) -> Task:
    """One object for all models, so that its test batches are drawn once."""
    if published and name in PUBLISHED:
        return PUBLISHED[name]().task
    return find_task(name)


def _version(name: str) -> float:
    path = task_file(name)
    return path.stat().st_mtime if path is not None and path.is_file() else 0.0
