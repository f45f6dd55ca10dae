"""Memorization: what small networks keep of a paragraph, and what their predictions depend on.

Question:  How well do an LSTM and an Elman network of 16 units learn a text of 1,069 characters by
           heart, and how far back do their predictions look? After the notebook `exploring_rnn` of
           OpenSUTD's machine learning workshop.
Command:   python -m experiments.memorization
Expected:  the LSTM predicts 92 % of the characters in the median of seeds 0 to 3 (88 to 95 % of
           seeds 0 to 4), the Elman network about 63 %; the LSTM's mean lag is clearly the larger
           one. `--init published` begins with Keras's weights and comes to less in most seeds (84
           to 95 % of 14, the notebook's one run 92.6 %)
Run time:  about 2 minutes on two CPU cores; `--from RUN`, or `--from FILE` with weights of the
           notebook's own model in Keras, shows a trained one without training (`--from RUN --help`)
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from experiments.memorization.claims import LOSSES, all_claims
from experiments.memorization.config import PRESETS, Config, Text, cells, make_model, read_text
from experiments.memorization.phases import phased_training
from experiments.memorization.showing import plot_losses, setting_of, show
from experiments.memorization.weights import ENDINGS, trained_by_keras, trained_in
from jaxrnn.base import require_positive
from jaxrnn.models import build_model
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.checking import members
from jaxrnn.runs.command import guarded, parse
from jaxrnn.runs.config import from_plain
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.loop import Setting, prepare, train_setting
from jaxrnn.runs.records import read_record
from jaxrnn.runs.report import print_claims
from jaxrnn.runs.session import Experiment, Session, training_command
from jaxrnn.runs.summary import training_seconds, write_summary
from jaxrnn.training import Training

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train"]


def make_train(config: Config, devices: Devices = ()) -> Training:
    """The training of the config's first cell. `devices` take members, never parts of one."""
    return _training(config, cells(config)[0], read_text(config))


def _training(config: Config, cell: str, text: Text) -> Training:
    require_positive(embedding_size=config.embedding_size)
    model = build_model(make_model(config, cell, text.vocabulary.size), training=True)
    return phased_training(config, model, text.tokens)


def workload(config: Config) -> Workload:
    return Workload(config.seeds, max(config.batch_size), config.window, config.hidden_size)


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    """Of each cell. `devices` take members, never parts of one."""
    text, settings = read_text(config), []
    for cell in cells(config):
        training = _training(config, cell, text)
        setting = Setting(
            name=setting_of(cell),
            training=training,
            validate=lambda params: {},
            learning_rate=config.learning_rate[0],
            epochs=1,  # a training step of this run is an epoch of the text
            log_ends=range(1, training.steps_per_epoch + 1),
        )
        settings.append(setting)
    return settings


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    text = read_text(config)
    # a batch of one or two is nothing to divide
    devices = session.devices if config.seeds > 1 else session.devices[:1]
    built = replace(config, cell=session.cell(config.cell) if config.cell else "")
    settings = build(built)
    prepared = [prepare(setting, seeds, devices) for setting in settings]
    models = [
        (setting.name, make_model(config, cell, text.vocabulary.size))
        for setting, cell in zip(settings, cells(built), strict=True)
    ]
    directory = session.begin(models, seeds, text.sha256, text.vocabulary)
    for setting in prepared:
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=lambda epoch, step, params: None,
            record=session.record,
        )
    names = [name for name, _ in models]
    results = show(config, trained_in(directory.path, config), text, directory.path)
    plot_losses(config, directory, names, LOSSES)
    claims = all_claims(config, results)
    seconds = sum(training_seconds(directory, name) for name in names)
    write_summary(directory, "memorization", config, results, claims, seconds)
    print_claims(claims)
    print(f"summary {directory.summary}")


EXPERIMENT = Experiment("memorization", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(argument.partition("=")[0] == "--from" for argument in arguments):
        return guarded(lambda: _show_trained(arguments))
    return training_command(EXPERIMENT, arguments)


def _show_trained(arguments: list[str]) -> None:
    from tyro.conf import arg

    @dataclass(frozen=True)
    class Flags:
        source: Annotated[Path, arg(name="from")]
        """What to show, without training: the directory of a run, or a file with the weights of
        the notebook's model in Keras (.h5 or .keras)."""
        out: Path | None = None
        """Where plots and arrays go; the run itself, or beside the file, if not given."""

    flags = parse(
        Flags,
        prog="python -m experiments.memorization",
        description=__doc__ or "",
        argv=arguments,
    )
    source = flags.source
    if source.suffix in ENDINGS and not source.is_dir():
        config = Config()
        text = read_text(config)
        models = [trained_by_keras(source, text.vocabulary.size)]
        out = source.parent / source.name.partition(".")[0]
    else:
        record = read_record(open_run(source))
        if record.get("experiment") != "memorization":
            raise ValueError(
                f"--from {source} is a run of {record.get('experiment')!r}; give one of this"
            )
        config = from_plain(Config, record["config"])
        text = read_text(config)
        models, out = trained_in(source, config), source
    results = show(config, models, text, flags.out or out)
    print_claims(all_claims(config, results))
