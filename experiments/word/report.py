"""What a run found: its rows, tables and plots."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.word.claims import (
    BIGRAM,
    all_claims,
    saturation_claims,
    vector_claims,
    whole_sherlock,
)
from experiments.word.config import Config, settings
from experiments.word.training import WATCHED, words_of
from experiments.word.vectors import describe, shown
from jaxrnn import runs
from jaxrnn.analysis.plots import learning_curves
from jaxrnn.analysis.saturation import PINNED
from jaxrnn.models import token_vectors
from jaxrnn.runs import Table
from jaxrnn.runs.claims import Claim

KINDS = {"embed": "input", "head": "output"}
LOSSES = {"full": "cross-entropy", "sampled": "sampled softmax", "nce": "noise-contrastive"}
COLUMNS = {"model": "{model}", "cell": "{cell}", "loss": "{loss_kind}"}
COLUMNS |= {"parameters": "{parameters:,}", "train": "{train_loss:.4f}"}
COLUMNS |= {"valid (nats)": "{valid_loss:.4f}", "perplexity": "{perplexity:.1f}"}
COLUMNS |= {"seconds": "{seconds:.1f}"}
SHARES = {"setting": "{model}", "units": "{units}", "highest": "{highest:.1%}"}
SHARES |= {"last": "{last:.1%}", "rises by step": "{rises_by_step:,.0f}"}
BEYOND = f"share of units beyond {PINNED.tanh[1]} in size"


def report(config: Config, log: runs.RunLog) -> runs.Report:
    text, study = words_of(config), config.study != "none"
    rows = [_row(name, part, log, text) for name, part in settings(config).items()]
    entropy = unigram_entropy(text.train)
    spreads = {f"{row['model']}, lowest validation": row["valid_spread"] for row in rows}
    title = f"{config.text.corpus}, per word: training loss of the last epoch, lowest validation "
    title += f"loss by the whole softmax; median of {config.loop.seeds} seed(s)"
    tables = [
        runs.written(title, rows, COLUMNS),
        *runs.spread_tables(spreads),
        *(table for row in rows for table in _words(row)),
    ]
    tables += [_shares(rows)] if study else []

    def claims(rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
        if study:
            return saturation_claims(config, rows)
        return [*all_claims(config, rows[0], entropy), *vector_claims(config, rows[0])]

    alone = [[_of_seed(row, log.of_seed(seed)) for row in rows] for seed in rows[0]["seeds"]]
    found = runs.over_seeds(claims(rows), [*map(claims, alone)])
    return runs.Report(rows, found, tables, _plots(config, log, entropy))


def _row(name: str, part: Config, log: runs.RunLog, text: runs.Text) -> dict[str, Any]:
    """What one setting came to; of several seeds the medians."""
    lowest = log.lowest(name)
    spread = runs.median_and_spread(lowest) if lowest else None
    train, valid = (log.by_epoch(name, field) for field in ("train_loss", "valid_loss"))
    learnt = token_vectors(log.load(name)[1])  # by the first seed's best params
    row = {
        "model": name,
        "cell": part.model.cell,
        "loss_kind": part.loss,
        "train_loss": train[-1],
        "valid_loss": spread and spread["median"],
        "perplexity": spread and float(np.exp(spread["median"])),
        "seconds": log.seconds(name),
        "parameters": log.parameters(name),
        "vocabulary": text.vocabulary.size,
        "seeds": log.seeds(name),
        "valid_spread": spread,
        "train_losses": train,
        "valid_losses": valid,
        # of the last line of the log in each epoch: what a loss that still falls has come to
        "last_losses": log.by_epoch(name, "loss"),
        "words": {
            KINDS[which]: describe(np.asarray(w), text.vocabulary) for which, w in learnt.items()
        },
    }
    return row if part.study == "none" else row | {"saturation": _saturation(name, log)}


def _of_seed(row: Mapping[str, Any], log: runs.RunLog) -> dict[str, Any]:
    """A row by the log of one seed alone; the words are the first seed's."""
    name = row["model"]
    found = {
        **row,
        "valid_loss": min(log.lowest(name), default=None),
        "valid_losses": log.by_epoch(name, "valid_loss"),
        "last_losses": log.by_epoch(name, "loss"),
    }
    return found | {"saturation": _saturation(name, log)} if "saturation" in row else found


def _saturation(name: str, log: runs.RunLog) -> dict[str, Any]:
    """Shares of saturated units, by what was watched: the highest, the last, and the training step
    at which half of the highest was reached; of several seeds the medians."""
    found = {}
    for field in WATCHED:
        if seeds := [*log.curves(name, field).values()]:
            steps = [rows[np.argmax(rows[:, 1] >= rows[:, 1].max() / 2), 0] for rows in seeds]
            found[field] = {
                "highest": float(np.median([rows[:, 1].max() for rows in seeds])),
                "last": float(np.median([rows[-1, 1] for rows in seeds])),
                "rises_by_step": float(np.median(steps)),
            }
    return found


def _words(row: Mapping[str, Any]) -> Iterator[Table]:
    """Of each embedding of a row's model the neighbours and analogies that it has."""
    for which, found in row["words"].items():
        lines = [[word, shown(near)] for word, near in found["nearest"].items()]
        lines += [
            [f"{each['a']} : {each['b']} = {each['c']} :", shown(each["found"])]
            for each in found["analogies"]
        ]
        if lines:
            yield Table(f"{row['model']}, {which} embedding", ["word", "nearest"], lines)


def _shares(rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = [
        {"model": row["model"], "units": WATCHED[field], **found}
        for row in rows
        for field, found in row["saturation"].items()
    ]
    return runs.written(BEYOND, shown, SHARES)


def _plots(config: Config, log: runs.RunLog, entropy: float) -> dict[str, Any]:
    """Training losses, each of its own kind, and the validation losses beside what counting comes
    to."""
    lines = {f"unigram entropy {entropy:.2f}": entropy}
    if whole_sherlock(config):
        lines[f"bigram {BIGRAM:.2f}"] = BIGRAM
    units = {title: field for field, title in WATCHED.items()}
    figures = {
        "validation_loss": ({"": "valid_loss"}, {"": lines}, "cross-entropy (nats per word)"),
        "training_loss": ({"": "loss"}, {}, f"{LOSSES[config.loss]} loss (nats per word)"),
        "saturation": (units, {}, BEYOND),
    }
    plots = {}
    for figure, (fields, heights, label) in figures.items():
        if panels := log.panels(fields, heights):
            plots[figure] = partial(learning_curves, panels=panels, y_label=label)
    return plots


def unigram_entropy(tokens: np.ndarray) -> float:
    """Nats per word of a text, by how often each is in it."""
    _, counts = np.unique(tokens, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())
