"""What every model writes after the same prompt, and how much of it is copied."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines.config import Config
from jaxrnn.analysis.copying import copied_shares
from jaxrnn.base import Cell, Params
from jaxrnn.counts import CountModel, write
from jaxrnn.data import Vocabulary
from jaxrnn.generation import generate
from jaxrnn.runs import Text, starting_text

LENGTHS = (10, 20, 40)
"""Of the stretches of characters that are looked for in the training text."""

Samples = dict[str, str]
"""Temperature to the text that was written."""


def prompt(config: Config, vocabulary: Vocabulary) -> np.ndarray:
    """The config's prompt as ids; where the text lacks a symbol of it, what a text begins with."""
    known = "" if vocabulary.missing(config.prompt) else config.prompt
    ids = vocabulary.encode(known)
    return ids if len(ids) else vocabulary.encode(starting_text(vocabulary))


def other_prompt(config: Config, level: str, vocabulary: Vocabulary) -> list[str]:
    """A note where the prompt is not what the models of a level begin with."""
    if not (absent := vocabulary.missing(config.prompt)):
        return []
    return [
        f"--prompt holds {absent[0]!r}, which is none of the text's {level}s; models of "
        f"{level}s begin with {starting_text(vocabulary)!r} instead"
    ]


def written_by_counts(config: Config, text: Text, model: CountModel) -> Samples:
    """What an n-gram writes, one token after another."""
    start = prompt(config, text.vocabulary)

    def draw(i, temperature):
        random = np.random.default_rng([config.loop.seed, i])
        return write(model, start, config.sample_length, temperature=temperature, random=random)

    return _written(config, text, draw)


def written_by_network(config: Config, text: Text, cell: Cell, params: Params) -> Samples:
    """What a network writes."""
    start = jnp.asarray(prompt(config, text.vocabulary))[:, None]

    @jax.jit  # one program for all temperatures
    def ids(key, temperature):
        return generate(cell, params, key, start, config.sample_length, temperature=temperature)

    def draw(i, temperature):
        key = jax.random.fold_in(jax.random.key(config.loop.seed), i)
        return np.asarray(ids(key, jnp.float32(temperature)))[:, 0]

    return _written(config, text, draw)


def _written(config: Config, text: Text, draw: Callable[[int, float], np.ndarray]) -> Samples:
    return {
        f"{temperature:g}": text.vocabulary.decode(draw(i, temperature))
        for i, temperature in enumerate(config.temperature)
    }


def copies(texts: Sequence[str], source: str) -> list[dict[str, float | None]]:
    """Of each text the shares of its stretches of characters that stand in `source`."""
    shares = [copied_shares(texts, source, length) for length in LENGTHS]
    names = [f"copied_{length}" for length in LENGTHS]
    return [dict(zip(names, each, strict=True)) for each in zip(*shares, strict=True)]
