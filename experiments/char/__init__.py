"""Character model: learn a text one character at a time, and write more of it.

Question:  How well does a stack of recurrent layers predict the next character of a text, and
           which cell does it best? After R2RT, "Recurrent Neural Networks in Tensorflow II" (2016).
Command:   python -m experiments.char --epochs 3
Expected:  training loss of epoch 3 below 3.20 nats per character; 3.28 were published for
           `--init published`. `--preset quick` writes words and lines: validation near 1.58 nats.
           `--preset cells`, the post's comparison: layer-norm LSTM, then GRU, then LSTM, where
           1.72, 1.75 and 2.03 were published. With `--init default` all learn sooner, the GRU most.
           `--preset best` aims below 1.47 nats on validation, a transformer's of 10.7 million
Run time:  about 1 minute on two CPU cores; `--preset quick` about 1.5, `--preset cells` about 20,
           `--preset best` below 60
"""

from collections.abc import Sequence
from dataclasses import replace

from experiments.char.config import PRESETS, Config, each_setting, name_of
from experiments.char.results import report
from experiments.char.samples import make_sampler, write_as_published
from experiments.char.training import (
    characters,
    make_dynamic,
    make_model,
    make_train,
    make_validate,
)
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.checking import members
from jaxrnn.runs.loop import Setting, prepare, train_setting
from jaxrnn.runs.session import Experiment, Session, training_command

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train", "make_validate", "replace"]


def workload(config: Config) -> Workload:
    return Workload(config.seeds, config.batch_size, config.num_steps, config.hidden_size)


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    """Of one model, or of one of each cell."""
    if not 0 <= config.sample_length <= 100_000:
        raise ValueError(f"--sample-length is {config.sample_length}; give 0 to 100,000")
    if config.dynamic_rate:
        make_dynamic(each_setting(config)[0])  # what cannot be said before all training
    return [
        Setting(
            name=name_of(part) if config.cells else "char",
            training=make_train(part, devices),
            validate=make_validate(part),
            learning_rate=part.learning_rate,
            epochs=part.epochs,
            log_ends=(),  # a chunk is as long as a line
        )
        for part in each_setting(config)
    ]


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    # members of several seeds take the devices; a single one divides its batch over them
    devices = session.devices if config.seeds == 1 else ()
    cells = tuple(session.cell(cell) for cell in config.cells)
    built = replace(config, cell=session.cell(config.cell), cells=cells)
    settings, parts = build(built, devices), each_setting(built)
    prepared = [prepare(setting, seeds, session.devices) for setting in settings]
    names, text = [setting.name for setting in settings], characters(config)
    models = [
        (name, make_model(part, text.vocabulary)) for name, part in zip(names, parts, strict=True)
    ]
    dynamic = {
        name: make_dynamic(part)
        for name, part in zip(names, parts, strict=True)
        if part.dynamic_rate
    }
    directory = session.begin(models, seeds, text.sha256, text.vocabulary)
    for name, model in models:
        session.explain(name, model, config.num_steps)
    for name, part, setting in zip(names, parts, prepared, strict=True):
        prefix = f"{name}_" if config.cells else ""
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=make_sampler(part, directory, prefix),
            record=session.record,
        )
        if config.cells and config.sample_length:
            write_as_published(config, directory, name)
    report(config, models, directory, dynamic)


EXPERIMENT = Experiment("char", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    return training_command(EXPERIMENT, argv)
