"""What is compared: counts of which contexts, which cells, and what is made equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from jaxrnn import runs
from jaxrnn.base import require_positive
from jaxrnn.cell_files import cell_name, check_cells
from jaxrnn.data import Level
from jaxrnn.runs import Decided, replaced
from jaxrnn.runs.config import flags_of
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.groups import OptimizerName
from jaxrnn.runs.records import read_record

WORD = "word_"
"""What the flags begin with that say of words what another, without it, says of characters."""


@dataclass(frozen=True)
class Text(runs.TextConfig):
    # no event is unknown, to none of the models
    limit: Decided[int | None] = None


@dataclass(frozen=True)
class Model(runs.ModelConfig):
    cell: Decided[str] = ""
    hidden_size: int = 128
    embedding_size: int = 42


@dataclass(frozen=True)
class Config:
    """The source's contexts and sizes; the same text, split and training for every network, where
    the source's differ."""

    levels: tuple[Level, ...] = ("character", "word")
    """What the text is divided into, one after another; token: what whitespace divides."""
    unsmoothed: tuple[int, ...] = (4, 8, 10, 16)
    """Contexts of the n-grams of characters that know only what they have seen."""
    interpolated: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8)
    """Contexts of the n-grams of characters by Witten and Bell."""
    word_unsmoothed: tuple[int, ...] = (1, 2)
    word_interpolated: tuple[int, ...] = (0, 1, 2)
    cells: tuple[str, ...] = ("feed_forward", "elman", "gru", "lstm")
    """The networks' cells, each a name in CELLS or path/to/file.py:factory, with
    options as in "lru(r_min=0.9)" or without."""
    equal: Literal["hidden_size", "parameters", "seconds"] = "hidden_size"
    """What all networks of a level share. parameters, seconds: the hidden size is the largest
    whose model, or whose training run, stays within what is given."""
    parameters: int = 150_000
    seconds: float = 60.0
    """Of training each network, by the speed that is measured before; and so for words."""
    num_steps: int = 4
    """Characters of a stream in a training step."""
    word_num_steps: int = 4
    """Words of a stream in a training step."""
    word_hidden_size: int = 128
    word_parameters: int = 1_500_000
    word_seconds: float = 60.0
    word_embedding_size: int = 42
    word_optimizer: OptimizerName = "adam"
    word_learning_rate: float = 1e-3
    word_epochs: int = 4
    prompt: str = "the "
    """What every sample goes on from."""
    temperature: tuple[float, ...] = (0.2, 0.5, 1.0)
    """Of the samples; copies are counted at the last."""
    sample_length: int = 2000
    """Characters of a sample; of words a fifth as many."""
    known: bool = True
    """Count the n-grams whose figures are known from elsewhere too, where their texts are here."""
    sizes: Decided[Mapping[str, int]] = field(default_factory=dict)
    """The hidden sizes that a resumed run has found already, by setting."""
    text: Text = Text()
    model: Model = Model()
    gradient: runs.GradientConfig = runs.GradientConfig()
    optimizer: runs.OptimizerConfig = runs.OptimizerConfig(max_norm=1.0)
    loop: runs.LoopConfig = runs.LoopConfig(batch_size=512, epochs=8)


FEW = {"unsmoothed": (2, 4), "interpolated": (0, 1, 2)}
FEW_WORDS = {"word_unsmoothed": (1,), "word_interpolated": (0, 1)}
TINY = {"embedding_size": 6, "word_embedding_size": 4, "batch_size": 2, "num_steps": 8}
BRIEF = {"corpus": "nvidia", "epochs": 3, "word_epochs": 3, "log_every": 5, "sample_length": 100}
LONGER = {"batch_size": 32, "num_steps": 64, "word_num_steps": 20, "epochs": 4, "word_epochs": 2}

PUBLISHED = Config()
ALIKE = replaced(PUBLISHED, equal="parameters", embedding_size=32, word_embedding_size=32)
PRESETS = {
    "smoke": replaced(
        replaced(ALIKE, **FEW, **FEW_WORDS, **TINY, **BRIEF),
        cells=("feed_forward", "gru"),
        parameters=900,
        word_parameters=1_500,
        learning_rate=1e-2,
        word_learning_rate=1e-2,
        known=False,
    ),
    # as many parameters for each, trained alike
    "quick": replaced(
        ALIKE,
        **LONGER,
        learning_rate=3e-3,
        # Adam's steps are as large for words that it never sees, and make them impossible
        word_optimizer="adagrad",
        word_learning_rate=1.0,
        decay="cosine",
    ),
    "published": PUBLISHED,
}


def settings(config: Config) -> dict[str, Config]:
    """A network of each cell at each level."""
    _check(config)
    found = {}
    for level, part in by_level(config).items():
        for cell in config.cells:
            name = f"{level}_{cell_name(cell)}"
            one = replaced(part, cells=(cell,))
            if name in config.sizes:
                one = replaced(one, equal="hidden_size", hidden_size=config.sizes[name])
            found[name] = replace(one, model=replace(one.model, cell=cell))
    return found


def by_level(config: Config) -> dict[Level, Config]:
    """What the config says of each of its levels alone, as if that were one of characters."""
    words = {
        name.removeprefix(WORD): value
        for name, value in flags_of(config).items()
        if name.startswith(WORD)
    }
    words["sample_length"] = config.sample_length // 5
    return {
        level: replaced(config, levels=(level,), **({} if level == "character" else words))
        for level in config.levels
    }


def resolved(config: Config, resumed: RunDirectory | None) -> Config:
    """A resumed run goes on with the hidden sizes that it has: a clock does not find the same ones
    twice."""
    if resumed is None:
        return config
    recorded = read_record(resumed)["settings"]
    return replace(config, sizes={one["name"]: one["model"]["hidden_size"] for one in recorded})


def text_of(config: Config) -> runs.Text:
    """The corpus at the config's only level, the symbols of both its parts in the vocabulary."""
    (level,) = config.levels
    text = runs.configured_text(config.text, level)
    if len(text.valid) < 2:
        raise ValueError(
            f"--valid-fraction is {config.text.valid_fraction}, which holds out {len(text.valid)} "
            f"of the {level}s; give more, or a longer text"
        )
    return text


def _check(config: Config) -> None:
    """Raises:
    ValueError: no level, one twice, and so of cells; numbers that nobody can mean; contexts that
      cannot be counted; tied weights whose size would have to be looked for."""
    if not config.levels or len(set(config.levels)) < len(config.levels):
        raise ValueError(f"--levels is {config.levels}; give at least one, and each once")
    if not config.cells:
        raise ValueError("--cells names nothing; give at least one cell")
    check_cells(config.cells)
    if not 5 <= config.sample_length <= 100_000:
        raise ValueError(f"--sample-length is {config.sample_length}; give 5 to 100,000")
    if not config.temperature or min(config.temperature) < 0:
        raise ValueError(f"--temperature is {config.temperature}; give at least one, 0 or above")
    if config.model.tied and config.equal != "hidden_size":
        raise ValueError(
            f"--equal {config.equal} looks for a hidden size, and --tied needs that of the "
            "embedding; give --equal hidden_size, or leave --tied out"
        )
    flags = flags_of(config)
    for prefix in ("", WORD):
        mine = {name: flags[f"{prefix}{name}"] for name in flags if f"{prefix}{name}" in flags}
        require_positive(**{f"{prefix}{name}": mine[name] for name in ("num_steps", "epochs")})
        dashed = f"--{prefix.replace('_', '-')}"
        if mine["seconds"] <= 0:
            raise ValueError(f"{dashed}seconds is {mine['seconds']}; give more than 0")
        for name in ("unsmoothed", "interpolated"):
            contexts = mine[name]
            if contexts and not 0 <= min(contexts) <= max(contexts) <= 64:
                raise ValueError(f"{dashed}{name} is {contexts}; give contexts of 0 to 64 tokens")
            if len(set(contexts)) < len(contexts):
                raise ValueError(f"{dashed}{name} is {contexts}; give each context once")
