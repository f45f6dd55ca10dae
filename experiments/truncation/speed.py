"""What true truncation costs beside TensorFlow style: time per target, head and cell apart."""

from collections.abc import Mapping, Sequence
from functools import partial
from timeit import timeit
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.truncation.config import PUBLISHED, Config
from experiments.truncation.study import Row, Study
from experiments.truncation.variants import tensorflow_style, true_truncation
from jaxrnn import runs
from jaxrnn.base import Batch, Cell, Objective, require_positive
from jaxrnn.cell_files import find_cell
from jaxrnn.compose import chain, embed
from jaxrnn.gradients import tbptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs.claims import Claim, at_most

WINDOW, NUM_STEPS = 10, 30  # the post's second row
TURNS = 7
"""How often each side is timed, in turns; the medians count."""
COLUMNS = {"vocabulary": "{vocabulary}", "units": "{hidden_size}", "head": "{head}"}
COLUMNS |= {"true (us)": "{true_us_per_target:.3g}"}
COLUMNS |= {"TensorFlow style (us)": "{tf_us_per_target:.3g}", "ratio": "{ratio:.2f}"}


def settings(config: Config) -> dict[str, Config]:
    sizes(config)  # measured last: what cannot be is said before all training runs
    return {}


def sizes(config: Config) -> list[tuple[int, int, int]]:
    """(vocabulary, hidden, embedding) of the models.

    Raises:
      ValueError: numbers of entries that differ, a size of nothing.
    """
    names = ("speed_vocabulary", "speed_hidden", "speed_embedding")
    found = runs.entries(**{name: getattr(config, name) for name in names})
    for each in found:
        require_positive(**dict(zip(names, each, strict=True)))
    return found


def measure(config: Config, log: runs.RunLog) -> dict[str, Any]:
    """A row for every model, and for every model without its head."""
    rows, name = [], config.model.cell
    for vocab_size, hidden, embedding in sizes(config):
        model = TokenModel(vocab_size, vocab_size, name, hidden, embedding_size=embedding)
        body = chain(embed=embed(vocab_size, embedding), layer_1=find_cell(name)(embedding, hidden))
        for cell, objective, head in (
            (build_model(model), cross_entropy, True),
            (body, lambda h, targets: jnp.square(h).mean(-1), False),
        ):
            true, tf = times(config, cell, objective, vocab_size)
            row = {"vocabulary": vocab_size, "hidden_size": hidden, "head": head}
            row |= {"true_us_per_target": true, "tf_us_per_target": tf, "ratio": true / tf}
            rows.append(row)
    return {"speed": rows}


def times(config: Config, cell: Cell, objective: Objective, vocab_size: int) -> list[float]:
    """Microseconds to a target, of true truncation and of TensorFlow style."""
    variants = [true_truncation(WINDOW, NUM_STEPS, full=False), tensorflow_style(WINDOW)]
    key, batch_size = jax.random.key(1), config.loop.batch_size
    params, calls = cell.init(jax.random.key(0)), []
    for variant in variants:
        given = {"window": variant.window, "stride": variant.stride}
        style = tbptt(cell, objective, **given, schedule=config.gradient.schedule)
        tokens = jax.random.randint(key, (variant.num_steps + 1, batch_size), 0, vocab_size)
        arguments = (params, style.init(params, key, batch_size), Batch(tokens[:-1], tokens[1:]))
        program = jax.jit(style.estimate).lower(*arguments).compile()
        calls.append(partial(_call, program, arguments))
        calls[-1]()
    seconds = np.array([[timeit(call, number=1) for call in calls] for _ in range(TURNS)])
    targets = [variant.num_steps * batch_size for variant in variants]
    return (1e6 * np.median(seconds, axis=0) / targets).tolist()


def _call(program, arguments) -> None:
    jax.block_until_ready(program(*arguments))


def report(config: Config, log: runs.RunLog, results: Mapping[str, Any]) -> runs.Report:
    rows = results["speed"]
    title = (
        f"time per target, gradients: true ({WINDOW}, 1) on {NUM_STEPS} steps beside "
        f"({WINDOW}, {WINDOW}); the head's time is the difference of two rows"
    )
    return runs.Report({}, claims(rows), [runs.written(title, rows, COLUMNS)] if rows else [])


def claims(rows: Sequence[Row]) -> list[Claim]:
    """At the sizes of the defaults only; a plain re-run of every window would cost about 10."""
    words, letters = zip(PUBLISHED.speed_vocabulary, PUBLISHED.speed_hidden, strict=True)
    ratios = {(row["vocabulary"], row["hidden_size"], row["head"]): row["ratio"] for row in rows}
    found = []
    for size, head, limit in ((words, True, 1.5), (letters, True, 5.0), (letters, False, 5.0)):
        name = "true (10, 1) / (10, 10), time per target: vocabulary {}, {} units".format(*size)
        name += "" if head else ", no head"
        found.append(at_most(name, "jaxrnn's own aim", ratios.get((*size, head)), limit))
    return found


STUDY = Study(report, settings, measure=measure)
