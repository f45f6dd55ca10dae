"""What the posts and others say of character models, held against a run's rows."""

from collections.abc import Sequence
from typing import Any

from experiments.char.config import BEST, COMPARISON, MODERN, PRESETS, PUBLISHED, Config
from jaxrnn import runs
from jaxrnn.runs.claims import Claim, at_most, below, ordered, within

POST = "R2RT, Recurrent Neural Networks in Tensorflow II (25 July 2016)"
COMMENTS = f"{POST}, comparison of cells, read in a third party's copy of its code"
NANO = "Karpathy, nanoGPT (2022), its 10.7-million-parameter transformer on the same split"
SMALL = "Karpathy, nanoGPT (2022), its small setting for a CPU, on the same split"
KRAUSE = "Krause et al. (2018), https://arxiv.org/abs/1709.07432"
IN_THE_POST = {
    "layer_norm_lstm": ("layer-norm LSTM", 1.7185, 3867.6),
    "gru_reset_before": ("GRU", 1.7532, 1051.7),
    "lstm": ("LSTM", 2.0281, 614.5),
}
"""The post's comparison by our cells: name, training loss of epoch 20 (the order), and what all 20
took, seconds. Our other GRU resets the product instead."""
TOLERANCE = 0.06
DYNAMIC_RNN = (3.558, 3.323, 3.283)
"""The post's training losses of its first epochs, by the graph that is nearest to ours."""
COUNTED = 1.669
"""Nats per character of an interpolated Witten-Bell n-gram of context 4, the best of them, on the
last tenth of tiny-shakespeare."""

WITHOUT_EFFECT = {"seed", "seeds", "log_every", "sample_length", "epochs", "schedule"}
"""Fields on which no statement depends; the schedule changes the time alone."""
ASKED = WITHOUT_EFFECT | {"init", "valid_fraction", "cell", "cells"}
"""And those in which the post is not followed: its weights learn later, and it held out nothing."""


def claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """What is said of these models; undecided where this run changed what it depends on."""
    dynamic = {"dynamic_rate", "dynamic_steps"}
    if runs.alike(config, MODERN, WITHOUT_EFFECT - {"epochs"}):
        lowest = min(row["valid_loss"] for row in rows)
        return [below("the best cell: validation loss", "jaxrnn's --preset best", lowest, 1.441)]
    if config.cells:
        return [*comparison_claims(config, rows), *yardsticks(config, rows)]
    if runs.alike(config, BEST, WITHOUT_EFFECT - {"epochs"} | dynamic):
        stays, learns = rows[0]["valid_loss"], rows[0].get("dynamic_valid_loss")
        gain = None if learns is None else learns - stays
        return [
            below("validation loss: below the transformer's", NANO, stays, 1.4697, 1.4697),
            below("dynamic evaluation - validation loss: better", KRAUSE, gain, 0.0),
        ]
    third = _loss(rows[0], 3) if runs.alike(config, PUBLISHED, ASKED - {"cell"}) else None
    published = third if config.model.init == "published" else None
    ours = third if config.model.init == "default" else None
    source = f"{POST}, dynamic_rnn, epoch 3"
    return [
        within(
            "epoch 3, published weights: training loss",
            source,
            published,
            DYNAMIC_RNN[2],
            TOLERANCE,
        ),
        below("epoch 3, default weights: training loss", "jaxrnn's own aim", ours, 3.20),
        *(first_epochs(rows[0]) if published is not None else []),
        *yardsticks(config, rows),
    ]


def first_epochs(row: dict[str, Any]) -> list[Claim]:
    """The losses of the post's table of graphs before the last, of a run that trained as it did.
    The table's seconds are those of its machine, of which a run elsewhere decides nothing."""
    return [
        within(
            f"epoch {epoch}, published weights: training loss",
            f"{POST}, dynamic_rnn",
            _loss(row, epoch),
            DYNAMIC_RNN[epoch - 1],
            TOLERANCE,
        )
        for epoch in (1, 2)
    ]


def yardsticks(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """What the best of the models of `--preset quick`, of whatever cell, is held against."""
    if not runs.alike(config, PRESETS["quick"], WITHOUT_EFFECT - {"epochs"} | {"cell", "cells"}):
        return []
    best = min((row["valid_loss"] for row in rows), default=None)
    counted = "interpolated Witten-Bell n-gram of 4 characters, counted on the same split"
    return [
        below("validation loss: below the best n-gram's", counted, best, COUNTED, COUNTED),
        below("validation loss: below a small transformer's", SMALL, best, 1.88, 1.88),
    ]


def comparison_claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """About epoch 20 of the post's comparison; undecided where this run has not come so far, or
    lacks a cell. A run that holds a part of the text out decides the order alone."""
    by_cell = {row["cell"]: row for row in rows if runs.alike(config, COMPARISON, ASKED)}
    losses = {cell: _loss(by_cell.get(cell), 20) for cell in IN_THE_POST}
    whole = config.text.valid_fraction == 0
    slow, fast = (by_cell.get(cell) for cell in ("layer_norm_lstm", "lstm"))
    ratio = slow["seconds_per_epoch"] / fast["seconds_per_epoch"] if slow and fast else None
    most = round(IN_THE_POST["layer_norm_lstm"][2] / IN_THE_POST["lstm"][2], 1)
    order = {IN_THE_POST[cell][0]: loss for cell, loss in losses.items()}
    slower = "layer-norm LSTM / LSTM, seconds per epoch: no more than the post's"
    return [
        ordered("training loss of epoch 20: the order of cells", COMMENTS, order),
        *(
            at_most(
                f"{name}: training loss of epoch 20, {loss:g} + {TOLERANCE:g} or better",
                COMMENTS,
                losses[cell] if whole else None,
                round(loss + TOLERANCE, 4),
                loss,
            )
            for cell, (name, loss, _) in IN_THE_POST.items()
        ),
        at_most(slower, COMMENTS, ratio, most, most),
    ]


def published_losses(config: Config) -> dict[str, float]:
    """Of the config's cells the post's losses, where this run trains as the post did."""
    followed = runs.alike(config, COMPARISON, ASKED)
    return {cell: IN_THE_POST[cell][1] for cell in config.cells if followed and cell in IN_THE_POST}


def _loss(row: dict[str, Any] | None, epoch: int) -> float | None:
    """The training loss of an epoch, counted from 1."""
    losses = [each["train_loss"] for each in row["per_epoch"]] if row else []
    return losses[epoch - 1] if len(losses) >= epoch else None
