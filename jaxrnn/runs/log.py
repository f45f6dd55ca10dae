"""The one reader of a run's log, and of what else a run holds, for its report."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import jax
import numpy as np

from jaxrnn.analysis.plots import Panel
from jaxrnn.base import Params, require_positive
from jaxrnn.models import TokenModel, build_model, count_parameters
from jaxrnn.runs.config import from_plain
from jaxrnn.runs.directory import RunDirectory, read_metrics
from jaxrnn.runs.kept import kept, once
from jaxrnn.runs.load import load, stored_model
from jaxrnn.runs.records import read_record
from jaxrnn.runs.summary import median_and_spread


def every_tenth(steps_per_epoch: int, log_every: int) -> list[int]:
    """Where lines of the log end: after `log_every` training steps of each tenth of an epoch. So
    the last tenth of a training run begins a line, whatever the number of epochs: with N epochs it
    begins at an epoch's tenth too."""
    require_positive(log_every=log_every)
    tenths = [steps_per_epoch - i * steps_per_epoch // 10 for i in range(10, -1, -1)]
    return [
        end
        for start, stop in pairwise(tenths)
        for end in (*range(start + log_every, stop, log_every), stop)
    ]


class RunLog:
    """A finished run, read once."""

    def __init__(self, run: RunDirectory):
        self.run = run

    @cached_property
    def models(self) -> dict[str, TokenModel]:
        """Of the run's settings, by name and in order."""
        settings = read_record(self.run)["settings"]
        return {each["name"]: from_plain(TokenModel, each["model"]) for each in settings}

    @cached_property
    def diverged(self) -> dict[str, str]:
        """The settings whose loss was NaN or infinite, and what was said of it."""
        return kept(self.run, self.run.diverged) or {}

    @cached_property
    def _lines(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in self.models}
        for line in read_metrics(self.run.metrics):
            found[line["setting"]].append(line)
        return found

    def of_seed(self, seed: int) -> "RunLog":
        """The same run as if it had trained this seed alone."""
        alone = RunLog(self.run)
        of_all = self._lines.items()
        alone._lines = {
            name: [line for line in lines if line["seed"] == seed] for name, lines in of_all
        }
        return alone

    def curves(self, setting: str, field: str) -> dict[int, np.ndarray]:
        """Of each seed, the rows (step, value) of the lines that have `field`; null becomes NaN."""
        rows: dict[int, list[tuple[float, float]]] = {}
        for line in self._lines[setting]:
            if field in line:
                value = np.nan if line[field] is None else line[field]
                rows.setdefault(line["seed"], []).append((line["step"], value))
        return {seed: np.array(values) for seed, values in rows.items()}

    def seeds(self, setting: str) -> list[int]:
        return list(dict.fromkeys(line["seed"] for line in self._lines[setting]))

    def seconds(self, setting: str) -> float:
        """What a setting took: training, validating and logging, over all sessions."""
        lines = self._lines[setting]
        return lines[-1]["seconds"] if lines else 0.0

    @property
    def all_seconds(self) -> float:
        return sum(map(self.seconds, self.models))

    def seconds_per_step(self, setting: str) -> float:
        """The median over lines: compiling, validating and pauses are no part of it."""
        rates = self.curves(setting, "steps_per_second").values()
        return 1 / float(np.median(np.concatenate([rows[:, 1] for rows in rates])))

    def lowest(self, setting: str, field: str = "valid_loss") -> list[float]:
        """Of each seed the lowest value; none where the field is not logged."""
        return [float(rows[:, 1].min()) for rows in self.curves(setting, field).values()]

    def over_last_tenth(self, setting: str, field: str) -> list[float]:
        """Of each seed the mean over the last tenth of its training steps, one of whose lines has
        to begin there (`every_tenth`)."""
        found, steps = [], self.curves(setting, "steps")
        for seed, rows in self.curves(setting, field).items():
            updates = int(rows[-1, 0])
            late = rows[:, 0] > updates - max(updates // 10, 1)
            found.append(float(np.average(rows[late, 1], weights=steps[seed][late, 1])))
        return found

    def by_epoch(self, setting: str, field: str) -> list[float]:
        """The median over seeds at the end of each epoch; none where the field is not logged."""
        steps = next(iter(self.curves(setting, "train_loss").values()))[:, 0]
        seeds = [dict(rows.tolist()) for rows in self.curves(setting, field).values()]
        return [float(np.median([seed[step] for seed in seeds])) for step in steps if seeds]

    def row(self, setting: str) -> dict[str, Any]:
        """What a setting came to, for the results: losses in nats, of several seeds the medians;
        None and nothing where there is no validation loss."""
        train, best = self.curves(setting, "train_loss"), self.lowest(setting)
        valid, clock = (self.by_epoch(setting, field) for field in ("valid_loss", "seconds"))
        final = [float(rows[-1, 1]) for rows in train.values()]
        took = np.diff([0.0, *clock]).tolist()
        per_epoch = [
            {"epoch": i + 1, "train_loss": loss, "valid_loss": valid[i] if valid else None}
            | {"seconds": took[i]}
            for i, loss in enumerate(self.by_epoch(setting, "train_loss"))
        ]
        return {
            "setting": setting,
            "parameters": self.parameters(setting),
            "seeds": list(train),
            "train_loss": float(np.median(final)),
            "valid_loss": float(np.median(best)) if best else None,
            "train_loss_per_seed": final,
            "best_valid_loss_per_seed": best,
            "train_spread": median_and_spread(final),
            "valid_spread": median_and_spread(best) if best else None,
            "per_epoch": per_epoch,
            "seconds": self.seconds(setting),
            "seconds_per_epoch": float(np.median(took)),
        }

    def rows_by_seed(self, rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """For each seed the rows of settings as if it were alone, for what claims say of it: what
        `row` says, and of a field NAME that has a NAME_per_seed beside it the seed's own."""
        return [
            [self._alone(row, k, seed) for row in rows] for k, seed in enumerate(rows[0]["seeds"])
        ]

    def _alone(self, row: dict[str, Any], k: int, seed: int) -> dict[str, Any]:
        own = {name: row[f"{name}_per_seed"][k] for name in row if f"{name}_per_seed" in row}
        return row | own | self.of_seed(seed).row(row["setting"])

    def panels(
        self,
        drawn: Mapping[str, Mapping[str, tuple[str, str]] | str],
        lines: Mapping[str, Mapping[str, float]] | None = None,
        *,
        epochs: bool = False,
    ) -> list[Panel]:
        """A panel for each title, with curves of all seeds by label, each of a (setting, field), or
        of a field of every setting; over training steps, or over epochs of what is logged once in
        each. What is not logged is left out. `lines` are heights to compare with, by title."""
        found = []
        for title, labelled in drawn.items():
            curves: dict[str, Sequence[np.ndarray]] = {}
            if isinstance(labelled, str):
                labelled = {name: (name, labelled) for name in self.models}
            for label, (setting, field) in labelled.items():
                if seeds := [*self.curves(setting, field).values()]:
                    count = np.arange(1, 1 + len(seeds[0]))
                    curves[label] = [np.stack([count, a[:, 1]], 1) if epochs else a for a in seeds]
            if curves:
                heights = {**(lines or {}).get(title, {})}
                panel = Panel(title, curves, heights)
                found.append(panel._replace(x_label="epoch", labels="left") if epochs else panel)
        return found

    def parameters(self, setting: str) -> int:
        """How many numbers the setting trains."""
        cell = build_model(stored_model(self.run, self.models[setting]))
        return count_parameters(jax.eval_shape(cell.init, jax.random.key(0)))

    def load(
        self, setting: str, member: int = 0, which: Literal["best", "last"] = "best"
    ) -> tuple[Any, Params]:
        """The evaluation model of a setting and the params of one of its members."""
        return load(self.run.path, member, setting=setting, which=which)[:2]

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """`compute()`, JSON, kept in the run and read again when the run is resumed: a clock, for
        one, does not repeat."""
        return once(self.run, self.run.path / f"{name}.json", compute)
