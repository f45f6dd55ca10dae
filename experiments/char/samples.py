"""What the first seed writes, into `samples/`: at the end of each epoch, and as the post does at
the end of a comparison."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.char.config import Config
from experiments.char.training import characters, make_model
from jaxrnn.base import Params
from jaxrnn.generation import generate
from jaxrnn.models import build_model
from jaxrnn.runs import load, starting_text
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_atomic

PROMPT, TOP, LENGTH = "A", 5, 750
"""The post's text: after one character, always of the five likeliest."""


def make_sampler(
    config: Config, directory: RunDirectory, prefix: str
) -> Callable[[int, int, Params], None]:
    """`(epoch, step, params of all members) -> None`, writes a sample."""
    vocabulary = characters(config).vocabulary
    cell = build_model(make_model(config, vocabulary))
    prompt = jnp.asarray(vocabulary.encode(starting_text(vocabulary)))[:, None]
    write = jax.jit(lambda params, key: generate(cell, params, key, prompt, config.sample_length))

    def sample(epoch: int, step: int, params: Params) -> None:
        first = jax.tree.map(lambda a: jax.device_get(a)[0], params)
        ids = write(first, jax.random.fold_in(jax.random.key(config.seed), step))
        text = vocabulary.decode(np.asarray(ids)[:, 0])
        _keep(directory, f"{prefix}epoch_{epoch:03d}_seed_{config.seed}", text)

    return sample if config.sample_length else lambda epoch, step, params: None


def write_as_published(config: Config, directory: RunDirectory, name: str) -> None:
    """The post's text, by the last params of a setting; another prompt where the text has none of
    the post's."""
    cell, params, vocabulary, _ = load(directory.path, setting=name, which="last")
    assert vocabulary is not None  # of this experiment's own text
    prompt = starting_text(vocabulary) if vocabulary.missing(PROMPT) else PROMPT
    ids = jnp.asarray(vocabulary.encode(prompt))[:, None]
    write = jax.jit(lambda params, key: generate(cell, params, key, ids, LENGTH, top_k=TOP))
    written = write(params, jax.random.key(config.seed))
    text = prompt + vocabulary.decode(np.asarray(written)[:, 0])
    _keep(directory, f"{name}_end_seed_{config.seed}", text)


def _keep(directory: RunDirectory, name: str, text: str) -> None:
    directory.samples.mkdir(exist_ok=True)
    write_atomic(directory.samples / f"{name}.txt", text + "\n")
