"""Every style at equal numbers of targets, of updates and of seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.truncation.config import SOURCE, Config
from experiments.truncation.study import BUDGETS, Data, Row, Study, built, over_seeds, text_data
from experiments.truncation.variants import (
    Variant,
    tensorflow_style,
    true_truncation,
    truncating,
    unbounded,
)
from jaxrnn import runs
from jaxrnn.analysis.plots import Panel, learning_curves
from jaxrnn.base import Batch, require_positive
from jaxrnn.data import TOY, lag_streams, named_floors
from jaxrnn.gradients import STYLES
from jaxrnn.parallel import Devices
from jaxrnn.runs.claims import Claim, ordered

# small, so that even the styles that carry an influence of every weight can be had
ONE_HOT = {"embedding_size": 0, "dropout": 0.0, "init": "default", "tied": False}
FLOORS = named_floors(TOY)
DERIVED = f"derived from {SOURCE}, which is about words"
Paths = dict[str, Sequence[np.ndarray]]
"""Of each budget the rows (spent, validation loss) of every seed."""


def settings(config: Config) -> dict[str, Config]:
    """Every style on the toy task and on characters, each by `Variant`s at every window."""
    found = {}
    for task, windows, num_steps in (
        ("toy", config.toy_window, config.toy_num_steps),
        ("text", config.text_window, config.text_num_steps),
    ):
        if not windows:
            raise ValueError(f"--{task}-window holds nothing; give at least one window")
        for window in windows:
            require_positive(**{f"{task}_window": window, f"{task}_num_steps": num_steps})
        variants = [variant for window in windows for variant in truncating(window, num_steps)]
        variants += unbounded(windows, num_steps)
        known = list(dict.fromkeys(variant.style for variant in variants))
        asked = getattr(config, f"{task}_styles") or known
        for style in asked:
            if style not in known:
                raise ValueError(
                    f"--{task}-styles is {style!r}; the styles tried here are {', '.join(known)}"
                )
        found |= by_variants(config, task, [v for v in variants if v.style in asked])
    return found


def by_variants(config: Config, task: str, variants: Sequence[Variant]) -> dict[str, Config]:
    """Training runs on the toy task or, "text" and "reference", on characters, a variant each."""
    flags = "toy" if task == "toy" else "text"
    size, batch_size, epochs, rate = (
        getattr(config, f"{flags}_{name}") for name in ("hidden", "batch", "epochs", "rate")
    )
    config = replace(
        config,
        task=task,
        text=replace(config.text, limit=config.text_limit),
        model=replace(config.model, hidden_size=size, **ONE_HOT),
        optimizer=replace(config.optimizer, learning_rate=rate),
        loop=replace(config.loop, batch_size=batch_size, epochs=epochs),
    )
    return {f"{task}_{variant.name}": variant.set_in(config) for variant in variants}


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    return built(config, toy(config) if config.task == "toy" else characters(config), devices)


def toy(config: Config) -> Data:
    """The toy task with both of its dependencies; every epoch a new sequence."""
    length, batch_size = config.toy_length, config.toy_batch
    require_positive(toy_length=length, toy_batch=batch_size)
    rows = partial(lag_streams, TOY, length=length * batch_size, batch_size=batch_size)
    # a sequence that no training run sees: no epoch has this key
    drawn = rows(jax.random.fold_in(jax.random.key(0), 2**31 - 1))
    held_out = Batch(*(a[: max(length // 2, 1)] for a in drawn))
    return reading_first(config.toy_window, Data(2, rows, held_out), f"--toy-length {length}")


def reading_first(windows: Sequence[int], data: Data, given: str) -> Data:
    """Every style reads some time steps before it is tested. True truncation of full reach takes
    the first ones of a sequence for history and never learns what to say there, where the others
    do, so that a test which begins there would be of that.

    Raises:
      ValueError: nothing is left to test on, by the flag that is `given`.
    """
    first, length = max(windows) - 1, len(data.valid.targets)
    if first >= length:
        raise ValueError(
            f"{given} holds out {length} time steps to a stream, the first {first} of which are "
            "read before a test; give more, or shorter windows"
        )
    return data._replace(unscored=first)


def characters(config: Config) -> Data:
    count, held_out = config.text_tokens, config.text_tokens // 4
    require_positive(text_tokens=count)
    text = runs.configured_text(config.text, "character")
    if held_out < 2:
        raise ValueError(
            f"--text-tokens is {count}, a quarter as many are held out; give 8 or more"
        )
    text = text._replace(train=text.train[:count], valid=text.valid[:held_out])
    data = text_data(text, config.text_batch)
    return reading_first(config.text_window, data, f"--text-tokens {count}")


def report(config: Config, log: runs.RunLog, results: Mapping[str, Any]) -> runs.Report:
    rows, tables, plots = {row["name"]: row for row in results["styles"]}, [], {}
    for task, panels in (("toy", toy_panels), ("text", text_panels)):
        mine = [name for name, row in rows.items() if row["part"] == task]
        spent = {name: paths(log, rows[name]) for name in mine if not rows[name]["diverged"]}
        for name, losses in zip(spent, at_equal([*spent.values()]), strict=True):
            rows[name] = rows[name] | {"at_equal": losses}
        if mine:
            tables.append(comparison(config, task, [rows[name] for name in mine]))
            lowest = {f"{rows[name]['label']}, lowest": rows[name]["spread"] for name in mine}
            tables += runs.spread_tables(lowest)
        if spent:
            drawn = panels([(rows[name], path) for name, path in spent.items()])
            plots[task] = partial(learning_curves, panels=drawn)
    return runs.Report({"styles": [*rows.values()]}, claims(config, rows), tables, plots)


def claims(config: Config, rows: Mapping[str, Row]) -> list[Claim]:
    """What the post says of styles, which it says of words, on the toy task. Of n steps every style
    had as many targets and updates, and every error its full way; of several n as many targets."""
    windows = config.toy_window

    def said(losses: Mapping[str, float | None]) -> list[Claim]:
        def loss(variant: Variant) -> float | None:
            return losses.get(f"toy_{variant.name}")

        longer = {f"n {n}": loss(tensorflow_style(n)) for n in sorted(windows, reverse=True)}
        pairs = {
            n: {
                "true": loss(true_truncation(n, n, full=True)),
                "TensorFlow style": loss(tensorflow_style(n)),
            }
            for n in windows[:2]
        }
        return [
            *(
                ordered(
                    f"toy task, n = {n}: true truncation is ahead", f"{DERIVED}, discussion", pair
                )
                for n, pair in pairs.items()
            ),
            ordered(
                "toy task: TensorFlow style needs num_steps well above the lags 3 and 8",
                f"{DERIVED}, conclusions; at equal targets",
                longer,
            ),
        ]

    return over_seeds({name: row for name, row in rows.items() if row["part"] == "toy"}, said)


def paths(log: runs.RunLog, row: Row) -> Paths:
    spent = (row["targets"] / row["updates"], 1.0, row["seconds_per_update"])
    units, losses = zip(BUDGETS, spent, strict=True), log.curves(row["name"], "valid_loss").values()
    return {budget: [rows * [unit, 1.0] for rows in losses] for budget, unit in units}


def at_equal(every: Sequence[Paths]) -> list[dict[str, float | None]]:
    """Of each training run the median loss where the shortest of them had spent its budget: of the
    targets, of the updates, of the seconds. None where one had not been validated by then."""

    def read(seeds: Sequence[np.ndarray], spent: float) -> float | None:
        if spent < seeds[0][0, 0] * (1 - 1e-9):
            return None
        return float(np.median([np.interp(spent, rows[:, 0], rows[:, 1]) for rows in seeds]))

    ends = {budget: [float(path[budget][0][-1, 0]) for path in every] for budget in BUDGETS}
    return [{budget: read(path[budget], min(ends[budget])) for budget in BUDGETS} for path in every]


def comparison(config: Config, task: str, rows: Sequence[Row]) -> runs.Table:
    """A table of one task, the best at equal targets first."""
    floors = ", ".join(f"{name} {floor:.4f}" for name, floor in FLOORS.items())
    title = f"{task}: validation loss in nats, median of {config.loop.seeds} seed(s)"
    columns = {"style": "{label}", "updates": "{updates}", "ms / update": "{ms:.3g}"}
    columns |= {f"equal {budget}": f"{{at_equal[{budget}]:.4f}}" for budget in BUDGETS}
    shown = []
    for row in sorted(rows, key=lambda row: row["at_equal"]["targets"] or np.inf):
        lowest = "diverged" if row["diverged"] else runs.or_dash(row["valid_loss"])
        shown.append(row | {"lowest": lowest, "ms": 1e3 * row["seconds_per_update"]})
    title += f"; floors: {floors}" if task == "toy" else ""
    return runs.written(title, shown, columns | {"lowest": "{lowest}"})


def toy_panels(found: Sequence[tuple[Row, Paths]]) -> list[Panel]:
    """A panel for every window, and one for the styles without."""
    curves: dict[str, dict[str, Sequence[np.ndarray]]] = {}
    for row, spent in found:
        bounded = "window" in STYLES[row["style"]].integers
        title = f"window {row['window']}" if bounded else "no window"
        curves.setdefault(title, {})[row["label"]] = spent["targets"]
    return [Panel(title, each, FLOORS, "targets") for title, each in curves.items()]


def text_panels(found: Sequence[tuple[Row, Paths]]) -> list[Panel]:
    """A panel for every budget."""
    panels = []
    for budget in BUDGETS:
        curves = {row["label"]: spent[budget] for row, spent in found}
        # the exact online gradient takes a hundred times as long as the cheapest style
        scale = "log" if budget == "seconds" else "linear"
        panels.append(Panel(f"by {budget}", curves, {}, budget, x_scale=scale))
    return panels


STUDY = Study(report, settings, build)
