"""The post's grid: true truncation and TensorFlow style, by n and learning rate, on words."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.truncation.config import PUBLISHED, SOURCE, Config
from experiments.truncation.quirks import as_published
from experiments.truncation.study import Data, Row, Study, built, over_seeds, text_data
from experiments.truncation.variants import Variant, tensorflow_style, true_truncation
from jaxrnn import runs
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import require_positive
from jaxrnn.parallel import Devices
from jaxrnn.runs.claims import Claim, above, at_most, ordered, within

NAMES = {"true": "true", "tf": "TensorFlow style"}
TABLE = f"{SOURCE}, table of results, read in a third party's copy"
HIGHER = 0.001
"""What the claims call a higher learning rate: the upper two of the post's three."""


class Entry(NamedTuple):
    """An entry of the table: style "true" or "tf", its n, its learning rate."""

    style: str
    window: int
    rate: float

    @property
    def name(self) -> str:
        return f"{self.style}_{self.window}_lr_{self.rate:g}"


POST = {
    Entry(style, window, rate): loss
    for style, window, *losses in [
        ("true", 5, 5.12, 5.01, 5.09),
        ("tf", 5, 5.21, 5.04, 5.04),
        ("true", 10, 5.07, 5.00, 5.12),
        ("tf", 10, 5.15, 5.03, 5.05),
        ("true", 20, 5.05, 5.00, 5.15),
        ("tf", 20, 5.11, 4.99, 5.08),
        ("tf", 40, 5.05, 4.99, 5.15),
    ]
    for rate, loss in zip((0.003, 0.001, 0.0003), losses, strict=True)
}
"""The lowest validation losses, nats per word."""


def all_entries(config: Config) -> dict[Entry, Variant]:
    """The whole grid. Where n is all of num_steps the two styles are one, and it goes as TensorFlow
    style, as in the post.

    Raises:
      ValueError: numbers of entries that differ, a window above its num_steps, an entry twice.
    """
    if not config.learning_rate:
        raise ValueError("--learning-rate holds nothing; give at least one")
    found = []
    for window, num_steps in runs.entries(window=config.window, num_steps=config.num_steps):
        require_positive(window=window, num_steps=num_steps)
        if window > num_steps:
            raise ValueError(
                f"--window is {window}, above its --num-steps {num_steps}; give at most that many"
            )
        true = true_truncation(window, num_steps, full=config.edge == "full")
        styles = [("true", true)] if window < num_steps else []
        for style, variant in [*styles, ("tf", tensorflow_style(window))]:
            found += [(Entry(style, window, rate), variant) for rate in config.learning_rate]
    if len({entry.name for entry, _ in found}) < len(found):
        raise ValueError("--window or --learning-rate holds an entry twice; give it once")
    return dict(found)


def settings(config: Config) -> dict[str, Config]:
    """The entries that `--grid` asks for.

    Raises:
      ValueError: a pattern that names none.
    """
    every = {entry.name: (entry, variant) for entry, variant in all_entries(config).items()}
    chosen = {pattern: fnmatch.filter(every, pattern) for pattern in config.grid or ("*",)}
    for pattern, names in chosen.items():
        if not names:
            known = ", ".join(every)
            raise ValueError(f"--grid is {pattern!r}, which is none of the entries {known}")
    found = {}
    for name, (entry, variant) in every.items():
        if any(name in names for names in chosen.values()):
            optimizer = replace(config.optimizer, learning_rate=entry.rate)
            found[name] = variant.set_in(replace(config, task="published", optimizer=optimizer))
    return found


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    adjusted = partial(as_published, config)
    return built(config, words(config), devices, log_every=config.loop.log_every, adjusted=adjusted)


def words(config: Config) -> Data:
    """The corpus as words, the Penn Treebank as the tokens that it is made of."""
    text = runs.configured_text(config.text, "token" if config.text.corpus == "ptb" else "word")
    if config.tokens is not None:
        require_positive(tokens=config.tokens)
    return text_data(text._replace(train=text.train[: config.tokens]), config.loop.batch_size)


def report(config: Config, log: runs.RunLog, results: Mapping[str, Any]) -> runs.Report:
    by_name = {row["name"]: row for row in results["styles"] if row["part"] == "published"}
    entries = all_entries(config) if by_name else {}
    rows = {entry: by_name[entry.name] for entry in entries if entry.name in by_name}
    ended = bool(rows) and all(row["turned"] or row["diverged"] for row in rows.values())

    def said(losses: Mapping[Entry, float | None]) -> list[Claim]:
        return [*grid_claims(losses, ended=ended), *entry_claims(config, losses)]

    claims = over_seeds(rows, said)
    spreads = {row["name"]: row["spread"] for row in rows.values()}
    tables = [table(config, rows), *runs.spread_tables(spreads)] if rows else []
    trained = {entry: row for entry, row in rows.items() if not row["diverged"]}
    if not trained:
        return runs.Report({}, claims, tables)
    loop, seconds = config.loop, whole_grid_seconds(entries, trained)
    plots = {"published": partial(plot, rows=trained)}
    note = (
        f"the whole grid: {len(entries)} entries of {loop.epochs} epochs and {loop.seeds} seed(s), "
        f"about {seconds / 3600:.3g} h at the speed of these {len(rows)}"
    )
    return runs.Report({"whole_grid_seconds": seconds}, claims, tables, plots, notes=[note])


def table(config: Config, rows: Mapping[Entry, Row]) -> runs.Table:
    """The post's table with ours in front of it."""
    lines = []
    for style, window in dict.fromkeys(entry[:2] for entry in all_entries(config)):
        entries = [Entry(style, window, rate) for rate in config.learning_rate]
        mine = [rows[c] for c in entries if c in rows and not rows[c]["diverged"]]
        best = {"median": min(row["valid_loss"] for row in mine)} if mine else None
        post = min((x for entry, x in POST.items() if entry[:2] == (style, window)), default=None)
        shown = [_beside(rows.get(entry), POST.get(entry)) for entry in entries]
        lines.append([window, NAMES[style], *shown, _beside({"spread": best}, post)])
    return runs.Table(
        f"lowest validation loss on {config.text.corpus}, nats per word: median of "
        f"{config.loop.seeds} seed(s) [lowest to highest]; in brackets the post's, on the Penn "
        "Treebank",
        ["n", "style", *(f"lr {rate:g}" for rate in config.learning_rate), "best"],
        lines,
    )


def _beside(row: Mapping[str, Any] | None, post: float | None) -> str:
    if row and row.get("diverged"):
        return "diverged"
    ours = row and row["spread"]
    text = f"{ours['median']:.3f}" if ours else "-"
    if ours and "min" in ours and ours["min"] < ours["max"]:
        text += f" [{ours['min']:.3f} to {ours['max']:.3f}]"
    return text if post is None else f"{text} ({post:.2f})"


def plot(path: Path, rows: Mapping[Entry, Row]) -> None:
    """The same as curves, of what did not diverge: a curve of each seed."""
    panels = []
    for rate in dict.fromkeys(entry.rate for entry in rows):
        drawn = {}
        for style, title in NAMES.items():
            mine = {c.window: r for c, r in rows.items() if (c.style, c.rate) == (style, rate)}
            seeds = zip(*(row["valid_loss_per_seed"] for row in mine.values()), strict=True)
            if mine:
                drawn[title] = [np.array([*zip(mine, seed, strict=True)], float) for seed in seeds]
        panels.append(Panel(f"learning rate {rate:g}", drawn, {}, "n (time steps)"))
    learning_curves(path, panels)


def whole_grid_seconds(entries: Mapping[Entry, Variant], rows: Mapping[Entry, Row]) -> float:
    """What all entries would take with the seeds of this run, from those that were trained to their
    end: each of the others as long as the entries of its batches took per target, or all entries
    where none had these."""
    speeds: dict[Variant | None, list[float]] = {None: []}
    for entry, row in rows.items():
        for variant in (entries[entry], None):
            speeds.setdefault(variant, []).append(row["seconds"] / row["targets"])
    targets = float(np.mean([row["targets"] for row in rows.values()]))
    found = [speeds.get(variant, speeds[None]) for variant in entries.values()]
    return float(sum(np.mean(speed) * targets for speed in found))


def grid_claims(losses: Mapping[Entry, float | None], *, ended: bool = True) -> list[Claim]:
    """What the post concludes from its table; each holds of the post's own numbers.

    They are about lowest losses, so nothing is decided before the training has `ended`: while the
    validation loss of an entry still falls in its last epoch, who learns faster is ahead. What
    takes part in a gap or a mean and diverged, None, leaves that open.
    """
    gaps = {
        entry: _of(np.subtract.reduce, [losses[tf], loss])
        for entry, loss in losses.items()
        if entry.style == "true" and (tf := entry._replace(style="tf")) in losses
    }
    higher = {entry: gap for entry, gap in gaps.items() if entry.rate >= HIGHER}
    lower = [gap for entry, gap in gaps.items() if entry.rate < HIGHER]
    windows = sorted({entry.window for entry in higher}, reverse=True)
    by_window: dict[str, float | None] = {
        f"n {window}": _of(
            np.mean, [gap for entry, gap in higher.items() if entry.window == window]
        )
        for window in windows
    }
    if len(windows) < 2:  # one gap alone does not shrink
        by_window = {"larger n": None, "smaller n": None}
    longest = max((entry.window for entry in losses), default=None)
    # full: its n is all of the longest batch, so that nothing is cut
    full = [x for (style, n, _), x in losses.items() if style == "tf" and n == longest]
    trues = [x for (style, n, _), x in losses.items() if style == "true" and n != longest]
    distance = _of(np.subtract.reduce, [_of(np.min, full), _of(np.min, trues)])
    behind = f"TensorFlow style - true at equal n, learning rates from {HIGHER:g}: worse"
    ahead = f"true - TensorFlow style, learning rates below {HIGHER:g}: worse"
    as_good, discussion = "full backpropagation - best true: about as good", f"{SOURCE}, discussion"
    decided = [
        above(behind, discussion, _of(np.mean, [*higher.values()]), 0.0),
        above(ahead, TABLE, _of(lambda gaps: -np.mean(gaps), lower), 0.0),
        ordered("the gap shrinks as n grows", discussion, by_window),
        at_most(as_good, f"{SOURCE}, conclusions", distance, 0.02),
    ]
    return decided if ended else [claim._replace(holds=None) for claim in decided]


def _of(statistic: Callable[[np.ndarray], Any], values: Sequence[float | None]) -> float | None:
    """None where a value is missing, or all are."""
    return None if not values or None in values else float(statistic(np.array(values, float)))


def entry_claims(config: Config, losses: Mapping[Entry, float | None]) -> list[Claim]:
    """The entries of the post's table that this run trained as the post did, in text, model and
    protocol."""
    free = {"part", "grid", "corpus", "window", "num_steps", "learning_rate", *runs.WITHOUT_EFFECT}
    free |= {name for name in vars(config) if name.startswith(("toy_", "text_"))}
    alike = config.text.corpus == "ptb" and runs.alike(config, PUBLISHED, free)
    found = []
    for entry, post in POST.items():
        if entry in losses:
            same = alike and all_entries(config)[entry] == all_entries(PUBLISHED)[entry]
            observed = losses[entry] if same else None
            name = f"{entry.style} {entry.window}, lr {entry.rate:g}: lowest validation loss"
            found.append(within(name, TABLE, observed, post, 0.05))
    return found


STUDY = Study(report, settings, build)
