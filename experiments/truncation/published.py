"""The post's grid: true truncation and TensorFlow style, by n and learning rate, on words."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.truncation.config import Config
from experiments.truncation.quirks import carrying_dropped, scaled
from experiments.truncation.tasks import (
    Task,
    Trained,
    make_training,
    make_validate,
    word_task,
)
from experiments.truncation.variants import Variant, tensorflow_style, true_truncation
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import GradientEstimator, require_positive
from jaxrnn.parallel import Devices
from jaxrnn.runs.loop import Setting
from jaxrnn.runs.report import print_table

POST_RATES = (0.003, 0.001, 0.0003)
POST: dict[tuple[str, int], tuple[float, float, float]] = {
    ("true", 5): (5.12, 5.01, 5.09),
    ("tf", 5): (5.21, 5.04, 5.04),
    ("true", 10): (5.07, 5.00, 5.12),
    ("tf", 10): (5.15, 5.03, 5.05),
    ("true", 20): (5.05, 5.00, 5.15),
    ("tf", 20): (5.11, 4.99, 5.08),
    ("tf", 40): (5.05, 4.99, 5.15),
}
"""(style, n) to the lowest validation loss at each of `POST_RATES`, nats per word."""

NAMES = {"true": "true", "tf": "TensorFlow style"}


class Cell(NamedTuple):
    """A cell of the table: style "true" or "tf", its n, its learning rate, its batches."""

    style: str
    window: int
    learning_rate: float
    variant: Variant

    @property
    def name(self) -> str:
        return f"{self.style}_{self.window}_lr_{self.learning_rate:g}"


def all_cells(config: Config) -> list[Cell]:
    """The whole grid. Where n is all of num_steps the two styles are one, and it goes as TensorFlow
    style, as in the post.

    Raises:
      ValueError: numbers of entries that differ, a window above its num_steps, an entry twice.
    """
    if len(config.window) != len(config.num_steps) or not config.window:
        raise ValueError(
            f"--window has {len(config.window)} entries, --num-steps {len(config.num_steps)}; give "
            "each the same number, at least one"
        )
    if not config.learning_rate:
        raise ValueError("--learning-rate holds nothing; give at least one")
    found = []
    for window, num_steps in zip(config.window, config.num_steps, strict=True):
        require_positive(window=window, num_steps=num_steps)
        if window > num_steps:
            raise ValueError(
                f"--window is {window}, above its --num-steps {num_steps}; give at most that many"
            )
        true = true_truncation(window, num_steps, full=config.edge == "full")
        styles = [("true", true)] if window < num_steps else []
        for style, variant in [*styles, ("tf", tensorflow_style(window))]:
            found += [Cell(style, window, rate, variant) for rate in config.learning_rate]
    if len({cell.name for cell in found}) < len(found):
        raise ValueError("--window or --learning-rate holds an entry twice; give it once")
    return found


def chosen_cells(config: Config) -> list[Cell]:
    """Those that `--grid` asks for.

    Raises:
      ValueError: a pattern that names none.
    """
    every = all_cells(config)
    for pattern in config.grid:
        if not any(fnmatchcase(cell.name, pattern) for cell in every):
            names = ", ".join(cell.name for cell in every)
            raise ValueError(f"--grid is {pattern!r}, which is none of the cells {names}")
    patterns = config.grid or ("*",)
    return [c for c in every if any(fnmatchcase(c.name, pattern) for pattern in patterns)]


def trainings(config: Config, devices: Devices) -> list[Trained]:
    """A training for every cell asked for."""
    task = word_task(config)
    validate = make_validate(task)
    found = []
    for cell in chosen_cells(config):
        training = make_training(
            task,
            cell.variant,
            epochs=config.epochs,
            log_every=config.log_every,
            devices=devices,
            schedule=config.schedule,
            adjusted=lambda style, cell=cell: with_quirks(config, task, cell, style),
        )
        rate, ends = cell.learning_rate, ()  # a chunk is as long as a line
        setting = Setting(cell.name, training, validate, rate, config.epochs, ends)
        found.append(Trained("published", task, cell.variant, setting))
    return found


def with_quirks(
    config: Config, task: Task, cell: Cell, style: GradientEstimator
) -> GradientEstimator:
    """The estimator as the post's protocol has it, so far as the config asks for it."""
    if config.carried == "dropped":
        style = carrying_dropped(style, task.model)
    if config.loss_scale == "published":
        style = scaled(style, cell.variant.num_steps / cell.window)
    return style


def report(config: Config, rows: Sequence[dict[str, Any]]) -> None:
    """The post's table with ours in front of it."""
    by_cell = {row["name"]: row for row in rows}
    table, lines = {}, []
    for cell in all_cells(config):
        table.setdefault((cell.style, cell.window), []).append(by_cell.get(cell.name))
    for (style, window), found in table.items():
        known = [row for row in found if row and not row["diverged"]]
        best = min((row["valid_loss"] for row in known), default=None)
        posts = [_post(style, window, rate) for rate in config.learning_rate]
        shown = [
            "diverged" if row and row["diverged"] else _beside(row and row["spread"], post)
            for row, post in zip(found, posts, strict=True)
        ]
        post = min(POST.get((style, window), (None,)), key=lambda x: x or 0)
        lines.append([window, NAMES[style], *shown, _beside(best and {"median": best}, post)])
    print_table(
        ["n", "style", *(f"lr {rate:g}" for rate in config.learning_rate), "best"],
        lines,
        title=f"lowest validation loss on {config.corpus}, nats per word: median of "
        f"{config.seeds} seed(s) [lowest to highest]; in brackets the post's, on the Penn Treebank",
    )


def plot(path: Path, config: Config, rows: Sequence[dict[str, Any]]) -> None:
    """The same as curves, of what did not diverge."""
    by_cell = {row["name"]: row for row in rows if not row["diverged"]}
    panels = []
    for rate in config.learning_rate:
        mine = [cell for cell in all_cells(config) if cell.learning_rate == rate]
        drawn = {}
        for style in NAMES:
            cells = [cell for cell in mine if cell.style == style and cell.name in by_cell]
            losses = [by_cell[cell.name]["valid_loss_per_seed"] for cell in cells]
            if cells:
                drawn[NAMES[style]] = [
                    np.array([(c.window, x) for c, x in zip(cells, seed, strict=True)], float)
                    for seed in zip(*losses, strict=True)
                ]
        if drawn:
            panels.append(Panel(f"learning rate {rate:g}", drawn, {}, "n (time steps)"))
    learning_curves(path, panels)


def _post(style: str, window: int, rate: float) -> float | None:
    found = POST.get((style, window))
    return found[POST_RATES.index(rate)] if found and rate in POST_RATES else None


def _beside(ours: dict[str, float] | None, post: float | None) -> str:
    text = f"{ours['median']:.3f}" if ours else "-"
    if ours and "min" in ours and ours["min"] < ours["max"]:
        text += f" [{ours['min']:.3f} to {ours['max']:.3f}]"
    return text if post is None else f"{text} ({post:.2f})"


def whole_grid_seconds(config: Config, rows: Sequence[dict[str, Any]]) -> float | None:
    """What all cells would take with the seeds of this run, from those that were trained: each of
    the others as long as the cells of its batches took per target, or all cells where none had
    these. None where none was trained to its end."""
    speeds: dict[Variant | None, list[float]] = {}
    by_cell = {row["name"]: row for row in rows if not row["diverged"]}
    for cell in all_cells(config):
        if row := by_cell.get(cell.name):
            speed = row["seconds"] / row["targets"]
            speeds.setdefault(cell.variant, []).append(speed)
            speeds.setdefault(None, []).append(speed)
    if not speeds:
        return None
    targets = float(np.mean([row["targets"] for row in by_cell.values()]))
    found = [speeds.get(cell.variant, speeds[None]) for cell in all_cells(config)]
    return float(sum(np.mean(speed) * targets for speed in found))
