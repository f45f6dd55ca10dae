"""What the page, its notebooks and counting say of word models, held against a run's rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.word.config import (
    BASIC,
    CLIPPED,
    GRU,
    LSTM,
    PRESETS,
    RECOVERING,
    SHORT,
    Config,
)
from experiments.word.vectors import MOST
from jaxrnn import runs
from jaxrnn.runs.claims import Claim, at_least, at_most, below

PAGE = "Pat Coady, RNN language model on three Sherlock Holmes books (2017)"
NOTEBOOK = f"{PAGE}, notebook behind the page's text: mean of an epoch's last 20 batches"
BIGRAM = 5.316
"""Nats per word of an interpolated Witten-Bell bigram on the last tenth of Sherlock."""
NCE = {1: 4.93, 2: 4.27, 5: 3.83, 10: 3.43, 20: 2.86, 25: 2.50, 50: 2.11, 75: 2.03}
"""The notebook's loss by epoch."""
TOLERANCE = 0.1
NEAR_MR = {"st", "mrs", "dr"}
"""The words nearest to mr on the page, but for those that are no titles."""

FREE = runs.WITHOUT_EFFECT | {"study", "epochs", "valid_fraction"}
"""Fields on which no statement depends."""


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
        below("lowest validation loss: below the bigram's", counted, beside, BIGRAM, BIGRAM),
        *notebook_claims(config, row["last_losses"]),
    ]


def vector_claims(config: Config, row: Mapping[str, Any]) -> list[Claim]:
    """What the page shows of its words' vectors, of the presets that learn as much; by the better
    one of the two embeddings."""
    presets = (PRESETS[name] for name in ("quick", "best", "published", "notebook"))
    if not any(runs.alike(config, preset, FREE - {"epochs"}) for preset in presets):
        return []
    places, near = [], []
    for found in row["words"].values():
        pairs = {(each["a"], each["b"], each["c"]): each["found"] for each in found["analogies"]}
        words = pairs.get(("had", "has", "was"), [])
        places.append(words.index("is") + 1 if "is" in words else MOST + 1)
        near.append(len({*found["nearest"].get("mr", [])} & NEAR_MR))
    known = bool(places)
    return [
        at_most(
            f"had is to has as was to is: the place of is, of {MOST} shown",
            f"{PAGE}, analogies",
            float(min(places)) if known else None,
            float(MOST),
            1.0,
        ),
        at_least(
            f"nearest to mr, of {MOST}: how many of {', '.join(sorted(NEAR_MR))}",
            f"{PAGE}, nearest words",
            float(max(near)) if known else None,
            2.0,
            3.0,
        ),
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
            x,
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
