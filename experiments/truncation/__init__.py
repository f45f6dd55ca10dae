"""Gradient styles: what truncating, or replacing, backpropagation through time does to learning.

Question:  How good is a gradient whose errors go back n steps only, and what does it cost in
           learning? After R2RT, "Styles of Truncated Backpropagation" (2016), with every style
           of the library, at equal numbers of targets, updates and seconds.
Command:   python -m experiments.truncation --preset quick
Expected:  the post's claims hold on Sherlock's words: TensorFlow style is behind true truncation,
           by about 0.07 nats at n = 5 and learning rate 0.003, 0.02 at n = 20, more at 0.01
Run time:  about 6 minutes on two CPU cores; the published grid takes many hours, a cell of it is
           `--part published --grid true_5_lr_0.003`, and every run can be resumed
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from experiments.truncation import claims, estimators, fair, published, timing, vanishing
from experiments.truncation.config import PRESETS, Config
from experiments.truncation.tasks import Trained, usual_corpus
from jaxrnn.cell_files import find_cell
from jaxrnn.data import Vocabulary
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.checking import members
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import read_json, write_json, writing
from jaxrnn.runs.loop import Diverged, Prepared, Setting, prepare, train_setting
from jaxrnn.runs.progress import warn
from jaxrnn.runs.report import print_claims
from jaxrnn.runs.session import Experiment, Session, training_command
from jaxrnn.runs.summary import curves, median_and_spread, training_seconds, write_summary
from jaxrnn.runs.text import read_corpus
from jaxrnn.training import Training

DIVERGED = "diverged.json"

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train", "trainings"]


def trainings(config: Config, devices: Devices = ()) -> list[Trained]:
    """All trainings of the config's parts, in the order in which they are done."""
    found = []
    if "published" in config.part:
        found += published.trainings(config, devices)
    if "fair" in config.part:
        found += fair.trainings(config, devices)
    if "estimators" in config.part:
        found.append(estimators.reference(config, devices))
    return found


def make_train(config: Config, devices: Devices = ()) -> Training:
    """The first training of a config; over several `devices` the batch is divided."""
    return trainings(_resolved(config), devices)[0].setting.training


def workload(config: Config) -> Workload:
    steps = max(config.num_steps, default=1)
    return Workload(config.seeds, config.batch_size, steps, config.hidden_size)


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    return [trained.setting for trained in _every(_resolved(config), devices)]


def _every(config: Config, devices: Devices) -> list[Trained]:
    """All trainings, once everything that is measured can be."""
    if not config.part:
        raise ValueError("--part names nothing; give at least one of its parts")
    find_cell(config.cell)
    if "speed" in config.part:
        timing.sizes(config)  # measured last: what cannot be is said before all trainings
    return trainings(config, devices)


def run(config: Config, session: Session) -> None:
    config = _resolved(config)
    session = replace(session, config=config)
    seeds = members(config.seed, config.seeds)
    built = replace(config, cell=session.cell(config.cell))
    # members of several seeds take the devices; a single one divides its batch over them
    every = _every(built, session.devices if config.seeds == 1 else ())
    prepared = [prepare(trained.setting, seeds, session.devices) for trained in every]
    models = [(trained.setting.name, trained.task.model) for trained in every]
    vocabularies = _vocabularies(every)
    first = next(iter(vocabularies.values()), None)
    directory = session.begin(models, seeds, _texts(config), first, vocabularies)
    for trained in every:
        variant = trained.variant
        session.explain(trained.setting.name, trained.task.model, variant.num_steps)
    for trained, setting in zip(every, prepared, strict=True):
        _train(directory, trained, setting, session)
    report(built, every, directory)


def _train(directory: RunDirectory, trained: Trained, setting: Prepared, session: Session) -> None:
    """A training whose loss is no number any more ends there, and the others go on without it."""
    if trained.setting.name in (ended := _diverged(directory)):
        return
    try:
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=_keep(directory, trained),
            record=session.record,
        )
    except Diverged as error:
        write_json(directory.path / DIVERGED, ended | {trained.setting.name: str(error)})
        warn(str(error))


def _diverged(directory: RunDirectory) -> dict[str, str]:
    """The names of the settings that diverged, and how."""
    path = directory.path / DIVERGED
    return read_json(path) if path.is_file() else {}


def _resolved(config: Config) -> Config:
    """With the corpus named, so that a run that is resumed reads what it began with."""
    return replace(config, corpus=config.corpus or usual_corpus())


def _texts(config: Config) -> dict[str, str]:
    """What the run reads."""
    if not {"published", "fair", "estimators"} & set(config.part):
        return {}
    return read_corpus(config.corpus).sha256


def _vocabularies(every: Sequence[Trained]) -> dict[str, Vocabulary]:
    """Of the words and of the characters, by the settings that read them."""
    found = {each.setting.name: each.task.vocabulary for each in every}
    return {name: own for name, own in found.items() if own is not None}


def _keep(directory: RunDirectory, trained: Trained):
    if trained.part == "reference":
        return lambda epoch, step, params: estimators.keep_stage(directory, epoch, params)
    return lambda epoch, step, params: None


def report(config: Config, every: Sequence[Trained], directory: RunDirectory) -> None:
    """Summary, tables and plots, from the run's log and what it measures once."""
    diverged = _diverged(directory)
    rows = [
        _row(trained, directory, diverged=trained.setting.name in diverged) for trained in every
    ]
    for row in rows:
        row["at_equal"] = dict.fromkeys(fair.BUDGETS)
    plots, reports = [], []

    def plot(name, draw, *arguments):
        path = directory.plots / f"{name}.png"
        with writing(path):
            draw(path, *arguments)
        plots.append(path)

    for part in ("toy", "text"):
        mine = [row for row in rows if row["part"] == part]
        ended = [i for i, row in enumerate(rows) if row["part"] == part and not row["diverged"]]
        spent = [fair.paths(directory, every[i]) for i in ended]
        for i, found in zip(ended, fair.at_equal(spent) if spent else [], strict=True):
            rows[i]["at_equal"] = found
        if mine:
            reports.append(partial(fair.report, config, part, mine))
        if ended:
            pairs = [(every[i], path) for i, path in zip(ended, spent, strict=True)]
            if part == "toy":
                plot("toy", fair.plot_toy, config, pairs)
            else:
                plot("text", fair.plot_text, pairs)
    grid = [row for row in rows if row["part"] == "published"]
    if grid:
        reports.append(partial(published.report, config, grid))
    if not all(row["diverged"] for row in grid):
        plot("published", published.plot, config, grid)
    measured = _measured(config, every, directory)
    if measured["estimators"]:
        reports.append(partial(estimators.report, measured["estimators"]))
        plot("estimators", estimators.plot, measured["estimators"])
        plot("stages", estimators.plot_stages, measured["estimators"])
    if measured["vanishing"]:
        reports.append(partial(vanishing.report, measured["vanishing"]))
        plot("vanishing", vanishing.plot, measured["vanishing"])
    if measured["speed"]:
        reports.append(partial(timing.report, measured["speed"]))
    held = claims.all_claims(config, rows, **measured)
    seconds = published.whole_grid_seconds(config, grid)
    results = {"styles": rows, "whole_grid_seconds": seconds, **measured}
    total = sum(row["seconds"] for row in rows)
    write_summary(directory, "truncation", config, results, held, total)
    for show in reports:
        show()
    print_claims(held)
    if seconds is not None:
        cells = len(published.all_cells(config))
        print(
            f"the whole grid: {cells} cells of {config.epochs} epochs and {config.seeds} seed(s), "
            f"about {seconds / 3600:.3g} h at the speed of these {len(grid)}"
        )
    print(f"summary {directory.summary}", *(f"plot {path}" for path in plots), sep="\n")


def _row(trained: Trained, directory: RunDirectory, *, diverged: bool) -> dict[str, Any]:
    """What is known of a training; of one that diverged, no loss."""
    name, variant = trained.setting.name, trained.variant
    trains, valid = (curves(directory, name, field) for field in ("loss", "valid_loss"))
    best = [None if diverged else float(valid[seed][:, 1].min()) for seed in trains]
    spread = None if diverged else median_and_spread([loss for loss in best if loss is not None])
    updates = int(max(rows[-1, 0] for rows in trains.values()))
    return {
        "part": trained.part,
        "name": name,
        "label": variant.label,
        "style": variant.style,
        "window": variant.window,
        "stride": variant.stride,
        "num_steps": variant.num_steps,
        "history": variant.history,
        "learning_rate": trained.setting.learning_rate,
        "seeds": list(trains),
        "diverged": diverged,
        "valid_loss": spread and spread["median"],
        "valid_loss_per_seed": best,
        "turned": not diverged
        and all(int(rows[:, 1].argmin()) < len(rows) - 1 for rows in valid.values()),
        "spread": spread,
        "updates": updates,
        "targets": updates * trained.targets_per_update,
        "seconds": training_seconds(directory, name),
        "seconds_per_update": fair.seconds_per_update(directory, name),
    }


def _measured(
    config: Config, every: Sequence[Trained], directory: RunDirectory
) -> dict[str, list[dict[str, Any]]]:
    """What is measured after training: once, and then read again, since a clock does not repeat."""
    path = directory.path / "measured.json"
    if path.is_file():
        return read_json(path)
    found: dict[str, list[dict[str, Any]]] = {"estimators": [], "vanishing": [], "speed": []}
    for trained in every:
        if trained.part == "reference" and trained.setting.name not in _diverged(directory):
            stages = estimators.stages(directory, config, trained)
            variants = estimators.compared(config)
            found["estimators"] = estimators.measure(config, trained.task, variants, stages)
    if "vanishing" in config.part:
        found["vanishing"] = vanishing.measure(config)
    if "speed" in config.part:
        found["speed"] = timing.measure(config)
    write_json(path, found)
    return found


EXPERIMENT = Experiment("truncation", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    return training_command(EXPERIMENT, argv)
