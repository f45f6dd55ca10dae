"""What is said of word models, held against a run's own rows."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from experiments.word.config import PRESETS, Config
from experiments.word.study import BASIC, CLIPPED, GRU, LSTM, RECOVERING, SHORT
from jaxrnn.runs.claims import Claim, at_least, at_most, below

PAGE = "Pat Coady, RNN language model on three Sherlock Holmes books (2017)"
NOTEBOOK = f"{PAGE}, notebook behind the page's text: mean of an epoch's last 20 batches"
BIGRAM = 5.316
"""Nats per word of an interpolated Witten-Bell bigram on the last tenth of Sherlock."""
NCE = {1: 4.93, 2: 4.27, 5: 3.83, 10: 3.43, 20: 2.86, 25: 2.50, 50: 2.11, 75: 2.03}
"""The notebook's loss by epoch."""
TOLERANCE = 0.1

WITHOUT_EFFECT = {"seed", "seeds", "log_every", "sample_length", "epochs", "schedule", "study"}
"""Fields on which no statement depends; the schedule changes the time alone."""


def unigram_entropy(tokens: np.ndarray) -> float:
    """Nats per word of a text, by how often each is in it."""
    _, counts = np.unique(tokens, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def all_claims(config: Config, row: Mapping[str, Any], entropy: float) -> list[Claim]:
    """About the run's model; `entropy` is that of its training text."""
    losses = [loss for loss in row["valid_losses"] if loss is not None]
    change = losses[-1] - losses[0] if len(losses) > 1 else None
    return [
        below(
            "lowest validation loss: below the unigram entropy of the text",
            "jaxrnn's own aim",
            row["valid_loss"],
            entropy,
        ),
        below("validation loss, last epoch - first: falls", "jaxrnn's own aim", change, 0.0),
        below(
            "lowest validation loss: below the bigram's",
            "interpolated Witten-Bell bigram, whole vocabulary, last tenth of Sherlock",
            row["valid_loss"] if whole_sherlock(config) else None,
            BIGRAM,
        ),
        *notebook_claims(config, row["last_losses"]),
    ]


def saturation_claims(config: Config, rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """What the page says of saturated units; open where this run changed the training."""
    decided = alike(config, PRESETS["saturation"])
    found = {row["model"]: row for row in rows} if decided else {}

    def share(name: str, when: str, units: str = "saturated") -> float | None:
        return found[name]["saturation"][units][when] if name in found else None

    def loss(name: str) -> float | None:
        return found[name]["last_losses"][-1] if name in found else None

    def apart(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a - b

    return [
        at_least(
            "basic cell, low learning rate: highest share of saturated units before the head",
            f"{PAGE}: explodes early",
            share(BASIC, "highest", "saturated_dense"),
            0.5,
        ),
        at_least(
            "the same at the end of training: pinned",
            f"{PAGE}: too slow to recover",
            share(BASIC, "last", "saturated_dense"),
            0.5,
        ),
        below(
            "a higher learning rate recovers: last share of units before the head",
            f"{PAGE}: 0.01 to 0.1 is best",
            share(RECOVERING, "last", "saturated_dense"),
            0.5,
        ),
        below(
            "and learns: last loss - that of the low one",
            f"{PAGE}: 0.01 to 0.1 is best",
            apart(loss(RECOVERING), loss(BASIC)),
            0.0,
        ),
        below(
            "clipping stops early saturation: highest share - that without",
            f"{PAGE}: gradient clipping",
            apart(share(CLIPPED, "highest"), share(BASIC, "highest")),
            0.0,
        ),
        at_least(
            "but is not particularly helpful: last loss - that without",
            f"{PAGE}: gradient clipping",
            apart(loss(CLIPPED), loss(BASIC)),
            0.0,
        ),
        below(
            "windows of 3 words are more stable: last share - that of 10",
            f"{PAGE}: basic cell",
            apart(share(SHORT, "last"), share(BASIC, "last")),
            0.0,
        ),
        below(
            "a GRU saturates less: last share - that of the basic cell",
            "jaxrnn's own question",
            apart(share(GRU, "last"), share(BASIC, "last")),
            0.0,
        ),
        below(
            "an LSTM saturates less: last share - that of the basic cell",
            "jaxrnn's own question",
            apart(share(LSTM, "last"), share(BASIC, "last")),
            0.0,
        ),
    ]


def whole_sherlock(config: Config) -> bool:
    """Whether the loss may stand beside the bigram's."""
    return (config.corpus, config.valid_fraction, config.limit) == ("sherlock", 0.1, None)


def notebook_claims(config: Config, last_losses: Sequence[float]) -> list[Claim]:
    """About the notebook's training loss, as far as this run trains as it did and has come."""
    if not alike(config, PRESETS["notebook"]):
        return []
    return [
        at_most(
            f"noise-contrastive loss at the end of epoch {epoch}: {loss:g} + {TOLERANCE:g} or less",
            NOTEBOOK,
            last_losses[epoch - 1] if epoch <= len(last_losses) else None,
            loss + TOLERANCE,
        )
        for epoch, loss in NCE.items()
    ]


def alike(config: Config, published: Config) -> bool:
    """Whether the two differ in nothing that a statement depends on."""
    same = {field.name: getattr(config, field.name) for field in fields(config)}
    free = {name: same[name] for name in WITHOUT_EFFECT | {"valid_fraction"}}
    return replace(published, **free) == config
