"""What is trained: one word model, or one of each setting of a study."""

from dataclasses import dataclass, replace
from typing import Literal

from jaxrnn.gradients.configured import EstimatorName
from jaxrnn.models import DropoutKind, Init, Precision
from jaxrnn.optimizers import Decay
from jaxrnn.unroll import Schedule

Reading = Literal["windows", "streams"]
LossKind = Literal["full", "sampled", "nce"]


@dataclass(frozen=True)
class Config:
    """Pat Coady's model and training, by the sizes of his page; the last tenth of the text is held
    out, which he did not."""

    corpus: str = "sherlock"
    """sherlock, ptb, tiny-shakespeare, nvidia, stdlib, or the path of a UTF-8 text file."""
    valid_fraction: float = 0.1
    """Part of the text, at its end, to validate on; 0 trains on everything, as published."""
    limit: int | None = None
    """Largest vocabulary; rarer words become one unknown word."""
    cell: str = "lstm"
    """A name in CELLS, or path/to/file.py:factory."""
    num_layers: int = 1
    hidden_size: int = 192
    embedding_size: int = 64
    dense_size: int = 96
    """Units of the tanh layer between the cell and the words; 0 has none."""
    dropout: float = 0.0
    """Rate on the non-recurrent connections."""
    dropout_kind: DropoutKind = "plain"
    """variational: one mask for all time steps of a training step."""
    weight_drop: float = 0.0
    """Rate of recurrent weights that are zero for a training step."""
    tied: bool = False
    """The embedding is the head's matrix, transposed."""
    init: Init = "small"
    """First weights; small: as published, published: Glorot everywhere, as elsewhere here."""
    precision: Precision = "float32"
    """What the model computes in; params, optimizer and loss are float32."""
    reading: Reading = "windows"
    """windows: each from a carry of its own, in shuffled order, and only its last output predicts;
    streams: one after the other, the carry goes on, and every output predicts."""
    batch_size: int = 32
    """Streams that the text is cut into."""
    num_steps: int = 20
    """Words of a stream in a training step: a window's, or those that predict."""
    loss: LossKind = "nce"
    """full: cross-entropy. sampled: softmax over the target and negatives. nce: noise-contrastive
    estimation, as published. Validation is the cross-entropy, whatever is trained."""
    negatives: int = 64
    """Words drawn for a training step with sampled and nce, log-uniformly by rank."""
    estimator: EstimatorName = "tbptt"
    """How errors go back over time: the styles of `jaxrnn.gradients.STYLES`."""
    window: int = 0
    """Steps an error goes back at most (of drawn lengths: the base or the mean); 0: num_steps."""
    stride: int = 0
    """Steps between two windows; 0: num_steps, and 1 where a window predicts one word."""
    schedule: Schedule = "auto"
    """How a training step goes over time: scan is the plain loop, auto chooses by size."""
    optimizer: Literal["momentum", "adam", "adamw", "adagrad", "rmsprop"] = "momentum"
    learning_rate: float = 0.05
    momentum: float = 0.8
    """Of the optimizer momentum."""
    decay: Decay = "none"
    """How the learning rate falls to 0 at the last epoch."""
    warmup: int = 0
    """Training steps over which it rises at first."""
    max_norm: float | None = None
    """Clip the gradient to this global norm; None does not clip."""
    epochs: int = 75
    study: Literal["none", "saturation"] = "none"
    """saturation: trains the settings of the diagnosis in turn, each a change of this config."""
    seed: int = 0
    seeds: int = 1
    """How many seeds, from seed on, each a member of one compiled run."""
    log_every: int = 250
    """Training steps to a line of the log; Ctrl-C is noticed as often."""
    sample_length: int = 250
    """Words that the first seed writes at the end of each epoch, twice: always the likeliest, and
    drawn."""


PUBLISHED = Config()

LEARNING = replace(
    PUBLISHED,
    embedding_size=128,
    dense_size=128,
    dropout=0.3,
    reading="streams",
    init="default",
    loss="sampled",
    negatives=512,
    # gradients come to a norm of more than that; not Adam, which takes words that training never
    # sees to a probability of nothing: 6.4 nats of validation after 2 epochs, 5.1 with momentum
    learning_rate=2.0,
    max_norm=0.25,
    log_every=50,
)
"""Every word predicts, from all words before it: what learns the text soonest."""

PRESETS = {
    "smoke": Config(
        limit=300,
        hidden_size=6,
        embedding_size=5,
        dense_size=4,
        batch_size=64,
        num_steps=4,
        negatives=8,
        epochs=2,
        log_every=500,
        sample_length=20,
    ),
    "quick": replace(LEARNING, epochs=4),
    "published": PUBLISHED,
    # the notebook behind the page's sample of text
    "notebook": replace(PUBLISHED, hidden_size=128, dense_size=196),
    "best": replace(
        LEARNING,
        embedding_size=256,
        hidden_size=256,
        dense_size=0,
        tied=True,
        dropout=0.5,
        negatives=1024,
        epochs=30,
    ),
    # the notebook of the basic cell
    "saturation": replace(
        PUBLISHED,
        study="saturation",
        cell="elman",
        embedding_size=128,
        hidden_size=128,
        dense_size=128,
        num_steps=10,
        learning_rate=0.001,
        momentum=0.9,
        epochs=1,
        sample_length=0,
    ),
}
