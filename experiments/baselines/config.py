"""What is compared: counts of which contexts, which cells, and what is made equal."""

from dataclasses import dataclass, replace
from typing import Literal

from jaxrnn.data import Level
from jaxrnn.gradients.configured import EstimatorName
from jaxrnn.models import Precision
from jaxrnn.optimizers import Decay
from jaxrnn.unroll import Schedule


@dataclass(frozen=True)
class Config:
    """The source's contexts and sizes; the same text, split and training for every network, where
    the source's differ."""

    corpus: str = "tiny-shakespeare"
    """tiny-shakespeare, sherlock, nvidia, ptb, stdlib, or the path of a UTF-8 text file."""
    valid_fraction: float = 0.1
    """Part of the text, at its end, that every model is scored on."""
    levels: tuple[Level, ...] = ("character", "word")
    """What the text is divided into, one after another; token: what whitespace divides."""
    unsmoothed: tuple[int, ...] = (4, 8, 10, 16)
    """Contexts of the n-grams of characters that know only what they have seen."""
    interpolated: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8)
    """Contexts of the n-grams of characters by Witten and Bell."""
    word_unsmoothed: tuple[int, ...] = (1, 2)
    word_interpolated: tuple[int, ...] = (0, 1, 2)
    cells: tuple[str, ...] = ("feed_forward", "elman", "gru", "lstm")
    """The networks' cells, each a name in CELLS or path/to/file.py:factory."""
    equal: Literal["hidden_size", "parameters", "seconds"] = "hidden_size"
    """What all networks of a level share. parameters, seconds: the hidden size is the largest
    whose model, or whose training, stays within what is given."""
    hidden_size: int = 128
    word_hidden_size: int = 128
    parameters: int = 150_000
    word_parameters: int = 1_500_000
    seconds: float = 60.0
    """Of training each network, by the speed that is measured before; and so for words."""
    word_seconds: float = 60.0
    embedding_size: int = 42
    word_embedding_size: int = 42
    batch_size: int = 512
    """Streams that the text is cut into."""
    num_steps: int = 4
    """Characters of a stream in a training step."""
    word_num_steps: int = 4
    """Words of a stream in a training step."""
    precision: Precision = "float32"
    """What the networks compute in; params, optimizer and loss are float32."""
    estimator: EstimatorName = "tbptt"
    """How errors go back over time: the styles of `jaxrnn.gradients.STYLES`."""
    window: int = 0
    """Steps an error goes back at most (of drawn lengths: the base or the mean); 0: num_steps."""
    stride: int = 0
    """Steps between two windows; 0: num_steps."""
    schedule: Schedule = "auto"
    """How a training step goes over time: scan is the plain loop, auto chooses by size."""
    optimizer: Literal["adam", "adamw", "adagrad", "momentum"] = "adam"
    word_optimizer: Literal["adam", "adamw", "adagrad", "momentum"] = "adam"
    learning_rate: float = 1e-3
    word_learning_rate: float = 1e-3
    decay: Decay = "none"
    """How the learning rate falls to 0 at the last epoch."""
    max_norm: float | None = 1.0
    """Clip the gradient to this global norm; None does not clip."""
    epochs: int = 8
    word_epochs: int = 4
    seed: int = 0
    seeds: int = 1
    """How many seeds of the networks, from seed on, each a member of one compiled run."""
    log_every: int = 25
    """Training steps to a line of the log; Ctrl-C is noticed as often."""
    prompt: str = "the "
    """What every sample goes on from."""
    temperature: tuple[float, ...] = (0.2, 0.5, 1.0)
    """Of the samples; copies are counted at the last."""
    sample_length: int = 2000
    """Characters of a sample; of words a fifth as many."""
    known: bool = True
    """Count the n-grams whose figures are known from elsewhere too, where their texts are here."""


PUBLISHED = Config()

PRESETS = {
    "smoke": Config(
        corpus="nvidia",
        unsmoothed=(2, 4),
        interpolated=(0, 1, 2),
        word_unsmoothed=(1,),
        word_interpolated=(0, 1),
        cells=("feed_forward", "gru"),
        equal="parameters",
        parameters=900,
        word_parameters=1_500,
        embedding_size=6,
        word_embedding_size=4,
        batch_size=2,
        num_steps=8,
        word_num_steps=4,
        learning_rate=1e-2,
        word_learning_rate=1e-2,
        epochs=3,
        word_epochs=3,
        log_every=5,
        sample_length=100,
        known=False,
    ),
    # as many parameters for each, trained alike
    "quick": replace(
        PUBLISHED,
        equal="parameters",
        embedding_size=32,
        word_embedding_size=32,
        batch_size=32,
        num_steps=64,
        word_num_steps=20,
        learning_rate=3e-3,
        # Adam's steps are as large for words that it never sees, and make them impossible
        word_optimizer="adagrad",
        word_learning_rate=1.0,
        decay="cosine",
        epochs=4,
        word_epochs=2,
    ),
    "published": PUBLISHED,
}


@dataclass(frozen=True)
class Part:
    """What the config says of one level."""

    level: Level
    unsmoothed: tuple[int, ...]
    interpolated: tuple[int, ...]
    hidden_size: int
    parameters: int
    seconds: float
    embedding_size: int
    num_steps: int
    optimizer: str
    learning_rate: float
    epochs: int
    sample_length: int


def parts(config: Config) -> list[Part]:
    """The config's levels, in order.

    Raises:
      ValueError: no level, one twice, no cell, or samples of a length that nobody can mean.
    """
    if not config.levels or len(set(config.levels)) < len(config.levels):
        raise ValueError(f"--levels is {config.levels}; give at least one, and each once")
    if not 5 <= config.sample_length <= 100_000:
        raise ValueError(f"--sample-length is {config.sample_length}; give 5 to 100,000")
    for name in ("seconds", "word_seconds"):
        if getattr(config, name) <= 0:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} is {getattr(config, name)}; give more than 0")
    if not config.cells:
        raise ValueError("--cells names nothing; give at least one cell")
    if not config.temperature or min(config.temperature) < 0:
        raise ValueError(f"--temperature is {config.temperature}; give at least one, 0 or above")
    return [_part(config, level) for level in config.levels]


def _part(config: Config, level: Level) -> Part:
    if level == "character":
        return Part(
            level,
            config.unsmoothed,
            config.interpolated,
            config.hidden_size,
            config.parameters,
            config.seconds,
            config.embedding_size,
            config.num_steps,
            config.optimizer,
            config.learning_rate,
            config.epochs,
            config.sample_length,
        )
    return Part(
        level,
        config.word_unsmoothed,
        config.word_interpolated,
        config.word_hidden_size,
        config.word_parameters,
        config.word_seconds,
        config.word_embedding_size,
        config.word_num_steps,
        config.word_optimizer,
        config.word_learning_rate,
        config.word_epochs,
        config.sample_length // 5,
    )
