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

import jax.numpy as jnp
from tyro.conf import arg

from experiments.memorization.config import PRESETS, Config, read_text, settings
from experiments.memorization.phases import phased_training
from experiments.memorization.showing import losses_plot, show, trained_in
from jaxrnn import runs
from jaxrnn.base import require_positive
from jaxrnn.interop import model_from_keras
from jaxrnn.interop.files import load_keras
from jaxrnn.models import build_model
from jaxrnn.parallel import Devices
from jaxrnn.runs.command import run_command
from jaxrnn.runs.config import config_of
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.flags import recorded_config
from jaxrnn.runs.report import print_report, write_pictures


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    """Of one cell. `devices` take members, never parts of one: a batch of one or two is nothing to
    divide."""
    text = read_text(config)
    require_positive(embedding_size=config.model.embedding_size)
    # the first weights of Keras are drawn by the phases
    model = runs.token_model(replace(config.model, init="default"), text.vocabulary.size)
    training = phased_training(config, build_model(model, training=True), jnp.asarray(text.train))
    rate, ends = config.optimizer.learning_rate, range(1, training.steps_per_epoch + 1)
    setting = runs.Setting(model, training, rate, config.loop.epochs, log_ends=ends, divides=False)
    return setting._replace(vocabulary=text.vocabulary, texts=text.sha256)


def report(config: Config, log: runs.RunLog) -> runs.Report:
    shown = show(config, trained_in(config, log), read_text(config))
    return shown._replace(plots={**shown.plots, "learning_curves": losses_plot(config, log)})


@dataclass(frozen=True)
class Flags:
    """What to show without training."""

    source: Annotated[Path, arg(name="from")]
    """The directory of a run, or a file with the weights of the notebook's model in Keras (.h5 or
    .keras)."""
    out: Path | None = None
    """Where plots and arrays go; the run itself, or beside the file, if not given."""


EXPERIMENT = runs.Experiment("memorization", __doc__, PRESETS, settings, build, report)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(argument.partition("=")[0] == "--from" for argument in arguments):
        name = "experiments.memorization"
        return run_command(name, Flags, _show_trained, description=__doc__, argv=arguments)
    return EXPERIMENT.main(arguments)


def _show_trained(flags: Flags) -> None:
    source = flags.source
    if source.suffix in (".h5", ".hdf5", ".keras") and not source.is_dir():
        config, out = Config(), source.parent / source.name.partition(".")[0]
        try:
            layers = load_keras(source)
            model, params = model_from_keras(layers, read_text(config).vocabulary.size)
        except (ValueError, ImportError) as error:
            raise ValueError(f"--from {source}: {error}") from error
        models = [(model.cell, None, build_model(model), params)]
    else:
        config, out = config_of(Config, recorded_config(EXPERIMENT, source, "--from")), source
        models = trained_in(config, runs.RunLog(open_run(source)))
    shown = show(config, models, read_text(config))
    written = write_pictures(shown, flags.out or out)
    print_report(shown)
    print(*written, sep="\n")
