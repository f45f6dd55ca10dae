"""The post's statements, held against a run's own rows."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from experiments.char.config import BEST, COMPARISON, PUBLISHED, Config
from jaxrnn.runs.claims import Claim, at_most, below, ordered, within

NANO = "Karpathy, nanoGPT (2022), its 10.7-million-parameter transformer on the same split"
KRAUSE = "Krause et al. (2018), https://arxiv.org/abs/1709.07432"
POST = "R2RT, Recurrent Neural Networks in Tensorflow II (25 July 2016)"
COMMENTS = f"{POST}, comparison of cells, read in a third party's copy of its code"
TOLERANCE = 0.06


class Published(NamedTuple):
    """A line of the post's comparison: the training loss of epoch 20, and what all 20 took."""

    name: str
    train_loss: float
    seconds: float


CELLS = {
    "layer_norm_lstm": Published("layer-norm LSTM", 1.7185, 3867.6),
    "gru_reset_before": Published("GRU", 1.7532, 1051.7),
    "lstm": Published("LSTM", 2.0281, 614.5),
}
"""By our cells, in the order of the post's losses. Our other GRU resets the product instead."""

WITHOUT_EFFECT = {"seed", "seeds", "log_every", "sample_length", "epochs", "schedule"}
"""Fields on which no statement depends; the schedule changes the time alone."""
ASKED = WITHOUT_EFFECT | {"init", "valid_fraction"}
"""And those in which the post is not followed: its weights learn later, and it held out nothing."""


def all_claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    if config.cells:
        return comparison_claims(config, rows)
    best = _alike(config, BEST, WITHOUT_EFFECT - {"epochs"} | {"dynamic_rate", "dynamic_steps"})
    return best_claims(rows[0]) if best else model_claims(config, rows[0])


def best_claims(row: dict[str, Any]) -> list[Claim]:
    """About the lowest validation loss on tiny-shakespeare."""
    stays, learns = row["valid_loss"], row.get("dynamic_valid_loss")
    gain = None if learns is None else learns - stays
    return [
        below("validation loss: below the transformer's", NANO, stays, 1.4697),
        below("dynamic evaluation - validation loss: better", KRAUSE, gain, 0.0),
    ]


def model_claims(config: Config, row: dict[str, Any]) -> list[Claim]:
    """About epoch 3 of the published training; undecided where this run changed it."""
    third = _loss(row, 3) if _alike(config, PUBLISHED, ASKED) else None
    published = third if config.init == "published" else None
    ours = third if config.init == "default" else None
    source = f"{POST}, dynamic_rnn, epoch 3"
    return [
        within("epoch 3, published weights: training loss", source, published, 3.283, TOLERANCE),
        below("epoch 3, default weights: training loss", "jaxrnn's own aim", ours, 3.20),
    ]


def comparison_claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """About epoch 20 of the post's comparison; undecided where this run changed it, has not come so
    far, or lacks a cell. A run that holds a part of the text out decides the order alone."""
    alike = _alike(config, COMPARISON, ASKED | {"cell", "cells"})
    by_cell = {row["cell"]: row for row in rows if alike}
    losses = {cell: _loss(by_cell.get(cell), COMPARISON.epochs) for cell in CELLS}
    whole = config.valid_fraction == COMPARISON.valid_fraction
    return [
        ordered(
            f"training loss of epoch {COMPARISON.epochs}: the order of cells",
            COMMENTS,
            {CELLS[cell].name: loss for cell, loss in losses.items()},
        ),
        *(
            at_most(
                f"{post.name}: training loss of epoch {COMPARISON.epochs}, "
                f"{post.train_loss:g} + {TOLERANCE:g} or better",
                COMMENTS,
                losses[cell] if whole else None,
                round(post.train_loss + TOLERANCE, 4),
            )
            for cell, post in CELLS.items()
        ),
        at_most(
            "layer-norm LSTM / LSTM, seconds per epoch: no more than the post's",
            COMMENTS,
            _ratio(by_cell, "layer_norm_lstm", "lstm"),
            round(CELLS["layer_norm_lstm"].seconds / CELLS["lstm"].seconds, 1),
        ),
    ]


def published_losses(config: Config) -> dict[str, float]:
    """Of the config's cells the post's losses, where this run trains as the post did."""
    alike = _alike(config, COMPARISON, ASKED | {"cell", "cells"})
    return {cell: CELLS[cell].train_loss for cell in config.cells if alike and cell in CELLS}


def _alike(config: Config, published: Config, free: set[str]) -> bool:
    names = {field.name for field in fields(config)} - free
    return all(getattr(config, name) == getattr(published, name) for name in names)


def _loss(row: dict[str, Any] | None, epoch: int) -> float | None:
    """The training loss of an epoch, counted from 1."""
    if row is None or len(row["per_epoch"]) < epoch:
        return None
    return row["per_epoch"][epoch - 1]["train_loss"]


def _ratio(by_cell: dict[str, dict[str, Any]], slow: str, fast: str) -> float | None:
    if slow not in by_cell or fast not in by_cell:
        return None
    return by_cell[slow]["seconds_per_epoch"] / by_cell[fast]["seconds_per_epoch"]
