"""What every model writes after the same prompt, and how much of it is copied."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines.config import Config, Part
from jaxrnn.analysis.copying import copied_shares
from jaxrnn.counts import CountModel, write
from jaxrnn.data import Vocabulary
from jaxrnn.generation import generate
from jaxrnn.runs import load, starting_text
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.progress import warn
from jaxrnn.runs.text import Text

LENGTHS = (10, 20, 40)
"""Of the stretches of characters that are looked for in the training text."""
HELD_OUT = "held-out text"
"""The row of the text itself, among those of the models."""

Samples = dict[str, str]
"""Temperature to the text that was written."""


def prompt(config: Config, vocabulary: Vocabulary) -> np.ndarray:
    """The config's prompt as ids; where the text lacks a symbol of it, what a text begins with."""
    known = "" if vocabulary.missing(config.prompt) else config.prompt
    ids = vocabulary.encode(known)
    return ids if len(ids) else vocabulary.encode(starting_text(vocabulary))


def say_other_prompt(config: Config, level: str, vocabulary: Vocabulary) -> None:
    """Says where the prompt is not what the models of a level begin with."""
    if absent := vocabulary.missing(config.prompt):
        warn(
            f"--prompt holds {absent[0]!r}, which is none of the text's {level}s; models of "
            f"{level}s begin with {starting_text(vocabulary)!r} instead"
        )


def written_by_counts(config: Config, part: Part, text: Text, model: CountModel) -> Samples:
    """What an n-gram writes, one token after another."""
    start = prompt(config, text.vocabulary)
    samples = {}
    for i, temperature in enumerate(config.temperature):
        random = np.random.default_rng([config.seed, i])
        ids = write(model, start, part.sample_length, temperature=temperature, random=random)
        samples[f"{temperature:g}"] = text.vocabulary.decode(ids)
    return samples


def written_by_network(
    config: Config, part: Part, text: Text, directory: RunDirectory, name: str
) -> Samples:
    """What the first seed of a setting writes, by its params of the lowest held-out loss."""
    cell, params, *_ = load(directory.path, setting=name)
    start = jnp.asarray(prompt(config, text.vocabulary))[:, None]
    draw = jax.jit(
        lambda params, key, temperature: generate(
            cell, params, key, start, part.sample_length, temperature=temperature
        )
    )
    samples = {}
    for i, temperature in enumerate(config.temperature):
        key = jax.random.fold_in(jax.random.key(config.seed), i)
        ids = draw(params, key, jnp.float32(temperature))
        samples[f"{temperature:g}"] = text.vocabulary.decode(np.asarray(ids)[:, 0])
    return samples


def with_copies(
    text: Text, rows: Sequence[dict[str, Any]], samples: Sequence[Samples]
) -> list[dict[str, Any]]:
    """The rows of one level with their samples, the last of which is the row's own, and the shares
    of their characters' stretches that stand in the training text as the level reads it."""
    source = text.vocabulary.decode(text.train)
    flat = [sample for each in samples for sample in each.values()]
    shares = {length: iter(copied_shares(flat, source, length)) for length in LENGTHS}
    found = []
    for row, each in zip(rows, samples, strict=True):
        written = {
            temperature: {"text": sample}
            | {f"copied_{length}": next(shares[length]) for length in LENGTHS}
            for temperature, sample in each.items()
        }
        last = written[list(written)[-1]]
        copied = {f"copied_{length}": last[f"copied_{length}"] for length in LENGTHS}
        found.append(row | copied | {"sample": last["text"], "samples": written})
    return found


def keep(directory: RunDirectory, level: str, model: str, samples: Samples) -> None:
    """The samples as files, a model and a temperature each."""
    directory.samples.mkdir(exist_ok=True)
    for temperature, sample in samples.items():
        name = f"{level}_{model.replace(' ', '_')}_temperature_{temperature}.txt"
        write_atomic(directory.samples / name, sample + "\n")
