"""Word model: learn which word follows, on three books about Sherlock Holmes.

Question:  What does a recurrent network make of words that n-grams do not, what is learnt from a
           few candidates instead of the whole vocabulary, and what does saturation do to it? After
           Pat Coady's model, https://pat-coady.github.io/rnn (2017).
Command:   python -m experiments.word --preset quick
Expected:  validation loss near 5.04 nats per word, where words by their frequency alone have 6.14
           and a bigram 5.32; `--preset best` ends at 4.75
Run time:  about 1.5 minutes on two CPU cores, `--preset best` about 6

Without a preset it is the published training, 75 epochs of noise-contrastive estimation;
`--study saturation` alone is the preset of that name.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from experiments.word.config import PRESETS, Config
from experiments.word.results import report
from experiments.word.samples import make_sampler
from experiments.word.study import each_setting
from experiments.word.training import make_model, make_train, make_validate, words_of
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.checking import members
from jaxrnn.runs.loop import Setting, prepare, train_setting
from jaxrnn.runs.session import Experiment, Session, training_command

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train", "make_validate", "replace"]


def workload(config: Config) -> Workload:
    return Workload(config.seeds, config.batch_size, config.num_steps, config.hidden_size)


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    """Of one model, or of each setting of a study."""
    if not 0 <= config.sample_length <= 100_000:
        raise ValueError(f"--sample-length is {config.sample_length}; give 0 to 100,000")
    return [
        Setting(
            name=name,
            training=make_train(part, devices),
            validate=make_validate(part),
            learning_rate=part.learning_rate,
            epochs=part.epochs,
            log_ends=(),  # a chunk is as long as a line
        )
        for name, part in each_setting(config).items()
    ]


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    # members of several seeds take the devices; a single one divides its batch over them
    devices = session.devices if config.seeds == 1 else ()
    text = words_of(config)
    built = replace(config, cell=session.cell(config.cell))
    parts = each_setting(built)
    prepared = {
        setting.name: prepare(setting, seeds, session.devices) for setting in build(built, devices)
    }
    models = {name: make_model(part, text.vocabulary) for name, part in parts.items()}
    directory = session.begin([*models.items()], seeds, text.sha256, text.vocabulary)
    for name, part in parts.items():
        session.explain(name, models[name], part.num_steps)
        train_setting(
            directory,
            prepared[name],
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=make_sampler(part, directory, f"{name}_" if len(parts) > 1 else ""),
            record=session.record,
        )
    report(config, parts, models, directory)


EXPERIMENT = Experiment("word", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    return training_command(EXPERIMENT, from_its_preset(sys.argv[1:] if argv is None else argv))


def from_its_preset(argv: Sequence[str]) -> list[str]:
    """A study changes the preset of its name, where the command line names no other."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--study", "--preset", "--resume"):
        parser.add_argument(flag, nargs="?")
    given, _ = parser.parse_known_args(argv)
    if given.study in PRESETS and given.preset is None and given.resume is None:
        return ["--preset", given.study, *argv]
    return list(argv)
