"""What a run found: its rows, tables and plots, and the claims that are held against the rows."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.word.config import (
    BASIC,
    CLIPPED,
    GRU,
    LSTM,
    PRESETS,
    RECOVERING,
    SHORT,
    Config,
    settings,
)
from experiments.word.training import WATCHED, words_of
from experiments.word.vectors import describe, shown
from jaxrnn import runs
from jaxrnn.analysis.plots import learning_curves
from jaxrnn.analysis.saturation import PINNED
from jaxrnn.models import token_vectors
from jaxrnn.runs import Table
from jaxrnn.runs.claims import Claim, at_least, at_most, below

PAGE = "Pat Coady, RNN language model on three Sherlock Holmes books (2017)"
NOTEBOOK = f"{PAGE}, notebook behind the page's text: mean of an epoch's last 20 batches"
BIGRAM = 5.316
"""Nats per word of an interpolated Witten-Bell bigram on the last tenth of Sherlock."""
NCE = {1: 4.93, 2: 4.27, 5: 3.83, 10: 3.43, 20: 2.86, 25: 2.50, 50: 2.11, 75: 2.03}
"""The notebook's loss by epoch."""
TOLERANCE = 0.1

FREE = {"seed", "seeds", "log_every", "sample_length", "schedule", "study"}
FREE |= {"epochs", "valid_fraction"}
"""Fields on which no statement depends; the schedule changes the time alone."""
KINDS = {"embed": "input", "head": "output"}
LOSSES = {"full": "cross-entropy", "sampled": "sampled softmax", "nce": "noise-contrastive"}
BEYOND = f"share of units beyond {PINNED.tanh[1]} in size"


def report(config: Config, log: runs.RunLog) -> runs.Report:
    text, study = words_of(config), config.study != "none"
    rows = [_row(name, part, log, text) for name, part in settings(config).items()]
    entropy = unigram_entropy(text.train)
    spreads = {f"{row['model']}, lowest validation": row["valid_spread"] for row in rows}
    tables = [
        _losses(config, rows),
        *runs.spread_tables(spreads),
        *(table for row in rows for table in _words(row)),
    ]
    tables += [_shares(rows)] if study else []
    claims = saturation_claims(config, rows) if study else all_claims(config, rows[0], entropy)
    return runs.Report(rows, claims, tables, _plots(config, log, entropy))


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


def _losses(config: Config, rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        f"{config.text.corpus}, per word: training loss of the last epoch, lowest validation loss "
        f"by the whole softmax; median of {config.loop.seeds} seed(s)",
        ["model", "cell", "loss", "parameters", "train", "valid (nats)", "perplexity", "seconds"],
        [
            [
                *(row[name] for name in ("model", "cell", "loss_kind")),
                f"{row['parameters']:,}",
                f"{row['train_loss']:.4f}",
                runs.or_dash(row["valid_loss"]),
                "-" if row["perplexity"] is None else f"{row['perplexity']:.1f}",
                f"{row['seconds']:.1f}",
            ]
            for row in rows
        ],
    )


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
    return Table(
        BEYOND,
        ["setting", "units", "highest", "last", "rises by step"],
        [
            [
                *(row["model"], WATCHED[field]),
                *(f"{found[when]:.1%}" for when in ("highest", "last")),
                f"{found['rises_by_step']:,.0f}",
            ]
            for row in rows
            for field, found in row["saturation"].items()
        ],
    )


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
        drawn = {title: {n: (n, field) for n in log.models} for title, field in fields.items()}
        if panels := log.panels(drawn, heights):
            plots[figure] = partial(learning_curves, panels=panels, y_label=label)
    return plots


def unigram_entropy(tokens: np.ndarray) -> float:
    """Nats per word of a text, by how often each is in it."""
    _, counts = np.unique(tokens, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def whole_sherlock(config: Config) -> bool:
    """Whether the loss may stand beside the bigram's."""
    return config.text == runs.TextConfig(corpus="sherlock", valid_fraction=0.1, limit=None)


def all_claims(config: Config, row: Mapping[str, Any], entropy: float) -> list[Claim]:
    """About the run's model; `entropy` is that of its training text."""
    losses, lowest, ours = row["valid_losses"], row["valid_loss"], "jaxrnn's own aim"
    change = losses[-1] - losses[0] if len(losses) > 1 else None
    beside = lowest if whole_sherlock(config) else None
    counted = "interpolated Witten-Bell bigram, whole vocabulary, last tenth of Sherlock"
    entropy_name = "lowest validation loss: below the unigram entropy of the text"
    return [
        below(entropy_name, ours, lowest, entropy),
        below("validation loss, last epoch - first: falls", ours, change, 0.0),
        below("lowest validation loss: below the bigram's", counted, beside, BIGRAM),
        *notebook_claims(config, row["last_losses"]),
    ]


def notebook_claims(config: Config, last_losses: Sequence[float]) -> list[Claim]:
    """About the notebook's training loss, as far as this run trains as it did and has come."""
    if not runs.alike(config, PRESETS["notebook"], FREE):
        return []
    came, end = dict(enumerate(last_losses, 1)), "noise-contrastive loss at the end of epoch"
    return [
        at_most(
            f"{end} {epoch}: {x:g} + {TOLERANCE:g} or less",
            NOTEBOOK,
            came.get(epoch),
            x + TOLERANCE,
        )
        for epoch, x in NCE.items()
    ]


def saturation_claims(config: Config, rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the page says of saturated units; open where this run changed the training."""
    found: dict[str, Any] = {}
    if runs.alike(config, PRESETS["saturation"], FREE):
        for row in rows:
            shares, loss = row["saturation"], row["last_losses"][-1]
            found[row["model"]] = shares["saturated"] | {"loss": loss, **shares}

    def dense(name: str, when: str) -> float | None:
        return found[name]["saturated_dense"][when] if found else None

    def change(name: str, of: str) -> float | None:
        """From the basic cell."""
        return found[name][of] - found[BASIC][of] if found else None

    early, late = f"{PAGE}: explodes early", f"{PAGE}: too slow to recover"
    best, clipping = f"{PAGE}: 0.01 to 0.1 is best", f"{PAGE}: gradient clipping"
    ours, cell, than = "jaxrnn's own question", f"{PAGE}: basic cell", "last share - that of"
    low = "basic cell, low learning rate: highest share of saturated units before the head"
    higher = "a higher learning rate recovers: last share of units before the head"
    clipped = "clipping stops early saturation: highest share - that without"
    no_help = "but is not particularly helpful: last loss - that without"
    return [
        at_least(low, early, dense(BASIC, "highest"), 0.5),
        at_least("the same at the end of training: pinned", late, dense(BASIC, "last"), 0.5),
        below(higher, best, dense(RECOVERING, "last"), 0.5),
        below("and learns: last loss - that of the low one", best, change(RECOVERING, "loss"), 0.0),
        below(clipped, clipping, change(CLIPPED, "highest"), 0.0),
        at_least(no_help, clipping, change(CLIPPED, "loss"), 0.0),
        below(f"windows of 3 words are more stable: {than} 10", cell, change(SHORT, "last"), 0.0),
        below(f"a GRU saturates less: {than} the basic cell", ours, change(GRU, "last"), 0.0),
        below(f"an LSTM saturates less: {than} the basic cell", ours, change(LSTM, "last"), 0.0),
    ]
