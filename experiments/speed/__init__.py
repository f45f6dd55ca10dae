"""Speed: what jaxrnn computes, timed beside the same mathematics elsewhere.

Question:  How long do layers, custom cells, training steps, compiling and generating take, and how
           long in another library?
Command:   python -m experiments.speed
Expected:  ratios (peer's median / ours) as the claims at the end of the table say; peers come with
           `pip install -c constraints.txt -e '.[peers]'`
Run time:  5 to 8 minutes on two CPU cores, one case about 1; --preset full at most 40;
           --preset gpu at most 8 on a GPU

All sides run in one process, in turns, after their results were seen to agree; compiling is left
out but where it is the question. Ours is what an experiment does by default, devices chosen by
size; further rows show it on one device, and Flax on as many as ours.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import jax

from experiments.speed.compiling import compile_cases
from experiments.speed.custom import custom_cases
from experiments.speed.generating import generate_cases
from experiments.speed.layers import gru_cases, lstm_cases
from experiments.speed.machine import matmul_rate
from experiments.speed.matrix import matrix_cases
from experiments.speed.measuring import Case, measure
from experiments.speed.members import member_cases
from experiments.speed.memory import memory_cases
from experiments.speed.presets import PRESETS, CaseName, Preset
from experiments.speed.report import (
    numbers_of,
    plot_ratios,
    print_case,
    reasons_of,
    rows_of,
)
from experiments.speed.schedules import linear_cases, schedule_cases
from experiments.speed.targets import claims
from experiments.speed.tensorboard import tensorboard_cases
from experiments.speed.toy import toy_step_cases
from experiments.speed.training import char_step_cases
from experiments.speed.words import word_cases
from jaxrnn.base import require_positive
from jaxrnn.runs.command import run_command
from jaxrnn.runs.directory import create_run, default_run_path
from jaxrnn.runs.environment import describe_environment
from jaxrnn.runs.files import write_json, writing
from jaxrnn.runs.report import print_claims
from jaxrnn.runs.summary import write_summary
from jaxrnn.token_model import Precision

CASES: dict[CaseName, Callable[[Preset], Iterator[Case]]] = {
    "lstm": lstm_cases,
    "gru": gru_cases,
    "cells": custom_cases,
    "linear": linear_cases,
    "matrix-state": matrix_cases,
    "schedules": schedule_cases,
    "char-step": char_step_cases,
    "toy-step": toy_step_cases,
    "word": word_cases,
    "generate": generate_cases,
    "compile": compile_cases,
    "memory": memory_cases,
    "tensorboard": tensorboard_cases,
    "members": member_cases,
}


@dataclass(frozen=True)
class Config:
    """What to time."""

    case: tuple[CaseName, ...] | None = None
    """One or more; if not given all of them, linear, matrix-state and schedules in the full
    preset only. lstm, gru: gradients of one layer, at five shapes. cells: the same of three cells
    that no library has. linear: recurrences as loops and in parallel. matrix-state: carries that
    are matrices. schedules: a cell of each kind, by every schedule. char-step: R2RT's training
    step, 3 layers. toy-step: 5 steps of 4 units in an epoch. word: the published word model's step.
    compile: trace and compile. memory: T = 10,000. tensorboard: a training run with it and without.
    members: 32 seeds side by side, and one after another."""
    preset: Literal["smoke", "quick", "full", "gpu"] = "quick"
    """smoke: tiny shapes, to see that it works. full: more libraries, torch.compile, linear
    recurrences, a Python loop written out. gpu: layers and schedules at sizes that fill one, in
    bfloat16 too, beside cuDNN; at most 8 minutes."""
    repeats: int = 15
    """Most measurements of each side; medians are shown."""
    seconds: float = 4.0
    """After so long a case ends, with 3 measurements at least."""
    precision: Precision = "float32"
    """bfloat16: lstm, gru, cells, char-step and schedules have ours a second time, computed in it;
    gpu has it anyway."""
    run: Path | None = None
    """Directory of the result; runs/speed/TIME if not given."""


def run(config: Config) -> None:
    require_positive(repeats=config.repeats)
    if config.case == ():
        raise ValueError(f"--case names nothing; give one or more of {', '.join(CASES)}")
    if config.repeats > 1000:
        raise ValueError(f"--repeats is {config.repeats}; give at most 1000")
    if not 0 <= config.seconds <= 3600:
        raise ValueError(f"--seconds is {config.seconds}; give 0 to 3600")
    # a device per core must be asked for before JAX starts; one of them alone is the single device
    with contextlib.suppress(AttributeError, RuntimeError):  # macOS; JAX has started
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    preset = _preset(config)
    directory = create_run(config.run or default_run_path("speed"))
    print(f"run {directory.path}", flush=True)
    environment = describe_environment({}, jax.device_count(), Path(__file__).parent)
    environment["versions"] |= peer_versions()
    write_json(directory.environment, environment)
    start = time.perf_counter()
    rate = matmul_rate(preset.matmul)
    print(f"limit {rate / 1e9:,.0f} GFLOP/s, a matmul of {preset.matmul} rows", flush=True)
    rows, wrong = [], []
    every: Sequence[CaseName] = [name for name in CASES if name not in preset.left_out]
    for name in dict.fromkeys(config.case or every):
        for case in CASES[name](preset):
            if time.perf_counter() - start > preset.seconds:
                print(f"left out, after {preset.seconds:.0f} seconds: {case.name}, {case.shape}")
                continue
            found = measure(case, config.repeats, config.seconds)
            numbers, reasons = numbers_of(case, found, rate), reasons_of(case, found)
            print_case(case, numbers, reasons)
            rows += rows_of(case, numbers, reasons)
            wrong += [f"{case.name}, {case.shape}: {peer}" for peer in found.wrong]
    held = claims(rows, PRESETS["quick"])
    plot = directory.plots / "ratios.png"
    with writing(plot):
        plot_ratios(plot, rows)
    write_summary(directory, "speed", config, rows, held, time.perf_counter() - start)
    print_claims(held)
    print(f"summary {directory.summary}\nplot {plot}")
    if wrong:
        raise ValueError(f"results differ from ours in {'; '.join(wrong)}: not compared")


def _preset(config: Config) -> Preset:
    preset, platform = PRESETS[config.preset], jax.default_backend()
    if config.preset == "gpu" and platform == "cpu":
        raise ValueError(
            "--preset gpu is for a GPU or TPU, and JAX has a CPU alone here; "
            "give --preset quick, or --preset smoke --case schedules"
        )
    return preset if config.precision == "float32" else preset._replace(precision=config.precision)


def peer_versions() -> dict[str, str | None]:
    """Of the libraries that jaxrnn is compared with; None where one is not installed."""
    found = {}
    for name in ("torch", "dm-haiku", "equinox", "keras"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("experiments.speed", Config, run, description=__doc__, argv=argv)
