"""Every style at equal numbers of targets, of updates and of seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.truncation.config import Config
from experiments.truncation.tasks import (
    Task,
    Trained,
    character_task,
    make_training,
    make_validate,
    toy_task,
)
from experiments.truncation.variants import Variant, truncating, unbounded
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import require_positive
from jaxrnn.data import TOY, loss_floors
from jaxrnn.parallel import Devices
from jaxrnn.runs.directory import RunDirectory, read_metrics
from jaxrnn.runs.loop import Setting
from jaxrnn.runs.report import print_table
from jaxrnn.runs.summary import curves

BUDGETS = ("targets", "updates", "seconds")
"""What is made equal, in turn."""


def trainings(config: Config, devices: Devices) -> list[Trained]:
    """Every style on the toy task and on characters, each by `Variant`s at every window."""
    toy, text = toy_task(config), character_task(config)
    return [
        *_of(config, "toy", toy, config.toy_window, config.toy_num_steps, devices),
        *_of(config, "text", text, config.text_window, config.text_num_steps, devices),
    ]


def _of(
    config: Config,
    part: str,
    task: Task,
    windows: Sequence[int],
    num_steps: int,
    devices: Devices,
) -> list[Trained]:
    if not windows:
        raise ValueError(f"--{part}-window holds nothing; give at least one window")
    for window in windows:
        require_positive(**{f"{part}_window": window, f"{part}_num_steps": num_steps})
    bounded = [variant for window in windows for variant in truncating(window, num_steps)]
    epochs, rate = {
        "toy": (config.toy_epochs, config.toy_rate),
        "text": (config.text_epochs, config.text_rate),
    }[part]
    return [
        train(config, part, task, variant, epochs, rate, devices)
        for variant in dict.fromkeys([*bounded, *unbounded(windows, num_steps)])
    ]


def train(
    config: Config,
    part: str,
    task: Task,
    variant: Variant,
    epochs: int,
    learning_rate: float,
    devices: Devices,
) -> Trained:
    """One training of a small task, an epoch to a line of the log."""
    training = make_training(
        task, variant, epochs=epochs, devices=devices, schedule=config.schedule
    )
    name = f"{part}_{variant.name}"
    setting = Setting(name, training, make_validate(task), learning_rate, epochs, ())
    return Trained(part, task, variant, setting)


def seconds_per_update(directory: RunDirectory, setting: str) -> float:
    """The median over the log's lines: compiling, validating and pauses are no part of it."""
    lines = [line for line in read_metrics(directory.metrics) if line["setting"] == setting]
    rates = [line["steps_per_second"] for line in lines if "steps_per_second" in line]
    return 1 / float(np.median(rates))


def paths(directory: RunDirectory, trained: Trained) -> dict[str, list[np.ndarray]]:
    """For each budget the rows (spent, validation loss) of every seed."""
    losses = curves(directory, trained.setting.name, "valid_loss")
    unit = {
        "targets": float(trained.targets_per_update),
        "updates": 1.0,
        "seconds": seconds_per_update(directory, trained.setting.name),
    }
    return {budget: [rows * [unit[budget], 1.0] for rows in losses.values()] for budget in BUDGETS}


def at_equal(every: Sequence[dict[str, list[np.ndarray]]]) -> list[dict[str, float | None]]:
    """Of each training the median loss where the shortest of them had spent its budget: of the
    targets, of the updates, of the seconds. None where a training had not been validated by then.
    """
    least = {budget: min(float(path[budget][0][-1, 0]) for path in every) for budget in BUDGETS}
    return [{budget: _read(path[budget], least[budget]) for budget in BUDGETS} for path in every]


def _read(seeds: list[np.ndarray], spent: float) -> float | None:
    first = float(seeds[0][0, 0])
    if spent < first * (1 - 1e-9):
        return None
    return float(np.median([np.interp(spent, rows[:, 0], rows[:, 1]) for rows in seeds]))


def report(config: Config, part: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table of one task, the best at equal targets first."""
    worst = float("inf")
    ordered = sorted(
        rows, key=lambda row: worst if (loss := row["at_equal"]["targets"]) is None else loss
    )
    floors = ", ".join(
        f"{' and '.join(f't-{lag}' for lag in lags) or 'neither'} {floor:.4f}"
        for lags, floor in loss_floors(TOY).items()
    )
    print_table(
        ["style", "updates", "ms / update", *(f"equal {budget}" for budget in BUDGETS), "lowest"],
        [
            [
                row["label"],
                row["updates"],
                f"{1e3 * row['seconds_per_update']:.3g}",
                *(_shown(row["at_equal"][budget]) for budget in BUDGETS),
                "diverged" if row["diverged"] else _shown(row["valid_loss"]),
            ]
            for row in ordered
        ],
        title=f"{part}: validation loss in nats, median of {config.seeds} seed(s)"
        + (f"; floors: {floors}" if part == "toy" else ""),
    )


def _shown(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.4f}"


def plot_toy(path: Path, config: Config, found: Sequence[tuple[Trained, dict]]) -> None:
    """A panel for every window, and one for the styles without."""
    floors = {
        " and ".join(f"t-{lag}" for lag in lags) or "neither": floor
        for lags, floor in loss_floors(TOY).items()
    }
    panels = []
    for window in (*config.toy_window, None):
        mine = {
            trained.variant.label: spent["targets"]
            for trained, spent in found
            if (trained.variant.window if trained.bounded else None) == window
        }
        title = f"window {window}" if window else "no window"
        if mine:
            panels.append(Panel(title, mine, floors, "targets"))
    learning_curves(path, panels)


def plot_text(path: Path, found: Sequence[tuple[Trained, dict]]) -> None:
    """A panel for every budget."""
    panels = [
        Panel(
            f"by {budget}",
            {trained.variant.label: spent[budget] for trained, spent in found},
            {},
            budget,
            # the exact online gradient takes a hundred times as long as the cheapest style
            x_scale="log" if budget == "seconds" else "linear",
        )
        for budget in BUDGETS
    ]
    learning_curves(path, panels)
