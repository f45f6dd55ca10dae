"""Write text with a trained model.

Question:  What does a run write after a given prompt?
Command:   python -m experiments.generate --run DIR --prompt "The " --length 1000 --temperature 0.8
Expected:  the prompt and what follows, on standard output; nothing else goes there
Run time:  about 5 seconds
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxrnn.base import require_positive
from jaxrnn.generation import generate, pad_prompts
from jaxrnn.parallel import by_sequence, dividing, whole_on
from jaxrnn.runs import load, starting_text
from jaxrnn.runs.command import run_command
from jaxrnn.runs.devices import cores, offer_cpu_devices
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.environment import recorded_x64
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.progress import warn
from jaxrnn.starting import leave_at_once

MOST = 10_000_000  # symbols at once


@dataclass(frozen=True)
class Config:
    """What to write, and how boldly."""

    run: Path
    """Directory of the run."""
    prompt: str | None = None
    """What the model reads first; every character (or word) must be in its vocabulary. A new line
    if not given, or the text's most frequent symbol where it has no lines."""
    length: int = 500
    """Characters (or words) to write."""
    temperature: float = 0.8
    """0 takes the likeliest each time; 1 draws from the model as it is."""
    top_k: int | None = None
    """Draw from the k likeliest only."""
    top_p: float | None = None
    """Draw from the likeliest that together hold this probability."""
    samples: int = 1
    """How many texts to write at once. From 32 on several cores or devices share them."""
    setting: str | None = None
    """Which of several settings, by name: in a comparison the cell's. The first if not given."""
    member: int = 0
    """Which seed; without --setting, the seeds of all settings count on."""
    which: Literal["best", "last"] = "best"
    """Params with the lowest validation loss, or the last ones."""
    seed: int = 0
    trust: bool = False
    """Run the code of the run's own cell, where it was not written or trusted here."""
    no_cell_code: bool = False
    """Run no code that a run brings: known cells alone."""
    out: Path | None = None
    """File to write to instead of standard output."""


def write(config: Config) -> str:
    """The text that the config asks for; several samples have a line of dashes between them."""
    require_positive(length=config.length, samples=config.samples)
    if config.length * config.samples > MOST:
        raise ValueError(
            f"--length {config.length} times --samples {config.samples} is too much to write at "
            f"once; give at most {MOST:,} together"
        )
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"--seed is {config.seed}; give 0 to {2**32 - 1}")
    if config.out is not None and (config.out.is_dir() or not config.out.parent.is_dir()):
        raise ValueError(f"--out {config.out} cannot be written; give a file in an existing folder")
    offer_cpu_devices(len(dividing(config.samples, range(cores()))))
    cell, params, vocabulary, _ = load(
        config.run,
        config.member,
        which=config.which,
        setting=config.setting,
        trust=config.trust,
        cell_code=not config.no_cell_code,
    )
    if vocabulary is None:
        raise ValueError(f"--run {config.run} reads no text, so it writes none; give another run")
    start = starting_text(vocabulary) if config.prompt is None else config.prompt
    between = "" if vocabulary.level == "character" else " "
    if absent := vocabulary.missing(start):
        raise ValueError(
            f"--prompt holds {absent[0]!r}, which is not in the vocabulary of {config.run}; "
            f"its symbols are {between.join(vocabulary.symbols)!r:.200}"
        )
    if left_out := vocabulary.count_left_out(start):
        warn(f"--prompt: {left_out} symbols are part of no word and are left out")
    prompt = vocabulary.encode(start)
    if not len(prompt):
        raise ValueError(
            f"--prompt is {start!r}, which holds no {vocabulary.level}; give at least one"
        )
    padded, lengths = pad_prompts([prompt.tolist()] * config.samples)

    @jax.jit
    def sample(params, key, prompt, prompt_length):
        return generate(
            cell,
            params,
            key,
            prompt,
            config.length,
            prompt_length=prompt_length,
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
        )

    devices = dividing(config.samples, jax.devices())
    whole = whole_on((params, jax.random.key(config.seed)), devices)
    ids = np.asarray(sample(*whole, *by_sequence((padded, lengths), devices)))
    texts = [vocabulary.decode(np.concatenate([prompt, column])) for column in ids.T]
    return ("\n" + "-" * 40 + "\n").join(texts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    def body(config: Config) -> None:
        open_run(config.run, "--run")
        with jax.enable_x64(recorded_x64(config.run)):
            text = write(config)
        if config.out is None:
            # what a terminal cannot show must not stop what it can
            if hasattr(sys.stdout, "buffer"):
                sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
            else:  # a notebook's, or one that a program put there
                sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write_atomic(config.out, text)

    return run_command("experiments.generate", Config, body, description=__doc__, argv=argv)


if __name__ == "__main__":
    leave_at_once()
    raise SystemExit(main())
