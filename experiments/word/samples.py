"""What the first seed writes at the end of each epoch, into `samples/`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.word.config import Config
from experiments.word.training import make_model, words_of
from jaxrnn.base import Params
from jaxrnn.generation import generate
from jaxrnn.models import build_model
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_atomic

START, PROMPT = 11_000, 20
"""The page's prompt: so many words of the text, from there on."""
WAYS = {"argmax": 0.0, "sampled": 1.0}
"""Temperatures; the page always takes the likeliest word."""


def make_sampler(
    config: Config, directory: RunDirectory, prefix: str
) -> Callable[[int, int, Params], None]:
    """`(epoch, step, params of all members) -> None`, writes a sample each way."""
    text = words_of(config)
    cell = build_model(make_model(config, text.vocabulary))
    # a shorter text is prompted with its beginning
    start = START if len(text.train) >= START + PROMPT else 0
    ids = text.train[start : start + PROMPT]
    prompt = jnp.asarray(ids)[:, None]

    def both(params, key):
        return {
            name: generate(cell, params, key, prompt, config.sample_length, temperature=temperature)
            for name, temperature in WAYS.items()
        }

    write = jax.jit(both)

    def sample(epoch: int, step: int, params: Params) -> None:
        first = jax.tree.map(lambda a: jax.device_get(a)[0], params)
        written = write(first, jax.random.fold_in(jax.random.key(config.seed), step))
        directory.samples.mkdir(exist_ok=True)
        for name, words in written.items():
            path = directory.samples / f"{prefix}epoch_{epoch:03d}_{name}_seed_{config.seed}.txt"
            told = text.vocabulary.decode(np.concatenate([ids, np.asarray(words)[:, 0]]))
            write_atomic(path, told + "\n")

    return sample if config.sample_length else lambda epoch, step, params: None
