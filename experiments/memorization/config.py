"""What a run trains, and on what."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from jaxrnn import runs
from jaxrnn.base import require_positive
from jaxrnn.cell_files import cell_name
from jaxrnn.data import Vocabulary, split
from jaxrnn.optimizers import Decay
from jaxrnn.runs import Decided
from jaxrnn.runs.text import read_corpus

NOTEBOOK_CELLS = ("lstm", "elman")
"""The notebook's two."""
PADDING = "□"


@dataclass(frozen=True)
class Model(runs.ModelConfig):
    cell: str = ""
    """A name in CELLS, or path/to/file.py:factory, with options as in "lru(r_min=0.9)" or without;
    if not given, both of the notebook's."""
    hidden_size: int = 16
    embedding_size: int = 16
    weight_drop: Decided[float] = 0.0
    init: Literal["default", "published"] = "default"
    """First weights: published are those of Keras, default ours."""


@dataclass(frozen=True)
class Gradient(runs.GradientConfig):
    estimator: Decided[str] = "bptt"
    window: int = 64
    """Characters that a prediction is made from, each time from a fresh carry; so far errors go."""
    stride: Decided[int] = 0
    history: Decided[int] = 0


@dataclass(frozen=True)
class Optimizer(runs.OptimizerConfig):
    learning_rate: Decided[float] = 0.0
    decay: Decided[Decay] = "none"
    warmup: Decided[int] = 0


@dataclass(frozen=True)
class Loop(runs.LoopConfig):
    batch_size: Decided[int] = 0
    epochs: Decided[int] = 1
    seeds: int = 4
    log_every: Decided[int] = 1


@dataclass(frozen=True)
class Config:
    """The notebook's text, models and four phases; a flag with several numbers has one a phase."""

    corpus: str = "nvidia"
    """A text by name, or a file."""
    most_epochs: tuple[int, ...] = (10, 100, 200, 200)
    """Epochs of each phase, unless it stops early."""
    learning_rate: tuple[float, ...] = (1e-3, 1e-2, 1e-3, 1e-4)
    batch_size: tuple[int, ...] = (1, 2, 1, 1)
    patience: tuple[int, ...] = (0, 5, 10, 10)
    """Epochs without a better accuracy after which a phase stops and goes back to its best one; 0:
    it does neither."""
    shuffled: tuple[bool, ...] = (False, True, True, True)
    """Whether an epoch draws the order of its windows, or takes that of the text."""
    model: Model = Model()
    gradient: Gradient = Gradient()
    optimizer: Optimizer = Optimizer()
    loop: Loop = Loop()


PRESETS = {
    "smoke": runs.replaced(Config(), most_epochs=(1, 1, 1, 1), seeds=2),
    "quick": runs.replaced(Config(), most_epochs=(5, 40, 20, 10), seeds=2),
    "published": Config(),
}


def settings(config: Config) -> dict[str, Config]:
    """One of each cell."""
    names = ("most_epochs", "learning_rate", "batch_size", "patience", "shuffled")
    runs.entries(**{name: getattr(config, name) for name in names})
    require_positive(most_epochs=min(config.most_epochs), batch_size=min(config.batch_size))
    if not min(config.learning_rate) > 0:
        raise ValueError(f"--learning-rate holds {min(config.learning_rate)}; give numbers above 0")
    model, rate, size = config.model, config.learning_rate[0], max(config.batch_size)
    if model.init == "published" and model.num_layers > 1:
        raise ValueError(
            f"--num-layers is {model.num_layers}, and --init published has the first weights of "
            "the notebook's one layer; leave one of the two out"
        )
    optimizer = replace(config.optimizer, learning_rate=rate)
    part = replace(config, optimizer=optimizer, loop=replace(config.loop, batch_size=size))
    cells = (model.cell,) if model.cell else NOTEBOOK_CELLS
    return {cell_name(cell): runs.replaced(part, cell=cell) for cell in cells}


def read_text(config: Config) -> runs.Text:
    """Ids are those of Keras's tokenizer, whose weights are then ours: 0 is for padding (here: for
    what is not in the text), then the most frequent characters first, of several the earliest.

    Raises:
      ValueError: a text without a single window; and as `read_corpus` does.
    """
    corpus, window = read_corpus(config.corpus), config.gradient.window
    text, _ = split(corpus, 0.0)
    require_positive(window=window)
    if len(text) <= window:
        raise ValueError(
            f"--window is {window}, the text {config.corpus} has {len(text)} characters; "
            "give fewer than these"
        )
    symbols = [symbol for symbol, _ in Counter(text).most_common() if symbol != PADDING]
    vocabulary = Vocabulary("character", (PADDING, *symbols), 0)
    ids = vocabulary.encode(text)
    return runs.Text(vocabulary, ids, ids[:0], corpus.sha256)
