"""What a run trains, and on what."""

from dataclasses import dataclass
from typing import Literal

from jaxrnn.base import require_positive
from jaxrnn.data import Vocabulary, build_vocabulary, load_corpus, split
from jaxrnn.models import Precision, TokenModel
from jaxrnn.unroll import Schedule

CELLS = ("lstm", "elman")
"""The notebook's two."""


@dataclass(frozen=True)
class Config:
    """The notebook's text, models and four phases; a flag with several numbers has one a phase."""

    corpus: str = "nvidia"
    """As in the character model."""
    cell: str = ""
    """A name in CELLS, or path/to/file.py:factory; if not given, both of the notebook's."""
    window: int = 64
    """Characters that a prediction is made from, each time from a fresh carry."""
    hidden_size: int = 16
    embedding_size: int = 16
    init: Literal["default", "published"] = "published"
    """First weights; published: the embedding within 0.05 of 0, as in Keras."""
    precision: Precision = "float32"
    """What the models compute in; params, optimizer and loss are float32."""
    schedule: Schedule = "auto"
    """How a window is read: scan is the plain loop, auto chooses by size."""
    most_epochs: tuple[int, ...] = (10, 100, 200, 200)
    """Epochs of each phase, unless it stops early."""
    learning_rate: tuple[float, ...] = (1e-3, 1e-2, 1e-3, 1e-4)
    batch_size: tuple[int, ...] = (1, 2, 1, 1)
    patience: tuple[int, ...] = (0, 5, 10, 10)
    """Epochs without a better accuracy after which a phase stops; 0: it does not."""
    shuffled: tuple[bool, ...] = (False, True, True, True)
    """Whether an epoch draws the order of its windows, or takes that of the text."""
    seed: int = 0
    seeds: int = 4
    """How many seeds, from seed on, each a member of one compiled run."""


PRESETS = {
    "smoke": Config(most_epochs=(1, 1, 1, 1), seeds=2),
    "quick": Config(most_epochs=(5, 40, 20, 10), seeds=2),
    "published": Config(),
}


def cells(config: Config) -> tuple[str, ...]:
    return (config.cell,) if config.cell else CELLS


def read_text(config: Config) -> tuple[str, Vocabulary, dict[str, str]]:
    """The text, its characters with id 0 kept for what is not in it (Keras's padding), and the
    checksums.

    Raises:
      ValueError: a text without a single window; and as `load_corpus` does.
    """
    corpus = load_corpus(config.corpus)
    text, _ = split(corpus, 0.0)
    require_positive(window=config.window)
    if len(text) <= config.window:
        raise ValueError(
            f"--window is {config.window}, the text {config.corpus} has {len(text)} characters; "
            "give fewer than these"
        )
    return text, build_vocabulary(text, "character", unknown=True), corpus.sha256


def make_model(config: Config, cell: str, vocab_size: int) -> TokenModel:
    return TokenModel(
        vocab_size=vocab_size,
        output_size=vocab_size,
        cell=cell,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        precision=config.precision,
    )
