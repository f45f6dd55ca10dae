"""What an experiment declares; `jaxrnn.runs.main` runs it."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrnn.base import Key, Metrics, Params
from jaxrnn.data import Vocabulary
from jaxrnn.models import TokenModel
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.claims import Claim
from jaxrnn.runs.code import source_of
from jaxrnn.runs.config import flags_of
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.log import RunLog
from jaxrnn.runs.recorder import Recorder
from jaxrnn.starting import called
from jaxrnn.training import Training


class Setting(NamedTuple):
    """One training run of an experiment, all its members (seeds) together.

    Attributes:
      model: from which `runs.load` builds the cell.
      training: the pure functions.
      learning_rate: for `training.init`.
      epochs: how many to train.
      validate: `params -> metrics` of one member at the end of an epoch, `valid_loss` among them;
        `{}` where there is nothing to validate on.
      log_ends: training steps of an epoch, counted from 1, after which a line of the log ends; the
        end of a chunk ends one anyway.
      vocabulary: of the text, where there is one.
      texts: name to sha256 of what is read.
      sample: `(params of one member, key) -> {name: text}` at the end of an epoch.
      divides: whether a single member's batch is divided over the devices.
      may_diverge: a loss that is NaN or infinite ends this setting, and the others go on.
      loss_unit: what losses are in.
      recorders: callbacks, each made of `(run, name, seeds)`.
      name: in the log and under `checkpoints/`; the key in `settings`.
    """

    model: TokenModel
    training: Training
    learning_rate: float
    epochs: int
    validate: Callable[[Params], Metrics] = lambda params: {}
    log_ends: Sequence[int] = ()
    vocabulary: Vocabulary | None = None
    texts: Mapping[str, str] = {}
    sample: Callable[[Params, Key], Mapping[str, str]] | None = None
    divides: bool = True
    may_diverge: bool = False
    loss_unit: str = "nats"
    recorders: Sequence[Callable[[RunDirectory, str, Sequence[int]], Recorder]] = ()
    name: str = ""


class Table(NamedTuple):
    """A table for standard output; numbers come formatted."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


class Report(NamedTuple):
    """What a run found, as data.

    Attributes:
      results: of summary.json, JSON.
      claims: held against the run's own numbers.
      tables: to print.
      plots: name to `path -> None`, which draws that PNG file.
      arrays: name to arrays by name, each an .npz file.
      pages: name to `path -> None`, which writes that HTML file.
      samples: name to a text below `samples/`.
      notes: lines to print behind the tables.
    """

    results: Any
    claims: Sequence[Claim] = ()
    tables: Sequence[Table] = ()
    plots: Mapping[str, Callable[[Path], None]] = {}
    arrays: Mapping[str, Mapping[str, Any]] = {}
    pages: Mapping[str, Callable[[Path], None]] = {}
    samples: Mapping[str, str] = {}
    notes: Sequence[str] = ()


class Search(NamedTuple):
    """A sweep that an experiment makes by itself.

    Attributes:
      sweep: as --sweep.
      halving: as --halving.
    """

    sweep: Sequence[str] = ()
    halving: int = 0


class Experiment(NamedTuple):
    """An experiment: what it trains and what it says of that.

    Attributes:
      name: of its module in `experiments`.
      doc: the module's docstring, for `--help`.
      presets: name to config; "published" holds the dataclass's defaults. A config nests the groups
        of `jaxrnn.runs.groups`.
      settings: `config -> {name: config}`, the training runs of one command, in order. Raises
        ValueError for what cannot be meant.
      build: `(config of one of them, devices) -> Setting`, pure functions; over several devices the
        batch is divided.
      report: `(config, log) -> Report`.
      resolved: `(config, the run that is resumed or None) -> config`, what the command line leaves
        open.
      swept: `config -> Search`, the sweep where --sweep is not given; without fields it is one run.
      notice: `config -> ` a line to print before the first training step of a new run, such as what
        it will take; nothing prints none.
      compared: `(config, logs of a sweep's runs, Report) -> Report`: what a sweep ends with, given
        the comparison that every sweep has. Of a halved sweep the logs are of all runs, also of
        those that were left out of some setting.
    """

    name: str
    doc: str | None
    presets: Mapping[str, Any]
    settings: Callable[[Any], Mapping[str, Any]]
    build: Callable[[Any, Devices], Setting]
    report: Callable[[Any, RunLog], Report]
    resolved: Callable[[Any, RunDirectory | None], Any] = lambda config, resumed: config
    swept: Callable[[Any], Search] = lambda config: Search()
    notice: Callable[[Any], str] = lambda config: ""
    compared: Callable[[Any, Sequence[RunLog], Report], Report] = lambda config, logs, report: (
        report
    )

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Runs the experiment from its command line; returns the exit code."""
        from jaxrnn.runs.main import main

        return main(self, argv)

    @property
    def program(self) -> str:
        """What Python runs: the experiment's module, or the researcher's own file."""
        ran = sys.modules["__main__"]
        if getattr(ran, "EXPERIMENT", None) is self and getattr(ran, "__spec__", None) is None:
            return f"python {shlex.quote(str(ran.__file__))}"
        return f"python -m experiments.{self.name}"

    @property
    def command(self) -> str:
        """The same as somebody types it who started this process."""
        module = f"experiments.{self.name}"
        return called(module) if self.program.endswith(f"-m {module}") else self.program

    @property
    def source(self) -> Path | None:
        """Its file, or the folder of its package."""
        module = sys.modules.get(self.report.__module__)
        return source_of(getattr(module, "__file__", None))

    def workload(self, config: Any) -> Workload:
        """For the choice of devices: of each flag, under the first name that there is, the largest
        entry."""
        flags = flags_of(config)

        def largest(*names: str) -> int:
            found = [flags[name] for name in names if name in flags]
            return max(jax.tree.leaves(found[:1]), default=1)

        return Workload(
            members=flags["seeds"],
            batch_size=largest("batch_size"),
            num_steps=largest("num_steps", "window"),
            hidden_size=largest("hidden_size", "state_size"),
        )
