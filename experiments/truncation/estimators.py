"""Every style's gradient beside the full one, on the same stretches of text, with the same params.

The gradient is that of the weights through which errors travel in time: the head's is no question
of style. A stretch begins afresh, so that the full gradient is all there is to know of it.
"""

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.truncation import fair
from experiments.truncation.config import Config
from experiments.truncation.quirks import HEAD
from experiments.truncation.tasks import Task, Trained, character_task
from experiments.truncation.variants import (
    Variant,
    tensorflow_style,
    truncating,
    unbounded,
)
from jaxrnn.analysis.plots import Mark, Panel, learning_curves, trade_off
from jaxrnn.base import Key, Params, require_positive
from jaxrnn.gradients import STYLES
from jaxrnn.models import build_model, cross_entropy
from jaxrnn.parallel import Devices
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.report import print_table
from jaxrnn.unroll import Schedule

TIMED = 5
"""How often a stretch is timed at least; the median counts."""


def reference(config: Config, devices: Devices) -> Trained:
    """The training whose params the gradients are compared at: TensorFlow style, so that no style
    of those compared has chosen them but one that truncates.

    Raises:
      ValueError: stretches that cannot be compared.
    """
    compared(config)
    task, variant = character_task(config), tensorflow_style(config.text_window[0])
    _stretches(task, config.stretches, config.text_num_steps)
    arguments = (config.text_epochs, config.text_rate, devices)
    return fair.train(config, "reference", task, variant, *arguments)


def keep_stage(directory: RunDirectory, epoch: int, params: Params) -> None:
    """The first seed's params at the end of an epoch, for `stages`."""
    file = io.BytesIO()
    leaves = [np.asarray(leaf)[0] for leaf in jax.tree.leaves(jax.device_get(params))]
    np.savez(file, *leaves)
    _stage(directory, epoch).parent.mkdir(exist_ok=True)
    write_atomic(_stage(directory, epoch), file.getvalue())


def stages(directory: RunDirectory, config: Config, trained: Trained) -> dict[int, Params]:
    """Epochs trained to params: none, the first, and the last."""
    model = build_model(trained.task.model, training=True)
    setting = trained.setting
    rate = jnp.float32(setting.learning_rate)
    first = setting.training.init(jax.random.key(config.seed), rate).params
    found = {0: first}
    for epoch in sorted({1, setting.epochs}):
        with np.load(_stage(directory, epoch)) as stored:
            leaves = [jnp.asarray(stored[name]) for name in stored.files]
        tree = jax.tree.structure(jax.eval_shape(model.init, jax.random.key(0)))
        found[epoch] = tree.unflatten(leaves)
    return found


def _stage(directory: RunDirectory, epoch: int) -> Path:
    return directory.path / "stages" / f"epoch_{epoch:03d}.npz"


def compared(config: Config) -> list[Variant]:
    """Every style at every window, over whole stretches. True truncation goes over a stretch in one
    batch, as the others in their batches: what comes before a stretch is nobody's."""
    length = config.text_num_steps
    require_positive(text_num_steps=length, stretches=config.stretches, draws=config.draws)
    if not config.text_window:
        raise ValueError("--text-window holds nothing; give at least one window")
    found = []
    for window in config.text_window:
        require_positive(text_window=window)
        if length % window:
            raise ValueError(
                f"--text-num-steps is {length}, --text-window {window}; "
                "give a stretch of whole windows"
            )
        found += [variant for variant in truncating(window, length) if not variant.history]
    return list(dict.fromkeys([*found, *unbounded(config.text_window, length)]))


class Cost(NamedTuple):
    """Of a time step of the batch, in milliseconds, and of the temporary arrays of a stretch."""

    ms_per_step: float
    bytes: int


class Measured(NamedTuple):
    """A style's gradients [stretches, draws, P] at one stage; one draw where it draws nothing."""

    gradients: np.ndarray
    cost: Cost


def measure(
    config: Config, task: Task, variants: Sequence[Variant], stages: dict[int, Params]
) -> list[dict[str, Any]]:
    """A row for every variant and stage."""
    length, rows = config.text_num_steps, []
    parts = _stretches(task, config.stretches, length)
    whole = Variant("bptt", length, length, length)
    exact = gradient_over(task, whole, length, config.schedule)
    exact = jax.jit(exact)
    full = {
        stage: np.stack([np.asarray(exact(params, jax.random.key(0), part)) for part in parts])
        for stage, params in stages.items()
    }
    for variant in variants:
        program = jax.jit(gradient_over(task, variant, length, config.schedule))
        program = program.lower(stages[0], jax.random.key(0), parts[0]).compile()
        for stage, params in stages.items():
            draws = config.draws if STYLES[variant.style].accuracy == "unbiased" else 1
            found = _measure(program, params, parts, length, draws)
            rows.append(
                {
                    "estimator": variant.label,
                    "style": variant.style,
                    "window": variant.window,
                    "stride": variant.stride,
                    "num_steps": variant.num_steps,
                    "stage": f"epoch {stage}" if stage else "untrained",
                    "epoch": stage,
                    **errors(found.gradients, full[stage]),
                    **found.cost._asdict(),
                }
            )
    return rows


def gradient_over(task: Task, variant: Variant, length: int, schedule: Schedule):
    """`(params, key, stretch [length, B] of inputs and targets) -> [P]`: the mean gradient over the
    stretch, batch after batch with the carry handed on and the params as they are."""
    cell = build_model(task.model)
    estimator = STYLES[variant.style](
        cell, cross_entropy, variant.window, variant.stride, schedule=schedule
    )
    count = length // variant.num_steps

    def gradient(params: Params, key: Key, stretch):
        batches = jax.tree.map(lambda a: a.reshape(count, variant.num_steps, *a.shape[1:]), stretch)

        def add(state, batch):
            total, carry = state
            grads, carry, _ = estimator.estimate(params, carry, batch)
            return (jax.tree.map(jnp.add, total, grads), carry), None

        carry = estimator.init(params, key, task.batch_size)
        zeros = jax.tree.map(jnp.zeros_like, params)
        (total, _), _ = jax.lax.scan(add, (zeros, carry), batches)
        return flat(jax.tree.map(lambda g: g / count, total))

    return gradient


def flat(grads: Params) -> jax.Array:
    """All but the head's, as one vector."""
    rest = {name: tree for name, tree in grads.items() if name != HEAD}
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(rest)])


def _stretches(task: Task, count: int, length: int) -> list:
    """Evenly spread over the text that is held out."""
    last = task.valid.targets.shape[0] - length
    if last < 0:
        raise ValueError(
            f"--text-num-steps is {length}, the text held out has {last + length} steps to a "
            "stream; give fewer, or more --text-tokens"
        )
    starts = np.linspace(0, last, count).astype(int)
    return [jax.tree.map(lambda a, s=s: a[s : s + length], task.valid) for s in starts]


def _measure(program, params: Params, parts: Sequence, length: int, draws: int) -> Measured:
    seconds = []

    def call(part, draw):
        start = time.perf_counter()
        found = np.asarray(program(params, jax.random.key(draw), part))
        seconds.append(time.perf_counter() - start)
        return found

    gradients = np.stack([[call(part, draw) for draw in range(draws)] for part in parts])
    while len(seconds) < TIMED:
        call(parts[0], 0)
    analysis = program.memory_analysis()
    size = 0 if analysis is None else int(analysis.temp_size_in_bytes)
    return Measured(gradients, Cost(1e3 * float(np.median(seconds)) / length, size))


def errors(found: np.ndarray, full: np.ndarray) -> dict[str, float]:
    """How estimates [stretches, draws, P] lie around full gradients [stretches, P].

    All are means over stretches. cosine: with the full gradient. relative_error: root of the mean
    square of the distance, over that of the full gradient's norm; its square is bias squared and
    variance. variance: over draws, unbiased, over the same mean square; 0 for one draw. bias: what
    is left, 0 where the draws are too few to tell it from none.
    """
    found, full = np.asarray(found, np.float64), np.asarray(full, np.float64)
    norms = np.linalg.norm(full, axis=-1)
    scale = np.mean(norms**2)
    products = np.einsum("srp,sp->sr", found, full)
    lengths = np.linalg.norm(found, axis=-1) * norms[:, None]
    cosine = np.mean(products / np.where(lengths > 0, lengths, 1.0))
    square = np.mean(np.sum((found - full[:, None]) ** 2, axis=-1)) / scale
    draws = found.shape[1]
    spread = np.var(found, axis=1, ddof=1).sum(-1).mean() / scale if draws > 1 else 0.0
    return {
        "cosine": float(cosine),
        "relative_error": float(np.sqrt(square)),
        "bias": float(np.sqrt(max(square - spread, 0.0))),
        "variance": float(spread),
    }


def report(rows: Sequence[dict[str, Any]]) -> None:
    """A table for every stage."""
    for stage in dict.fromkeys(row["stage"] for row in rows):
        print_table(
            ["style", "cosine", "rel. error", "bias", "variance", "ms / step", "kB"],
            [
                [
                    row["estimator"],
                    f"{row['cosine']:.4f}",
                    *(f"{row[key]:.3g}" for key in ("relative_error", "bias", "variance")),
                    f"{row['ms_per_step']:.3g}",
                    f"{row['bytes'] / 1e3:,.0f}",
                ]
                for row in rows
                if row["stage"] == stage
            ],
            title=f"gradients beside the full one, {stage}",
        )


def plot(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The last stage: how far off, and at what price."""
    last = max(row["epoch"] for row in rows)
    marks = [
        Mark(
            row["estimator"],
            row["ms_per_step"],
            max(row["relative_error"], 1e-7),
            row["bias"],
            row["variance"] ** 0.5,
            row["bytes"],
        )
        for row in rows
        if row["epoch"] == last
    ]
    trade_off(path, marks)


def plot_stages(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The cosine as training goes on."""
    drawn: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        drawn.setdefault(row["estimator"], []).append((row["epoch"], row["cosine"]))
    panel = Panel(
        title="cosine with the full gradient",
        curves={label: [np.array(points)] for label, points in drawn.items()},
        lines={},
        x_label="epochs trained",
    )
    learning_curves(path, [panel], y_label="cosine")
