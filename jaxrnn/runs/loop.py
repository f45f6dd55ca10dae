"""The host's side of training: calls chunks, logs, validates, saves, and stops when asked to."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxrnn.base import Metrics, Params, PyTree, TrainState
from jaxrnn.parallel import Devices, over_members, place, shardings
from jaxrnn.runs.bound import BOUND, bound_to, require_unbegun
from jaxrnn.runs.checkpoints import restore_latest, save_checkpoint
from jaxrnn.runs.directory import MetricsLog, RunDirectory, cut_log
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.progress import progress, warn
from jaxrnn.runs.recorder import Recorder
from jaxrnn.training import Training
from jaxrnn.unstable import jaxprs_in, opened


class Diverged(ValueError):
    """The loss is no number any more; the checkpoints before that are kept."""


class Setting(NamedTuple):
    """One training of a run, all its members (seeds) together.

    Attributes:
      name: of the setting, in the log and under `checkpoints/`.
      training: the pure functions.
      validate: `params -> metrics` of one member at the end of an epoch, `valid_loss` among them;
        `{}` where there is nothing to validate on.
      learning_rate: for `training.init`.
      epochs: how many to train.
      log_ends: training steps of an epoch, counted from 1, after which a line of the log ends; the
        end of a chunk ends one anyway.
    """

    name: str
    training: Training
    validate: Callable[[Params], Metrics]
    learning_rate: float
    epochs: int
    log_ends: Sequence[int]


class Best(NamedTuple):
    """The params with the lowest validation loss so far; while there is none, the latest, and the
    loss is infinite."""

    params: Params
    loss: Float[Array, " S"]
    step: Int[Array, " S"]


class Saved(NamedTuple):
    """What a checkpoint holds, every leaf with a leading axis of members."""

    state: TrainState
    best: Best


class Prepared(NamedTuple):
    """A setting's functions over all members, jitted, and the shapes of what is saved."""

    setting: Setting
    seeds: Sequence[int]
    devices: Devices
    init: Callable[[], TrainState]
    first_best: Callable[[TrainState], Best]
    chunk: Callable[[TrainState], tuple[TrainState, Metrics]]
    validate: Callable[[Params], Metrics]
    update_best: Callable[[Best, TrainState, ArrayLike], Best]
    settle_best: Callable[[Best, TrainState], Best]
    like: Saved


def check_setting(setting: Setting, members: int, devices: Devices) -> TrainState:
    """Refuses what can be refused before a training step is traced; returns the shapes of the state
    of all members.

    Raises:
      ValueError: a state larger than the machine's memory, a learning rate below 0, more steps than
        can be counted.
    """
    most = (2**31 - 1) // setting.training.steps_per_epoch
    if setting.epochs > most:
        raise ValueError(f"--epochs is {setting.epochs}; give at most {most:,}")
    if not 0 <= setting.learning_rate < np.inf:
        raise ValueError(f"--learning-rate is {setting.learning_rate}; give 0 or more")
    init = over_members(setting.training.init, devices)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), members))
    rate = jax.ShapeDtypeStruct((members,), jnp.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that the next line refuses
        shapes = jax.eval_shape(init, key, rate)
    require_memory(_bytes_of(shapes), "the training state")
    return shapes


def prepare(setting: Setting, seeds: Sequence[int], devices: Devices) -> Prepared:
    """Traces everything once, one member to a seed, so that a setting that cannot work fails here,
    before a run directory exists.

    Raises:
      ValueError: as `check_setting`, and an array larger than the machine's memory; and whatever
        tracing raises.
    """
    members = len(seeds)
    shapes = check_setting(setting, members, devices)
    init = over_members(setting.training.init, devices)
    chunk = jax.jit(
        over_members(setting.training.chunk, devices),
        donate_argnums=0,
        out_shardings=(shardings(shapes, devices), None),
    )
    validate = jax.jit(over_members(setting.validate, devices))
    program, _ = opened(chunk.trace(shapes).jaxpr)
    require_memory(_largest_array(program), "one array of a training step")
    jax.eval_shape(validate, shapes.params)

    def first_state():
        keys = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
        rates = jnp.full(members, setting.learning_rate, jnp.float32)
        return place(jax.jit(init)(keys, rates), devices)

    def first_best(state):
        return Best(state.params, jnp.full(members, jnp.inf), jnp.zeros(members, jnp.int32))

    def choose(condition, new, old):
        def where(new, old):
            return jnp.where(condition.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(where, new, old)

    def update_best(best, state, loss):
        return choose(loss < best.loss, Best(state.params, loss, state.step), best)

    def settle_best(best, state):
        return choose(jnp.isinf(best.loss), Best(state.params, best.loss, state.step), best)

    return Prepared(
        setting=setting,
        seeds=seeds,
        devices=devices,
        init=first_state,
        first_best=jax.jit(first_best),
        chunk=chunk,
        validate=validate,
        update_best=jax.jit(update_best),
        settle_best=jax.jit(settle_best),
        like=Saved(shapes, jax.eval_shape(first_best, shapes)),
    )


def require_memory(needed: int, what: str) -> None:
    """Says so before anything is allocated: a machine that swaps to death explains nothing.

    Raises:
      ValueError: `needed` bytes are more than this machine has.
    """
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows; a system without the name
        return
    if needed > there:
        raise ValueError(
            f"{what} needs {needed / 2**30:,.0f} GiB, this machine has {there / 2**30:,.0f}; "
            "give smaller sizes or fewer seeds"
        )


def _largest_array(jaxpr: Any) -> int:
    """Bytes of the largest array that a program computes anywhere: less than it needs."""
    largest = 0
    for equation in jaxpr.eqns:
        shaped = [variable.aval for variable in equation.outvars if hasattr(variable.aval, "size")]
        largest = max([largest, *(_largest_array(inner) for inner in jaxprs_in(equation))])
        largest = max([largest, *(_bytes_of(array) for array in shaped)])
    return largest


def _bytes_of(shapes: PyTree) -> int:
    """How much the arrays take; a key counts as two words."""

    def width(dtype):
        is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
        return 8 if is_key else jnp.dtype(dtype).itemsize

    return sum(a.size * width(a.dtype) for a in jax.tree.leaves(shapes))


def train_setting(
    run: RunDirectory,
    prepared: Prepared,
    *,
    checkpoint_seconds: float,
    at_epoch_end: Callable[[int, int, Params], None],
    record: Callable[[RunDirectory, Prepared, int], Recorder] = lambda *_: Recorder(),
) -> None:
    """Trains one setting from its newest checkpoint, or from its start, to its end.

    Args:
      checkpoint_seconds: between two checkpoints, at least.
      at_epoch_end: `(epoch, step, params of all members) -> None`, for samples.
      record: `(run, prepared, step) -> Recorder`, who follows the training from `step` on.

    Raises:
      Interrupted, Diverged, DiskFull; ValueError where no checkpoint is sound.
    """
    setting = prepared.setting
    directory = run.checkpoints / setting.name
    steps_per_epoch = setting.training.steps_per_epoch
    total = steps_per_epoch * setting.epochs
    restored = restore_latest(directory, prepared.like, warn)
    if restored is None:
        step, kept = 0, {"log_lines": 0, "seconds": 0.0, "epoch_loss": None}
        state = prepared.init()
        saved = Saved(state, prepared.first_best(state))
    else:
        step, saved, kept = restored
        saved = saved._replace(state=place(saved.state, prepared.devices))
    if restored is None:
        require_unbegun(run, setting.name)
    seen = cut_log(run.metrics, setting.name, kept["log_lines"], kept.get("log_sha256"))
    if step >= total:
        return
    with (
        _following(record(run, prepared, step), step, saved.state) as recorder,
        closing(_Keeper(run, prepared, checkpoint_seconds, kept, step, recorder, seen)) as keeper,
        interrupts() as asked,
        progress(total, description=setting.name, start=step) as bar,
    ):
        if asked.requested:
            raise Interrupted(f"{setting.name} stopped at step {step} of {total}")
        while step < total:
            state, metrics = prepared.chunk(saved.state)
            metrics = _to_host(metrics)
            saved = saved._replace(state=state)
            step = int(metrics["step"].max())
            shown = keeper.log_chunk(metrics)
            bar.update(step, shown)
            recorder.chunk(step, state)
            if step % steps_per_epoch == 0:
                valid = _to_host(prepared.validate(state.params))
                if "valid_loss" in valid:
                    best = prepared.update_best(saved.best, state, valid["valid_loss"])
                    saved = saved._replace(best=best)
                bar.print(keeper.log_epoch(step, valid))
                at_epoch_end(step // steps_per_epoch, step, state.params)
                recorder.epoch(step, state, np.asarray(saved.best.loss))
            if step >= total or asked.requested or keeper.is_due():
                best = prepared.settle_best(saved.best, saved.state)
                keeper.save(step, saved._replace(best=best))
            if asked.requested:
                raise Interrupted(f"{setting.name} stopped at step {step} of {total}")
        recorder.end(step, saved.state)


@contextmanager
def _following(recorder: Recorder, step: int, state: TrainState) -> Iterator[Recorder]:
    """A recorder that has begun before the clock of the training runs."""
    with closing(recorder):
        recorder.begin(step, state)
        yield recorder


def _to_host(metrics: Metrics) -> dict[str, np.ndarray]:
    """Here the host waits for the device."""
    return {name: np.asarray(a) for name, a in jax.device_get(metrics).items()}


class _Keeper:
    """Writes the log and the checkpoints of one setting."""

    def __init__(self, run, prepared, checkpoint_seconds, record, step, recorder, seen):
        self._directory = run.checkpoints / prepared.setting.name
        self._setting, self._seeds = prepared.setting, list(prepared.seeds)
        self._interval = checkpoint_seconds
        self._log = MetricsLog(run.metrics, seen)
        self._bound = bound_to(run, prepared.setting.name)
        self._lines = record["log_lines"]
        self._seconds = record["seconds"]
        self._epoch_loss = record["epoch_loss"] or [0.0] * len(self._seeds)
        self._saved_step = step
        self._recorder = recorder
        self._clock = self._saved_time = time.monotonic()

    def log_chunk(self, metrics: dict[str, np.ndarray]) -> dict[str, float]:
        """Logs metrics [members, steps] in groups that end at `log_ends`; returns what to show."""
        elapsed = self._tick()
        active = metrics["step"][0] > 0
        metrics = {name: a[:, active] for name, a in metrics.items()}
        steps = metrics.pop("step")[0]
        rates = {"seconds": self._seconds, "steps_per_second": len(steps) / elapsed}
        finite = np.logical_and.reduce([np.isfinite(a) for a in metrics.values()])
        in_epoch = (steps - 1) % self._setting.training.steps_per_epoch + 1
        ends = np.isin(in_epoch, self._setting.log_ends)
        groups = np.split(np.arange(len(steps)), np.flatnonzero(ends[:-1]) + 1)
        for group in groups:
            for member in range(len(self._seeds)):
                means = {
                    n: float(a[member, group].mean(dtype=np.float64)) for n, a in metrics.items()
                }
                last = int(steps[group][-1])
                self._line(member, last, {"steps": len(steps[group])} | means | rates)
        if not finite.all():
            self._stop_at(int(steps[finite.all(0).argmin()]), self._seeds[finite.all(1).argmin()])
        sums = metrics["loss"].sum(1, dtype=np.float64)
        self._epoch_loss = [a + float(b) for a, b in zip(self._epoch_loss, sums, strict=True)]
        return {"loss": float(np.median(metrics["loss"][:, groups[-1]].mean(1)))}

    def log_epoch(self, step: int, valid: dict[str, np.ndarray]) -> str:
        """Logs the epoch that ends at `step`; returns the line to print."""
        self._tick()
        losses = [total / self._setting.training.steps_per_epoch for total in self._epoch_loss]
        self._epoch_loss = [0.0] * len(self._seeds)
        for member in range(len(self._seeds)):
            numbers = {name: float(value[member]) for name, value in valid.items()}
            record = {"train_loss": losses[member]} | numbers | {"seconds": self._seconds}
            self._line(member, step, record)
        epoch = step // self._setting.training.steps_per_epoch
        parts = [f"epoch {epoch}/{self._setting.epochs}", f"train {np.median(losses):.4f} nats"]
        if "valid_loss" in valid:
            loss = float(np.median(valid["valid_loss"]))
            parts.append(f"valid {loss:.4f} nats ({loss / np.log(2):.4f} bits)")
        return "  ".join([self._setting.name, *parts, f"{self._seconds:.1f} s"])

    def is_due(self) -> bool:
        return time.monotonic() - self._saved_time >= self._interval

    def save(self, step: int, saved: Saved) -> None:
        # the logs first: a checkpoint must never count on lines that are not on the disk
        self._log.flush()
        self._recorder.flush()
        leaves = jax.device_get(jax.tree.leaves(saved.state.params))
        for member, seed in enumerate(self._seeds):
            if not all(np.isfinite(leaf[member]).all() for leaf in leaves):
                self._stop_at(step, seed)
        record = {
            "log_lines": self._lines,
            "seconds": self._seconds,
            "epoch_loss": self._epoch_loss,
            "log_sha256": self._log.sha256,
            BOUND: self._bound,
        }
        save_checkpoint(self._directory, step, saved, record)
        self._saved_step, self._saved_time = step, time.monotonic()

    def close(self) -> None:
        self._log.close()

    def _tick(self) -> float:
        now = time.monotonic()
        elapsed, self._clock = now - self._clock, now
        self._seconds += elapsed
        return elapsed

    def _line(self, member: int, step: int, numbers: dict[str, Any]) -> None:
        epoch = -(-step // self._setting.training.steps_per_epoch)
        place = {"setting": self._setting.name, "seed": self._seeds[member], "epoch": epoch}
        self._log.append(place | {"step": step} | numbers)
        self._lines += 1
        self._recorder.line(member, step, numbers)

    def _stop_at(self, step: int, seed: int | str) -> None:
        self._recorder.diverged()
        kept = (
            f"the checkpoint of step {self._saved_step} is kept"
            if self._saved_step
            else ("no checkpoint was due before that")
        )
        raise Diverged(
            f"the loss or gradient of seed {seed} is not finite at step {step} "
            f"(setting {self._setting.name}); {kept}; try a lower --learning-rate"
        )
