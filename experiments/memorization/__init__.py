"""Memorization: what small networks keep of a paragraph, and what their predictions depend on.

Question:  How well do an LSTM and an Elman network of 16 units learn a text of 1,069 characters by
           heart, and how far back do their predictions look? After the notebook `exploring_rnn` of
           OpenSUTD's machine learning workshop.
Command:   python -m experiments.memorization
Expected:  the LSTM predicts at least 92 % of the characters, the Elman network about 63 %; the
           LSTM's mean lag is clearly the larger one
Run time:  minutes on two CPU cores; `--from RUN` shows a trained run without training
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from experiments.memorization.claims import all_claims
from experiments.memorization.config import PRESETS, Config, cells, make_model, read_text
from experiments.memorization.phases import phased_training
from experiments.memorization.seeing import FIRST, LENGTH, Seen, memory_of, places_in, see
from jaxrnn.analysis.arrays import write_arrays
from jaxrnn.analysis.plots import TextRow, scaled, text_rows
from jaxrnn.base import require_positive
from jaxrnn.data import Vocabulary
from jaxrnn.models import build_model, count_parameters
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.command import guarded, parse
from jaxrnn.runs.config import from_plain
from jaxrnn.runs.directory import RunDirectory, open_run
from jaxrnn.runs.files import read_json, writing
from jaxrnn.runs.load import load
from jaxrnn.runs.loop import Setting, prepare, train_setting
from jaxrnn.runs.report import print_claims, print_table
from jaxrnn.runs.session import Experiment, Session, members, training_command
from jaxrnn.runs.summary import median_and_spread, training_seconds, write_summary
from jaxrnn.training import Training

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train"]


def make_train(config: Config, devices: Devices = ()) -> Training:
    """The training of the config's first cell. `devices` take members, never parts of one."""
    return _training(config, cells(config)[0])


def _training(config: Config, cell: str) -> Training:
    require_positive(embedding_size=config.embedding_size)
    text, vocabulary, _ = read_text(config)
    model = build_model(make_model(config, cell, vocabulary.size), training=True)
    return phased_training(config, model, jnp.asarray(vocabulary.encode(text)))


def workload(config: Config) -> Workload:
    return Workload(config.seeds, max(config.batch_size), config.window, config.hidden_size)


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    text, vocabulary, checksums = read_text(config)
    devices = session.devices if config.seeds > 1 else session.devices[:1]
    models, prepared = [], []
    for name in cells(config):
        cell = session.cell(name)
        training = _training(config, cell)
        setting = Setting(
            name=_setting(name),
            training=training,
            validate=lambda params: {},
            learning_rate=config.learning_rate[0],
            epochs=1,
            log_ends=range(1, training.steps_per_epoch + 1),
        )
        models.append((setting.name, make_model(config, cell, vocabulary.size)))
        prepared.append(prepare(setting, seeds, devices))
    directory = session.begin(models, seeds, checksums, vocabulary)
    for setting in prepared:
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=lambda epoch, step, params: None,
        )
    results = show(config, directory, directory.path, text, vocabulary)
    claims = all_claims(config, results)
    print_claims(claims)
    seconds = sum(training_seconds(directory, setting.setting.name) for setting in prepared)
    write_summary(directory, "memorization", config, results, claims, seconds)
    print(f"summary {directory.summary}")


def _setting(cell: str) -> str:
    """A name for a directory, also of path/to/file.py:factory."""
    return cell.rpartition(":")[2]


def show(
    config: Config, directory: RunDirectory, out: Path, text: str, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """Measures every member of a trained run, prints a table, and writes plots and arrays of the
    first seed of each cell below `out`."""
    tokens = jnp.asarray(vocabulary.encode(text))
    count = len(tokens) - config.window
    seeds = members(config.seed, config.seeds)
    results, files = [], []
    for number, name in enumerate(cells(config)):
        kept = Seen(jnp.zeros(()), jnp.zeros(()), jnp.zeros((0, 0)), {})
        measure = None
        for k, seed in enumerate(seeds):
            cell, params, _, _ = load(directory.path, number * len(seeds) + k, which="last")
            if measure is None:
                measure = jax.jit(lambda params, cell=cell: see(config, cell, params, tokens))
            seen = jax.device_get(measure(params))
            kept = seen if k == 0 else kept
            results.append(
                {
                    "cell": name,
                    "seed": seed,
                    "loss": float(seen.loss),
                    "accuracy": float(seen.accuracy),
                    "parameters": count_parameters(params),
                    **memory_of(seen.lags, count),
                }
            )
        files += _write(config, out, _setting(name), kept, text)
    _print(results, cells(config))
    print(*(f"wrote {path}" for path in files), sep="\n")
    return results


def _write(config: Config, out: Path, name: str, seen: Seen, text: str) -> list[Path]:
    window = config.window
    rows = [
        TextRow(
            f"{place} → {text[place + window]}",
            text[place : place + window],
            scaled(seen.lags[i][::-1]),
        )
        for i, place in enumerate(places_in(len(text) - window))
    ]
    # a value stands under the character that its window ends with; in the notebook under the next
    start = min(FIRST, len(text) - window - 1) + window - 1
    read = text[start : start + LENGTH]
    units = [
        TextRow(f"{leaf}² {unit}", read[: len(values)], scaled(values[:, unit]))
        for leaf, values in seen.activations.items()
        for unit in range(values.shape[1])
    ]
    paths = {
        out / "plots" / f"connectivity_{name}.png": rows,
        out / "plots" / f"activations_{name}.png": units,
    }
    for path, drawn in paths.items():
        with writing(path):
            text_rows(path, drawn)
    arrays = out / f"{name}.npz"
    with writing(arrays):
        write_arrays(arrays, {"connectivity": seen.lags, "activations": seen.activations})
    return [*paths, arrays]


def _print(results: list[dict[str, Any]], names: Sequence[str]) -> None:
    columns = ("loss", "accuracy", "mean_lag", "half_life", "share_beyond_16")
    rows = []
    for name in names:
        mine = [row for row in results if row["cell"] == name]
        for column in columns:
            spread = median_and_spread([row[column] for row in mine])
            numbers = (f"{spread[key]:.4f}" for key in ("median", "min", "max"))
            rows.append([name, mine[0]["parameters"], len(mine), column, *numbers])
    print_table(
        ["cell", "parameters", "seeds", "of", "median", "lowest", "highest"],
        rows,
        title="loss in nats; lags in characters",
    )


EXPERIMENT = Experiment("memorization", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not any(argument.partition("=")[0] == "--from" for argument in arguments):
        return training_command(EXPERIMENT, arguments)
    return guarded(lambda: _show_run(arguments))


def _show_run(arguments: list[str]) -> None:
    from tyro.conf import arg

    @dataclass(frozen=True)
    class Flags:
        source: Annotated[Path, arg(name="from")]
        """Directory of the run to show, without training."""
        out: Path | None = None
        """Where plots and arrays go; the run itself if not given."""

    flags = parse(
        Flags,
        prog="python -m experiments.memorization",
        description=__doc__ or "",
        argv=arguments,
    )
    directory = open_run(flags.source)
    experiment = read_json(directory.config).get("experiment")
    if experiment != "memorization":
        raise ValueError(f"--from {flags.source} is a run of {experiment!r}; give one of this")
    config = from_plain(Config, read_json(directory.config)["config"])
    text, vocabulary, _ = read_text(config)
    show(config, directory, flags.out or directory.path, text, vocabulary)
