"""What a run trains, and on what."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrnn.base import require_positive
from jaxrnn.data import Vocabulary, split
from jaxrnn.models import Precision, TokenModel
from jaxrnn.runs.text import read_corpus
from jaxrnn.unroll import Schedule

CELLS = ("lstm", "elman")
"""The notebook's two."""


@dataclass(frozen=True)
class Config:
    """The notebook's text, models and four phases; a flag with several numbers has one a phase."""

    corpus: str = "nvidia"
    """A text by name, or a file."""
    cell: str = ""
    """A name in CELLS, or path/to/file.py:factory; if not given, both of the notebook's."""
    window: int = 64
    """Characters that a prediction is made from, each time from a fresh carry."""
    hidden_size: int = 16
    embedding_size: int = 16
    init: Literal["default", "published"] = "default"
    """First weights: published are those of Keras, default ours."""
    precision: Precision = "float32"
    """What the models compute in; params, optimizer and loss are float32."""
    schedule: Schedule = "auto"
    """How a window is read: scan is the plain loop, auto chooses by size."""
    most_epochs: tuple[int, ...] = (10, 100, 200, 200)
    """Epochs of each phase, unless it stops early."""
    learning_rate: tuple[float, ...] = (1e-3, 1e-2, 1e-3, 1e-4)
    batch_size: tuple[int, ...] = (1, 2, 1, 1)
    patience: tuple[int, ...] = (0, 5, 10, 10)
    """Epochs without a better accuracy after which a phase stops and goes back to its best one; 0:
    it does neither."""
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


class Text(NamedTuple):
    """The text, the vocabulary of its characters, and the checksums of what it was read from."""

    characters: str
    vocabulary: Vocabulary
    sha256: dict[str, str]

    @property
    def tokens(self) -> Int[Array, " N"]:
        return jnp.asarray(self.vocabulary.encode(self.characters))


def cells(config: Config) -> tuple[str, ...]:
    return (config.cell,) if config.cell else CELLS


def read_text(config: Config) -> Text:
    """Ids are those of Keras's tokenizer, whose weights are then ours: 0 is for padding (here: for
    what is not in the text), then the most frequent characters first, of several the earliest.

    Raises:
      ValueError: a text without a single window; and as `read_corpus` does.
    """
    corpus = read_corpus(config.corpus)
    text, _ = split(corpus, 0.0)
    require_positive(window=config.window)
    if len(text) <= config.window:
        raise ValueError(
            f"--window is {config.window}, the text {config.corpus} has {len(text)} characters; "
            "give fewer than these"
        )
    symbols = [symbol for symbol, _ in Counter(text).most_common() if symbol != PADDING]
    return Text(text, Vocabulary("character", (PADDING, *symbols), 0), corpus.sha256)


PADDING = "□"


def make_model(config: Config, cell: str, vocab_size: int) -> TokenModel:
    return TokenModel(
        vocab_size=vocab_size,
        output_size=vocab_size,
        cell=cell,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        precision=config.precision,
    )
