"""What the first member of a setting writes while it is trained, into `samples/`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Cell, Key, Params, TrainState
from jaxrnn.data import Vocabulary
from jaxrnn.generation import generate
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.files import sha256_of, write_atomic
from jaxrnn.runs.load import starting_text
from jaxrnn.runs.progress import warn
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.records import is_file_name

SUMS = "SHA256SUMS"


class Sampler(Recorder):
    """Writes what `setting.sample` gives at the end of each epoch, one file for each text."""

    def __init__(self, run: RunDirectory, setting: Setting, seeds: Sequence[int], prefix: str):
        self._run, self._setting, self._seed, self._prefix = run, setting, seeds[0], prefix

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        if self._setting.sample is None:
            return
        first = jax.tree.map(lambda a: np.asarray(a)[0], state.params)
        key = jax.random.fold_in(jax.random.key(self._seed), step)
        epoch = step // self._setting.training.steps_per_epoch
        for way, text in self._setting.sample(first, key).items():
            words = [self._prefix, f"epoch_{epoch:03d}", way, f"seed_{self._seed}"]
            write_sample(self._run, "_".join(filter(None, words)), text)


def write_sample(run: RunDirectory, name: str, text: str) -> None:
    """A text below `samples/`, and its sum in SHA256SUMS there, as `sha256sum --check` reads it."""
    run.samples.mkdir(exist_ok=True)
    path = run.samples / f"{name}.txt"
    write_atomic(path, text + "\n")
    sums = _sums(run) | {path.name: sha256_of(path)}
    write_atomic(run.samples / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sums))


def check_samples(run: RunDirectory) -> None:
    """Warns of samples that are no longer the texts that were written; a run from before there were
    sums is not checked."""

    def is_as_written(name: str, sha256: str) -> bool:
        path = run.samples / name
        return is_file_name(name) and path.is_file() and sha256_of(path) == sha256

    if altered := [name for name, sha256 in _sums(run).items() if not is_as_written(name, sha256)]:
        others = f", nor are {len(altered) - 1} others" if len(altered) > 1 else ""
        warn(
            f"{run.samples}: {altered[0]!r} is not as it was written, by {SUMS} there{others}; "
            "restore it from a copy, or do not rely on it"
        )


def _sums(run: RunDirectory) -> dict[str, str]:
    """By the names of the files."""
    path = run.samples / SUMS
    lines = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    pairs = [line.partition("  ") for line in lines.splitlines()]
    return {name: sha256 for sha256, _, name in pairs}


def writer(
    cell: Cell, prompt: np.ndarray, length: int, **choice: Any
) -> Callable[[Params, Key], np.ndarray]:
    """`(params, key) -> ids` [length] of what follows a prompt [P]; `choice` is `generate`'s
    temperature, top_k and top_p."""
    start = jnp.asarray(prompt)[:, None]
    write = jax.jit(lambda params, key: generate(cell, params, key, start, length, **choice))
    return lambda params, key: np.asarray(write(params, key))[:, 0]


def text_writer(
    cell: Cell, vocabulary: Vocabulary, length: int
) -> Callable[[Params, Key], dict[str, str]] | None:
    """A setting's `sample` from what a text begins with; None where `length` is 0."""
    require_sample_length(length)
    if not length:
        return None
    write = writer(cell, vocabulary.encode(starting_text(vocabulary)), length)
    return lambda params, key: {"": vocabulary.decode(write(params, key))}


def require_sample_length(length: int) -> None:
    """Raises: ValueError, a length that nobody can mean."""
    if not 0 <= length <= 100_000:
        raise ValueError(f"--sample-length is {length}; give 0 to 100,000")
