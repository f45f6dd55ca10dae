"""What true truncation costs beside TensorFlow style: time per target, head and cell apart."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.truncation.config import Config
from experiments.truncation.variants import Variant, tensorflow_style, true_truncation
from jaxrnn.base import Batch, Cell, Objective, require_positive
from jaxrnn.cell_files import find_cell
from jaxrnn.compose import chain, embed
from jaxrnn.gradients import STYLES
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs.report import print_table

WINDOW, NUM_STEPS = 10, 30  # the post's second row
TURNS = 7
"""How often each side is timed, in turns; the medians count."""


def sizes(config: Config) -> list[tuple[int, int, int]]:
    """(vocabulary, hidden, embedding) of the models.

    Raises:
      ValueError: numbers of entries that differ, a size of nothing.
    """
    entries = (config.speed_vocabulary, config.speed_hidden, config.speed_embedding)
    if len(set(map(len, entries))) != 1:
        raise ValueError(
            "--speed-vocabulary, --speed-hidden and --speed-embedding have "
            f"{' and '.join(str(len(each)) for each in entries)} entries; "
            "give each the same number"
        )
    found = list(zip(*entries, strict=True))
    for vocabulary, hidden, embedding in found:
        require_positive(
            speed_vocabulary=vocabulary, speed_hidden=hidden, speed_embedding=embedding
        )
    return found


def measure(config: Config) -> list[dict[str, Any]]:
    """A row for every model, and for every model without its head."""
    rows = []
    for vocab_size, hidden, embedding in sizes(config):
        model = TokenModel(vocab_size, vocab_size, config.cell, hidden, embedding_size=embedding)
        body = chain(
            embed=embed(vocab_size, embedding),
            layer_1=find_cell(config.cell)(embedding, hidden),
        )
        for cell, objective, head in (
            (build_model(model), cross_entropy, True),
            (body, lambda h, targets: jnp.square(h).mean(-1), False),
        ):
            true, tf = times(config, cell, objective, vocab_size)
            rows.append(
                {
                    "vocabulary": vocab_size,
                    "hidden_size": hidden,
                    "head": head,
                    "true_us_per_target": true,
                    "tf_us_per_target": tf,
                    "ratio": true / tf,
                }
            )
    return rows


def times(config: Config, cell: Cell, objective: Objective, vocab_size: int) -> list[float]:
    """Microseconds to a target, of true truncation and of TensorFlow style."""
    variants = [true_truncation(WINDOW, NUM_STEPS, full=False), tensorflow_style(WINDOW)]
    params = cell.init(jax.random.key(0))
    calls = [_call(config, cell, objective, variant, params, vocab_size) for variant in variants]
    seconds = np.array([[_seconds(call) for call in calls] for _ in range(TURNS)])
    targets = [variant.num_steps * config.batch_size for variant in variants]
    return (1e6 * np.median(seconds, axis=0) / targets).tolist()


def _call(config: Config, cell: Cell, objective: Objective, variant: Variant, params, vocab_size):
    style = STYLES[variant.style](
        cell, objective, variant.window, variant.stride, schedule=config.schedule
    )
    key, shape = jax.random.key(1), (variant.num_steps + 1, config.batch_size)
    tokens = jax.random.randint(key, shape, 0, vocab_size)
    carry = style.init(params, key, config.batch_size)
    arguments = (params, carry, Batch(tokens[:-1], tokens[1:]))
    program = jax.jit(style.estimate).lower(*arguments).compile()

    def call():
        jax.block_until_ready(program(*arguments))

    call()
    return call


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(rows: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["vocabulary", "units", "head", "true (us)", "TensorFlow style (us)", "ratio"],
        [
            [
                row["vocabulary"],
                row["hidden_size"],
                "yes" if row["head"] else "none",
                f"{row['true_us_per_target']:.3g}",
                f"{row['tf_us_per_target']:.3g}",
                f"{row['ratio']:.2f}",
            ]
            for row in rows
        ],
        title=f"time per target, gradients: true ({WINDOW}, 1) on {NUM_STEPS} steps beside "
        f"({WINDOW}, {WINDOW}); the head's time is the difference of two rows",
    )
