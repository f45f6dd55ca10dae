"""Rows, table, plot and samples, from what was counted and a run's log."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.baselines.chart import draw
from experiments.baselines.claims import HELD_OUT, all_claims
from experiments.baselines.config import Config, by_level, text_of
from experiments.baselines.counting import counted
from experiments.baselines.samples import LENGTHS, Samples, copies, other_prompt, written_by_network
from jaxrnn import runs
from jaxrnn.cell_files import cell_name


def report(config: Config, log: runs.RunLog) -> runs.Report:
    levels = by_level(config)
    found = log.once("counted", lambda: counted(levels))
    rows, samples, notes = [], {}, []
    for level, part in levels.items():
        text = text_of(part)
        notes += other_prompt(config, level, text.vocabulary)
        models = [(each["row"], each["samples"]) for each in found[level]]
        for cell in config.cells:
            name = f"{level}_{cell_name(cell)}"
            # by its params of the lowest held-out loss
            written = written_by_network(part, text, *log.load(name))
            models.append((network_row(log, name, cell_name(cell)), written))
        for row, written in models:
            for temperature, sample in written.items():
                model = row["model"].replace(" ", "_")
                samples[f"{level}_{model}_temperature_{temperature}"] = sample
        rows += level_rows(part, text, models)
    return runs.Report(
        results=rows,
        claims=all_claims(rows, found["known"]),
        tables=[_table(config, rows), *runs.spread_tables(_spreads(rows))],
        plots={"loss_and_copies": partial(draw, rows=rows)},
        samples=samples,
        notes=notes,
    )


def network_row(log: runs.RunLog, setting: str, label: str) -> dict[str, Any]:
    """What a network came to: of each seed the lowest held-out loss, of several the median."""
    best = log.lowest(setting)
    return {
        "model": label,
        "family": "network",
        "context": None,
        "hidden_size": log.models[setting].hidden_size,
        "parameters": log.parameters(setting),
        "nats_per_token": float(np.median(best)),
        "spread": runs.median_and_spread(best),
        "unseen": 0.0,
        "seconds": log.seconds(setting),
    }


def level_rows(
    config: Config, text: runs.Text, models: Sequence[tuple[dict[str, Any], Samples]]
) -> list[dict[str, Any]]:
    """The rows of one level, with their samples, the last of which is the row's own, what of these
    is copied from the training text as the level reads it, and the loss in nats per character of
    the held-out text: the tokens' nats, all together, over its characters.

    A word model is told less than a character model: capitals, line ends and the marks that `words`
    drops cost it nothing, so its figure is too low by what they cost the other.
    """
    (level,) = config.levels
    ratio = len(text.valid) / len(runs.configured_text(config.text, "character").valid)
    source, held_out = (text.vocabulary.decode(ids) for ids in (text.train, text.valid))
    flat = [sample for _, written in models for sample in written.values()]
    own, *others = copies([held_out, *flat], source)
    shares, rows = iter(others), []
    for row, written in models:
        nats = row["nats_per_token"]
        loss = {"valid_nats": None if nats is None else nats * ratio}
        mine = {temperature: next(shares) for temperature in written}
        last = list(written)[-1]
        kept = {each: {"text": sample} | mine[each] for each, sample in written.items()}
        drawn = mine[last] | {"sample": written[last], "samples": kept}
        rows.append({"model": row["model"], "level": level} | loss | row | drawn)
    # the held-out text itself, as if a model had written it: what it shares with the training text
    # is no copy, but what a language and an author say twice
    nothing = ("valid_nats", "context", "parameters", "nats_per_token", "unseen")
    sample = text.vocabulary.decode(text.valid[: config.sample_length])
    row = {"model": HELD_OUT, "level": level, "family": "text", **dict.fromkeys(nothing)}
    return [*rows, row | {"seconds": 0.0} | own | {"sample": sample, "samples": {}}]


def _spreads(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the networks; an n-gram has no seed."""
    several = [row for row in rows if row.get("spread")]
    return {f"{row['model']}, nats per {row['level']}": row["spread"] for row in several}


def _table(config: Config, rows: Sequence[dict[str, Any]]) -> runs.Table:
    read = "capitals and line ends cost a word model nothing; " if "word" in config.levels else ""
    copied = [f"copied {length}" for length in LENGTHS]
    return runs.Table(
        f"{config.text.corpus}: nats per held-out character, and per character or word ({read}"
        "infinite where a token is unseen); what of a sample at temperature "
        f"{config.temperature[-1]:g} is copied; median of {config.loop.seeds} seed(s)",
        ["level", "model", "parameters", "per character", "per token", "unseen", "s", *copied],
        [
            [
                row["level"],
                row["model"],
                "-" if row["parameters"] is None else f"{row['parameters']:,}",
                _loss(row, "valid_nats"),
                _loss(row, "nats_per_token"),
                _share(row["unseen"]),
                f"{row['seconds']:.3g}",
                *(_share(row[f"copied_{length}"]) for length in LENGTHS),
            ]
            for row in rows
        ],
    )


def _loss(row: dict[str, Any], field: str) -> str:
    if row["family"] == "text":
        return "-"
    return "inf" if row[field] is None else f"{row[field]:.4f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
