"""What one run keeps of its training: a log and checkpoints."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.runs.beside import BESIDE, beside
from jaxrnn.runs.bound import BOUND, bound_to
from jaxrnn.runs.checkpoints import save_checkpoint
from jaxrnn.runs.directory import MetricsLog, NoLog
from jaxrnn.runs.preparing import Saved
from jaxrnn.runs.processes import writes
from jaxrnn.runs.progress import warn
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.shares import Share

BEGUN: Mapping[str, Any] = {"log_lines": 0, "seconds": 0.0, "epoch_loss": None}
"""The record of a checkpoint that is not there yet."""


class Diverged(ValueError):
    """The loss is NaN or infinite; the checkpoints before that are kept."""


class Rules(NamedTuple):
    """How a run is kept.

    Attributes:
      checkpoint_seconds: between two checkpoints, at least.
      keep: how many of them stay, the newest.
      lenient: a member that diverged ends alone, and not the run.
    """

    checkpoint_seconds: float
    keep: int
    lenient: bool


class Keeper:
    """Writes the log and the checkpoints of one setting of a run.

    Args:
      share: whose members they are.
      rules: how often, how many, and what of members that diverge.
      kept: the record of the checkpoint at training step `step`.
      recorder: is told of every line.
      seen: the hash of the log so far, for `MetricsLog`.
    """

    def __init__(
        self,
        share: Share,
        rules: Rules,
        kept: Mapping[str, Any],
        step: int,
        recorder: Recorder,
        seen: Any,
    ):
        run, setting = share.run, share.prepared.setting
        self.share, self.recorder = share, recorder
        self.seconds: float = kept["seconds"]
        self._directory = run.checkpoints / setting.name
        self._setting, self._seeds = setting, list(share.prepared.seeds)
        self._rules = rules
        self._log = MetricsLog(run.metrics, seen) if writes() else NoLog()
        self._bound = bound_to(run, setting.name)
        self._lines = kept["log_lines"]
        self._epoch_loss = kept["epoch_loss"] or [0.0] * len(self._seeds)
        self._lost = np.zeros(len(self._seeds), bool)
        self._saved_step, self._saved_time = step, time.monotonic()

    def log_chunk(self, metrics: dict[str, np.ndarray], elapsed: float) -> list[float]:
        """Logs metrics [all members, steps] in groups that end at `log_ends`; returns the last
        group's loss of each member.

        Args:
          elapsed: seconds that the chunk took.
        """
        self.seconds += elapsed
        metrics = self.share.rows(metrics)
        active = metrics["step"][0] > 0
        metrics = {name: a[:, active] for name, a in metrics.items()}
        steps = metrics.pop("step")[0]
        rates = {"seconds": self.seconds, "steps_per_second": len(steps) / elapsed}
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
        for member in np.flatnonzero(~finite.all(1)):
            self._lose(int(member), int(steps[finite[member].argmin()]))
        sums = metrics["loss"].sum(1, dtype=np.float64)
        self._epoch_loss = [a + float(b) for a, b in zip(self._epoch_loss, sums, strict=True)]
        return metrics["loss"][:, groups[-1]].mean(1).tolist()

    def log_epoch(self, step: int, valid: dict[str, np.ndarray], elapsed: float) -> list[float]:
        """Logs the epoch that ends at `step`, with metrics [all members] of its validation; returns
        the training loss of each member."""
        self.seconds += elapsed
        losses = [total / self._setting.training.steps_per_epoch for total in self._epoch_loss]
        self._epoch_loss = [0.0] * len(self._seeds)
        for member, numbers in enumerate(_by_member(self.share.rows(valid), len(self._seeds))):
            record = {"train_loss": losses[member]} | numbers | {"seconds": self.seconds}
            self._line(member, step, record)
        return losses

    def is_due(self) -> bool:
        return time.monotonic() - self._saved_time >= self._rules.checkpoint_seconds

    def save(self, step: int, saved: Saved) -> None:
        # the logs first: a checkpoint must never count on lines that are not on the disk
        self._log.flush()
        self.recorder.flush()
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(saved.state.params)]
        for member in range(len(self._seeds)):
            if not all(np.isfinite(leaf[member]).all() for leaf in leaves):
                self._lose(member, step)
        record = {
            "log_lines": self._lines,
            "seconds": self.seconds,
            "epoch_loss": self._epoch_loss,
            "log_sha256": self._log.sha256,
            "members": dict(self.share.prepared.members),
            BOUND: self._bound,
        }
        if writes():
            record[BESIDE] = beside(self.share.run, self._setting.name)
            save_checkpoint(self._directory, step, saved, record, keep=self._rules.keep)
        self._saved_step, self._saved_time = step, time.monotonic()

    def close(self) -> None:
        self._log.close()

    def _line(self, member: int, step: int, numbers: dict[str, Any]) -> None:
        epoch = -(-step // self._setting.training.steps_per_epoch)
        place = {"setting": self._setting.name, "seed": self._seeds[member], "epoch": epoch}
        self._log.append(place | {"step": step} | numbers)
        self._lines += 1
        self.recorder.line(member, step, numbers)

    def _lose(self, member: int, step: int) -> None:
        """What is not finite ends the run, or this member alone."""
        if self._lost[member]:
            return
        seed, name = self._seeds[member], self._setting.name
        fault = f"the loss or gradient of seed {seed} is not finite at step {step} (setting {name})"
        if self._rules.lenient:
            self._lost[member] = True
            warn(f"{fault}; the others go on")
            return
        self.recorder.diverged()
        kept = (
            f"the checkpoint of step {self._saved_step} is kept"
            if self._saved_step
            else "no checkpoint was due before that"
        )
        raise Diverged(f"{fault}; {kept}; try a lower --learning-rate")


def _by_member(metrics: dict[str, np.ndarray], count: int) -> list[dict[str, float]]:
    return [{n: float(a[member]) for n, a in metrics.items()} for member in range(count)]
