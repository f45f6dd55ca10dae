"""Every style's gradient beside the full one, on the same stretches of text, with the same params.

The gradient is that of the weights through which errors travel in time: the head's is no question
of style. A stretch begins afresh, so that the full gradient is all there is to know of it.
"""

import io
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.truncation import fair
from experiments.truncation.config import Config
from experiments.truncation.quirks import HEAD
from experiments.truncation.study import Row, Study
from experiments.truncation.variants import Variant, tensorflow_style, truncating, unbounded
from jaxrnn import runs
from jaxrnn.analysis.plots import Mark, Panel, learning_curves, trade_off
from jaxrnn.base import Batch, Cell, Key, Params, TrainState, require_positive
from jaxrnn.gradients import STYLES
from jaxrnn.models import build_model, cross_entropy
from jaxrnn.parallel import Devices
from jaxrnn.runs.claims import at_most
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.recorder import Recorder

TIMED = 5
"""How often a stretch is timed at least; the median counts."""
COLUMNS = {"style": "{estimator}", "cosine": "{cosine:.4f}", "rel. error": "{relative_error:.3g}"}
COLUMNS |= {"bias": "{bias:.3g}", "variance": "{variance:.3g}", "ms / step": "{ms_per_step:.3g}"}
COLUMNS |= {"bytes": "{bytes:,}"}


def settings(config: Config) -> dict[str, Config]:
    """The training run whose params the gradients are compared at: TensorFlow style, so that no
    style of those compared has chosen them but one that truncates."""
    compared(config)
    return fair.by_variants(config, "reference", [tensorflow_style(config.text_window[0])])


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    stretches(config, fair.characters(config).valid)
    setting = fair.build(config, devices)
    steps = setting.training.steps_per_epoch
    return setting._replace(recorders=[lambda run, name, seeds: Stages(run.path, steps)])


class Stages(Recorder):
    """Keeps the first seed's params at the end of every epoch."""

    def __init__(self, run: Path, steps_per_epoch: int):
        self._run, self._steps_per_epoch = run, steps_per_epoch

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        file, path = io.BytesIO(), stage_file(self._run, step // self._steps_per_epoch)
        np.savez(file, *(leaf[0] for leaf in jax.tree.leaves(jax.device_get(state.params))))
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, file.getvalue())


def stage_file(run: Path, epoch: int) -> Path:
    return run / "stages" / f"epoch_{epoch:03d}.npz"


def stages(run: Path, config: Config, setting: runs.Setting) -> dict[int, Params]:
    """Epochs trained to params: none, the first, and the last."""
    key, rate = jax.random.key(config.loop.seed), jnp.float32(setting.learning_rate)
    found = {0: setting.training.init(key, rate).params}
    for epoch in sorted({1, setting.epochs}):
        with np.load(stage_file(run, epoch)) as stored:
            leaves = [jnp.asarray(stored[name]) for name in stored.files]
        found[epoch] = jax.tree.structure(found[0]).unflatten(leaves)
    return found


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


def stretches(config: Config, valid: Batch) -> list[Batch]:
    """Evenly spread over the text that is held out."""
    count, length = config.stretches, config.text_num_steps
    last = valid.targets.shape[0] - length
    if last < 0:
        raise ValueError(
            f"--text-num-steps is {length}, the text held out has {last + length} steps to a "
            "stream; give fewer, or more --text-tokens"
        )
    starts = np.linspace(0, last, count).astype(int)
    return [jax.tree.map(lambda a, s=s: a[s : s + length], valid) for s in starts]


def measure(config: Config, log: runs.RunLog) -> dict[str, Any]:
    """A row for every variant and stage; none where the reference diverged."""
    ((name, reference),) = settings(config).items()
    if name in log.diverged:
        return {}
    setting, parts = build(reference), stretches(config, fair.characters(reference).valid)
    cell, params = build_model(setting.model), stages(log.run.path, reference, setting)
    return {"estimators": compare(reference, cell, parts, compared(config), params)}


def compare(
    config: Config,
    cell: Cell,
    parts: Sequence[Batch],
    variants: Sequence[Variant],
    stages: Mapping[int, Params],
) -> list[Row]:
    """A row for every variant and stage, a number of epochs."""
    length, rows, key = len(parts[0].targets), [], jax.random.key(0)
    exact = jax.jit(gradient_over(config, cell, Variant("bptt", length, length, length), length))
    full = {n: called(partial(exact, params), parts, 1)[0][:, 0] for n, params in stages.items()}
    for variant in variants:
        program = jax.jit(gradient_over(config, cell, variant, length))
        program = program.lower(stages[0], key, parts[0]).compile()
        integers = {name: n for name, n in variant._asdict().items() if name != "history"}
        draws = config.draws if STYLES[variant.style].accuracy == "unbiased" else 1
        analysis = program.memory_analysis()
        size = 0 if analysis is None else int(analysis.temp_size_in_bytes)
        for stage, params in stages.items():
            gradients, seconds = called(partial(program, params), parts, draws)
            name, cost = f"epoch {stage}" if stage else "untrained", 1e3 * seconds / length
            row = {"estimator": variant.label, **integers, "stage": name, "epoch": stage}
            row |= {"ms_per_step": cost, "bytes": size}
            rows.append(row | errors(gradients, full[stage]))
    return rows


def gradient_over(config: Config, cell: Cell, variant: Variant, length: int):
    """`(params, key, stretch [length, B] of inputs and targets) -> [P]`: the mean gradient over the
    stretch, batch after batch with the carry handed on and the params as they are."""
    steps, gradient = variant.num_steps, variant.set_in(config).gradient
    given = {"num_steps": steps, "length": length}
    estimator = runs.configured_estimator(gradient, cell, cross_entropy, **given)
    count = length // steps

    def mean(params: Params, key: Key, stretch: Batch):
        batches = jax.tree.map(lambda a: a.reshape(count, steps, *a.shape[1:]), stretch)

        def add(state, batch):
            total, carry = state
            grads, carry, _ = estimator.estimate(params, carry, batch)
            return (jax.tree.map(jnp.add, total, grads), carry), None

        carry = estimator.init(params, key, stretch.targets.shape[1])
        zeros = jax.tree.map(jnp.zeros_like, params)
        (total, _), _ = jax.lax.scan(add, (zeros, carry), batches)
        rest = {name: tree for name, tree in total.items() if name != HEAD}
        return jnp.concatenate([leaf.ravel() / count for leaf in jax.tree.leaves(rest)])

    return mean


def called(program, parts: Sequence[Batch], draws: int) -> tuple[np.ndarray, float]:
    """The gradients [stretches, draws, P], and how long one takes, in seconds."""
    cases = [(part, draw) for part in parts for draw in range(draws)]
    gradients, seconds = [], []
    for part, draw in [*cases, *cases[:1] * (TIMED - len(cases))]:
        start = time.perf_counter()
        gradients.append(np.asarray(program(jax.random.key(draw), part)))
        seconds.append(time.perf_counter() - start)
    found = np.stack(gradients[: len(cases)]).reshape(len(parts), draws, -1)
    return found, float(np.median(seconds))


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


def report(config: Config, log: runs.RunLog, results: Mapping[str, Any]) -> runs.Report:
    """A table for every stage; in the plots the last one, and the cosine as training goes on."""
    rows, tables = results["estimators"], []
    worst = max((row["relative_error"] for row in rows if row["style"] == "bptt"), default=None)
    name = "bptt over a stretch is its full gradient: relative error"
    claims = [at_most(name, "definition", worst, 1e-4)]
    if not rows:
        return runs.Report({}, claims)
    for stage in dict.fromkeys(row["stage"] for row in rows):
        mine = [row for row in rows if row["stage"] == stage]
        tables.append(runs.written(f"gradients beside the full one, {stage}", mine, COLUMNS))
    plots = {"estimators": partial(trade_off, marks=marks(rows))}
    return runs.Report({}, claims, tables, plots | {"stages": partial(plot, rows=rows)})


def marks(rows: Sequence[Row]) -> list[Mark]:
    """The last stage: how far off, and at what price."""
    last = max(row["epoch"] for row in rows)
    found = []
    for row in rows:
        if row["epoch"] == last:
            off, noise = max(row["relative_error"], 1e-7), row["variance"] ** 0.5
            cost = (row["ms_per_step"], off, row["bias"], noise, row["bytes"])
            found.append(Mark(row["estimator"], *cost))
    return found


def plot(path: Path, rows: Sequence[Row]) -> None:
    drawn: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        drawn.setdefault(row["estimator"], []).append((row["epoch"], row["cosine"]))
    curves: dict[str, Sequence[np.ndarray]] = {n: [np.array(rows)] for n, rows in drawn.items()}
    panel = Panel("cosine with the full gradient", curves, {}, "epochs trained")
    learning_curves(path, [panel], y_label="cosine")


STUDY = Study(report, settings, build, measure)
