"""The boards of all members of a setting, and when they are written."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrnn.base import TrainState
from jaxrnn.optimizers import current_learning_rate
from jaxrnn.parallel import over_members
from jaxrnn.runs.directory import RunDirectory, read_metrics
from jaxrnn.runs.files import read_json
from jaxrnn.runs.load import read_vocabulary
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.tensorboard.board import Board
from jaxrnn.runs.tensorboard.events import take_back
from jaxrnn.runs.tensorboard.graph import training_graph
from jaxrnn.runs.tensorboard.observing import Observation, make_observe
from jaxrnn.runs.tensorboard.projector import MOST, write_projector

SHARE = 0.03
"""What logging may take of the time, counted here. The rest up to 5 % is left for the last
observation of a run, and for what it costs beyond that (`python -m experiments.speed --case
tensorboard`)."""

SCALARS = {
    "loss": "loss/training",
    "train_loss": "loss/training_epoch",
    "valid_loss": "loss/validation",
    "grad_norm": "norm/gradient",
    "steps_per_second": "speed/steps_per_second",
}
NOT_SHOWN = ("steps", "seconds")

DIFFERING = ("cell", "hidden_size", "embedding_size", "vocab_size", "dropout", "init")
"""What the models of a run's settings differ in."""


class Boards(Recorder):
    """Writes `run`'s TensorBoard for the members of a setting.

    Args:
      step: the training step of the checkpoint from which the training goes on, or 0; what was
        written of later ones is taken back.
      every: training steps of the logging interval; 0 chooses by what an observation costs.
      clock: seconds that training took, by which it chooses.
    """

    def __init__(
        self,
        run: RunDirectory,
        prepared: Prepared,
        step: int,
        every: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._run, self._seeds, self._every = run, list(prepared.seeds), every
        self._clock = clock
        record, setting = read_json(run.config), prepared.setting
        self._setting = name = setting.name
        folder = run.tensorboard / name if len(record["settings"]) > 1 else run.tensorboard
        first = step + 1 if step else 0
        folders = [folder / f"seed_{seed}" for seed in self._seeds]
        for each in folders:
            take_back(each, first)
        self._boards = [Board(each, first) for each in folders]
        self._sampled = {path: path.stat().st_mtime_ns for path in self._samples()}
        self._ingredients = setting.training.ingredients
        self._observe = self._vectors = None
        self._batch_size = 0
        if step == 0:
            own = {"learning_rate": setting.learning_rate, "epochs": setting.epochs}
            values = hparams_of(record, name, own)
            for board, seed in zip(self._boards, self._seeds, strict=True):
                board.hparams(values | {"seed": seed})
        if self._ingredients is not None:
            batch = jax.jit(self._ingredients.batch)()
            self._batch_size = jax.tree.leaves(batch.targets)[0].shape[1]
            observe = over_members(make_observe(self._ingredients, batch), prepared.devices)
            self._observe = jax.jit(observe)
            self._vectors = jax.jit(jax.vmap(self._ingredients.vectors))
            if step == 0:
                graph = training_graph(self._ingredients, batch)
                for board in self._boards:
                    board.graph(graph)
        self._observed = step
        self._spent = 0.0
        self._costs = {"observation": 0.0, "vectors": 0.0}
        self._began = self._clock()

    def begin(self, step: int, state: TrainState) -> None:
        if self._observe is not None:
            jax.block_until_ready(self._observe(state))  # compiles: what that takes is paid once
            self._began = self._clock()
            jax.block_until_ready(self._observe(state))
            self._costs["observation"] = self._clock() - self._began
            if step == 0:
                self._observe_at(step, state)
        self.flush()

    def line(self, member: int, step: int, numbers: Mapping[str, Any]) -> None:
        with self._counted():
            shown = {
                SCALARS.get(name, f"metrics/{name}"): value
                for name, value in numbers.items()
                if name not in NOT_SHOWN
            }
            if self._batch_size and "steps_per_second" in numbers:
                rate = self._batch_size * numbers["steps_per_second"]
                shown["speed/examples_per_second"] = rate
            self._boards[member].scalars(step, shown)

    def chunk(self, step: int, state: TrainState) -> None:
        with self._counted():
            rates = current_learning_rate(state.opt_state)
            if rates is not None:
                for board, rate in zip(self._boards, jax.device_get(rates), strict=True):
                    board.scalars(step, {"optimizer/learning_rate": rate})
        if self._observe is None:
            return
        passed = step // self._every > self._observed // self._every if self._every else False
        if passed or (not self._every and self._affords("observation")):
            self._observe_at(step, state)

    def epoch(self, step: int, state: TrainState, best: np.ndarray) -> None:
        with self._counted():
            for board, loss in zip(self._boards, best, strict=True):
                if np.isfinite(loss):
                    board.scalars(step, {"loss/validation_best": loss})
            for path in self._samples():
                changed = path.stat().st_mtime_ns
                if self._sampled.get(path) != changed:
                    self._sampled[path] = changed
                    self._sample(step, path)
        if self._affords("vectors"):
            self._show_vectors(state)

    def flush(self) -> None:
        with self._counted():
            for board in self._boards:
                board.flush()

    def end(self, step: int, state: TrainState) -> None:
        if self._observe is not None and self._observed < step:
            self._observe_at(step, state)
        self._show_vectors(state)
        for board in self._boards:
            board.ended("success")

    def diverged(self) -> None:
        for board in self._boards:
            board.ended("failure")

    def close(self) -> None:
        for board in self._boards:
            board.close()

    def _observe_at(self, step: int, state: TrainState) -> None:
        assert self._observe is not None
        with self._counted("observation"):
            found: Observation = jax.device_get(self._observe(state))
            for member, board in enumerate(self._boards):
                mine = jax.tree.map(lambda a, member=member: a[member], found)
                board.scalars(step, mine.scalars)
                board.histograms(step, mine.histograms)
        self._observed = step

    def _show_vectors(self, state: TrainState) -> None:
        vocabulary = read_vocabulary(self._run, self._setting)
        if self._vectors is None or vocabulary is None:
            return
        with self._counted("vectors"):
            words = vocabulary.symbols
            found = {
                name: jax.device_get(rows[:, :MOST])
                for name, rows in self._vectors(state.params).items()
                if rows.shape[1] == len(words)  # else of a setting that does not read the text
            }
            for member, board in enumerate(self._boards):
                mine = {name: rows[member] for name, rows in found.items()}
                write_projector(board.folder, words[:MOST], mine)

    def _samples(self) -> list[Path]:
        return sorted(self._run.samples.glob("*.txt"))

    def _sample(self, step: int, path: Path) -> None:
        """A file such as `epoch_001_seed_0.txt` belongs to its seed, any other to the first; the
        one of `epoch_001_argmax_seed_0.txt` is the sample "argmax"."""
        found = re.search(r"(?:epoch_\d+_(\w+)_)?seed_(\d+)", path.stem)
        mine = int(found[2]) if found else self._seeds[0]
        name = found[1] if found and found[1] else "text"
        if mine in self._seeds:
            text = path.read_text(encoding="utf-8")
            self._boards[self._seeds.index(mine)].text(step, f"samples/{name}", text)

    def _affords(self, what: str) -> bool:
        elapsed = self._clock() - self._began
        return self._spent + self._costs[what] <= SHARE * elapsed

    @contextmanager
    def _counted(self, what: str | None = None) -> Iterator[None]:
        start = self._clock()
        yield
        cost = self._clock() - start
        self._spent += cost
        if what is not None:
            self._costs[what] = cost


def hparams_of(record: Mapping[str, Any], name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a setting: the run's config, and where the settings of a run differ what this one
    has: of its model `DIFFERING`, and what the config knows of `own`."""
    config = flat(record["config"])
    models = [each.get("model", {}) for each in record["settings"] if each["name"] == name]
    model = {key: models[0][key] for key in DIFFERING if models and key in models[0]}
    mine = {key: value for key, value in own.items() if key in config}
    return config | model | mine | {"setting": name}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A plain config's values by dotted name."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def show_results(run: RunDirectory) -> None:
    """Puts the plots of a complete run into its TensorBoard, in place of earlier ones, and the
    samples that it wrote at its end: those of an epoch were shown with it."""
    plots = sorted(run.plots.glob("*.png"))
    samples = [path for path in sorted(run.samples.glob("*.txt")) if "epoch_" not in path.stem]
    if not plots and not samples:
        return
    step = max((line["step"] for line in read_metrics(run.metrics)), default=0)
    take_back(run.tensorboard, step)
    board = Board(run.tensorboard, step)
    for path in plots:
        board.image(step, f"plots/{path.stem}", path.read_bytes())
    for path in samples:
        board.text(step, f"samples/{path.stem}", path.read_text(encoding="utf-8"))
    board.close()
