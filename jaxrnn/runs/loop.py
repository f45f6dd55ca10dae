"""The host's side of a training run: calls chunks, logs, validates, saves, and stops when asked
to."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import jax
import numpy as np

from jaxrnn.base import Metrics, TrainState
from jaxrnn.parallel import place
from jaxrnn.runs.bound import BOUND, bound_to, require_unbegun
from jaxrnn.runs.checkpoints import restore_latest, save_checkpoint
from jaxrnn.runs.directory import MetricsLog, RunDirectory, cut_log
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.preparing import Prepared, Saved
from jaxrnn.runs.progress import progress, warn
from jaxrnn.runs.recorder import Recorder


class Diverged(ValueError):
    """The loss is NaN or infinite; the checkpoints before that are kept."""


def train_setting(
    run: RunDirectory,
    prepared: Prepared,
    *,
    checkpoint_seconds: float,
    record: Callable[[RunDirectory, Prepared, int], Recorder] = lambda *_: Recorder(),
) -> None:
    """Trains one setting from its newest checkpoint, or from its start, to its end.

    Args:
      checkpoint_seconds: between two checkpoints, at least.
      record: `(run, prepared, step) -> Recorder`, the callback from training step `step` on.

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
                recorder.epoch(step, state, np.asarray(saved.best.loss))
            if step >= total or asked.requested or keeper.is_due():
                best = prepared.finalize_best(saved.best, saved.state)
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
