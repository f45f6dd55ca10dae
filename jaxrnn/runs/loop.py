"""The host's side of a training run: calls chunks, logs, validates, saves, and stops when asked
to."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxrnn.base import Metrics
from jaxrnn.runs import processes
from jaxrnn.runs.bound import require_unbegun
from jaxrnn.runs.checkpoints import restore_latest
from jaxrnn.runs.directory import RunDirectory, cut_log
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.keeping import BEGUN, Keeper, Rules
from jaxrnn.runs.preparing import Prepared, Saved
from jaxrnn.runs.progress import progress, warn
from jaxrnn.runs.recorder import Recorder, reads_chunks
from jaxrnn.runs.shares import Share, shares_of


def train_setting(
    runs: Sequence[RunDirectory],
    prepared: Prepared,
    *,
    checkpoint_seconds: float,
    keep: int = 2,
    record: Callable[[RunDirectory, Prepared, int], Recorder] = lambda *_: Recorder(),
    epochs: int | None = None,
    lenient: bool = False,
) -> None:
    """Trains one setting from its newest checkpoint, or from its start, to its end.

    Args:
      runs: whose members are trained side by side, an even share of them each, in order.
      checkpoint_seconds: between two checkpoints, at least.
      keep: how many of them stay, the newest.
      record: `(run, prepared, step) -> Recorder`, the callback from training step `step` on.
      epochs: after how many to end, if not with the setting's last.
      lenient: a member whose loss is NaN or infinite ends alone: what is logged of it is null from
        there on, and the others go on.

    Raises:
      Interrupted, Diverged, DiskFull; ValueError where no checkpoint is sound.
    """
    setting = prepared.setting
    steps_per_epoch = setting.training.steps_per_epoch
    total = steps_per_epoch * (setting.epochs if epochs is None else epochs)
    shares = shares_of(runs, prepared)
    step, saved, records = _restored(shares, prepared)
    if (first := processes.agreed(step)) != step:
        raise ValueError(
            f"{runs[0].path} is at step {step} for this process and at {first} for the first one; "
            "give a directory that all of them share"
        )
    seen = [
        cut_log(share.run.metrics, setting.name, kept["log_lines"], kept.get("log_sha256"))
        if processes.writes()
        else None
        for share, kept in zip(shares, records, strict=True)
    ]
    if step >= total:
        return
    whole = partial(processes.gathered, devices=prepared.devices)
    with ExitStack() as stack:
        keepers: list[Keeper] = []
        for share, kept, so_far in zip(shares, records, seen, strict=True):
            # a recorder begins before the clock of the training runs
            recorder = record(share.run, share.prepared, step) if processes.writes() else Recorder()
            stack.enter_context(closing(recorder)).begin(step, share.of(whole(saved.state)))
            rules = Rules(checkpoint_seconds, keep, lenient)
            keeper = Keeper(share, rules, kept, step, recorder, so_far)
            keepers.append(stack.enter_context(closing(keeper)))
        clock = _Clock(len(keepers))
        asked = stack.enter_context(interrupts())
        # what lies on the devices of several processes is gathered where somebody looks at it
        watched = processes.agreed(any(reads_chunks(each.recorder) for each in keepers))
        bar = stack.enter_context(progress(total, description=setting.name, start=step))
        if processes.stop_asked(asked):
            raise Interrupted(f"{setting.name} stopped at step {step} of {total}")
        while step < total:
            state, metrics = prepared.chunk(saved.state)
            metrics = _to_host(metrics)
            saved = saved._replace(state=state)
            step = int(metrics["step"].max())
            elapsed = clock.lap()
            shown = [loss for each in keepers for loss in each.log_chunk(metrics, elapsed)]
            bar.update(step, {"loss": _median(shown)})
            if watched:
                seen_state = whole(state)
                for each in keepers:
                    each.recorder.chunk(step, each.share.of(seen_state))
            if step % steps_per_epoch == 0:
                valid = _to_host(prepared.validate(state.params))
                if "valid_loss" in valid:
                    best = prepared.update_best(saved.best, state, valid["valid_loss"])
                    saved = saved._replace(best=best)
                elapsed = clock.lap()
                losses = [loss for each in keepers for loss in each.log_epoch(step, valid, elapsed)]
                seconds = sum(each.seconds for each in keepers)
                bar.print(_epoch_line(setting, step // steps_per_epoch, losses, valid, seconds))
                there, best = whole((state, saved.best.loss))
                for each in keepers:
                    each.recorder.epoch(step, each.share.of(there), np.asarray(each.share.of(best)))
            stop = processes.stop_asked(asked)
            if step >= total or stop or processes.agreed(keepers[0].is_due()):
                best = prepared.finalize_best(saved.best, saved.state)
                there = whole(saved._replace(best=best))
                for each in keepers:
                    each.save(step, each.share.of(there))
            if stop:
                raise Interrupted(f"{setting.name} stopped at step {step} of {total}")
        there = whole(saved.state)
        for each in keepers:
            each.recorder.end(step, each.share.of(there))


def _restored(
    shares: Sequence[Share], prepared: Prepared
) -> tuple[int, Saved, list[dict[str, Any]]]:
    """The newest training step of which every run has a checkpoint, with what is in them; the start
    where there is none."""
    name, found, newest = prepared.setting.name, [], None
    while not found or len({step for step, *_ in found}) > 1:
        found = []
        for run, mine, _ in shares:
            one = restore_latest(run.checkpoints / name, mine.like, warn, newest=newest)
            if one is None and newest is not None:
                raise ValueError(
                    f"{run.path} was trained alone and keeps no checkpoint of step {newest} or "
                    "before, which others of its sweep are at; finish it alone first"
                )
            if one is None:
                break
            found.append(one)
        if len(found) < len(shares):
            break
        # a process that died while it saved left a newer one in some of the runs
        newest = min(step for step, *_ in found)
    if len(found) < len(shares):
        for share in shares:
            require_unbegun(share.run, name)
        state = prepared.init()
        return 0, Saved(state, prepared.first_best(state)), [dict(BEGUN) for _ in shares]
    (step, *_), *_ = found
    saved = jax.tree.map(lambda *a: jax.numpy.concatenate(a), *(saved for _, saved, _ in found))
    return step, prepared.place(saved), [kept for *_, kept in found]


class _Clock:
    """Laps, of which each of several runs is given its part."""

    def __init__(self, runs: int):
        self._runs, self._last = runs, time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        return elapsed / self._runs


def _epoch_line(
    setting: Setting, epoch: int, losses: list[float], valid: dict[str, np.ndarray], seconds: float
) -> str:
    unit = setting.loss_unit
    parts = [f"epoch {epoch}/{setting.epochs}", f"train {_median(losses):.4f} {unit}"]
    if "valid_loss" in valid:
        loss = _median(valid["valid_loss"])
        bits = f" ({loss / np.log(2):.4f} bits)" if unit == "nats" else ""
        parts.append(f"valid {loss:.4f} {unit}{bits}")
    return "  ".join([setting.name, *parts, f"{seconds:.1f} s"])


def _median(values: Sequence[float] | np.ndarray) -> float:
    """Of the members that have not diverged; NaN where all have."""
    finite = np.asarray(values)[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _to_host(metrics: Metrics) -> dict[str, np.ndarray]:
    """Here the host waits for the device."""
    return {name: np.asarray(a) for name, a in jax.device_get(metrics).items()}
