"""Baselines: n-grams by counting, by a feed-forward network, by recurrent ones, on the same text.

Question:  What is a recurrent network worth beside what counting gives for nothing, on the same
           text and split, with as many parameters or as long a training? And how much of what each
           writes is copied? After iconix, OpenAI Scholar weeks 1 and 2 (2018).
Command:   python -m experiments.baselines --preset quick
Expected:  nats per held-out character of Shakespeare: 1.669 by the best n-gram (context 4), near
           1.58 by a GRU of 150,000 parameters, 1.63 by a plain network, 1.67 by a feed-forward one,
           1.68 by an LSTM. Of what an n-gram of context 10 writes half the 20-character stretches
           are copied, of context 16 all; of a network's one in a hundred
Run time:  about 6 minutes on two CPU cores
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.baselines.config import PRESETS, Config, Part, parts
from experiments.baselines.counting import check, counted, known_figures
from experiments.baselines.networks import (
    Network,
    measured_seconds,
    network,
    size_by_parameters,
    size_by_seconds,
)
from experiments.baselines.results import held_out_row, network_row, per_character, report
from experiments.baselines.samples import (
    keep,
    say_other_prompt,
    with_copies,
    written_by_counts,
    written_by_network,
)
from jaxrnn.cell_files import cell_name, check_cells
from jaxrnn.parallel import Devices, Workload
from jaxrnn.runs.checking import members
from jaxrnn.runs.directory import RunDirectory, open_run
from jaxrnn.runs.files import read_json, write_json
from jaxrnn.runs.interrupt import Interrupted
from jaxrnn.runs.loop import Setting, prepare, train_setting
from jaxrnn.runs.session import Experiment, Session, training_command
from jaxrnn.runs.text import Text, read_text
from jaxrnn.training import Training

COUNTED = "counted.json"

__all__ = ["EXPERIMENT", "PRESETS", "Config", "main", "make_train"]


def text_of(config: Config, part: Part) -> Text:
    """The corpus at the part's level, the symbols of both its parts in the vocabulary: no event is
    unknown, to none of the models."""
    text = read_text(config.corpus, part.level, valid_fraction=config.valid_fraction)
    if len(text.valid) < 2:
        raise ValueError(
            f"--valid-fraction is {config.valid_fraction}, which holds out {len(text.valid)} of "
            f"the {part.level}s; give more, or a longer text"
        )
    return text


def make_train(config: Config, devices: Devices = ()) -> Training:
    """The training of a config's first network; over several `devices` the batch is divided."""
    part = parts(config)[0]
    text, cell = text_of(config, part), config.cells[0]
    size = _size(config, part, text, cell, range(1), devices)
    return network(config, part, text, cell, size, devices).setting.training


def _size(
    config: Config,
    part: Part,
    text: Text,
    cell: str,
    seeds: Sequence[int],
    devices: Devices,
) -> int:
    """The hidden size of a network, by what all of them share."""
    if config.equal == "parameters":
        return size_by_parameters(config, part, text, cell)
    if config.equal == "seconds":
        batch_over = devices if len(seeds) == 1 else ()

        def seconds(size):
            one = network(config, part, text, cell, size, batch_over)
            return measured_seconds(one, seeds, devices)

        return size_by_seconds(part, cell, seconds)
    return part.hidden_size


def workload(config: Config) -> Workload:
    return Workload(config.seeds, config.batch_size, config.num_steps, config.hidden_size)


def build(config: Config, devices: Devices = ()) -> list[Setting]:
    texts = _texts(config)
    return [each.setting for each in _networks(config, texts, devices, {})]


def run(config: Config, session: Session) -> None:
    seeds = members(config.seed, config.seeds)
    every, texts = parts(config), _texts(config)
    built = replace(config, cells=tuple(map(session.cell, config.cells)))
    networks = _networks(built, texts, session.devices, _recorded_sizes(session))
    prepared = [prepare(each.setting, seeds, session.devices) for each in networks]
    first = texts[every[0].level]
    for level, text in texts.items():
        say_other_prompt(config, level, text.vocabulary)
    directory = session.begin(
        [(each.name, each.model) for each in networks],
        seeds,
        first.sha256,
        first.vocabulary,
        {each.name: texts[each.part.level].vocabulary for each in networks},
    )
    for each in networks:
        session.explain(each.name, each.model, each.part.num_steps)
    for setting in prepared:
        train_setting(
            directory,
            setting,
            checkpoint_seconds=session.flags.checkpoint_seconds,
            at_epoch_end=lambda epoch, step, params: None,
            record=session.record,
        )
    found = _counted(config, session, every, texts, directory)
    rows = []
    for part in every:
        mine = [each for each in networks if each.part == part]
        rows += _rows(config, part, texts[part.level], found[part.level], mine, directory)
    report(config, rows, found["known"], directory)


def _texts(config: Config) -> dict[str, Text]:
    """The corpus at each level, once everything that is counted and compared can be."""
    every = parts(config)
    check_cells(config.cells)
    for part in every:
        check(part)
    return {part.level: text_of(config, part) for part in every}


def _networks(
    config: Config, texts: dict[str, Text], devices: Devices, recorded: dict[str, int]
) -> list[Network]:
    """A network of each cell at each level, with the hidden size that a resumed run has already."""
    seeds = members(config.seed, config.seeds)
    # members of several seeds take the devices; a single one divides its batch over them
    batch_over, found = devices if config.seeds == 1 else (), []
    for part in parts(config):
        for cell in config.cells:
            text, name = texts[part.level], f"{part.level}_{cell_name(cell)}"
            size = recorded.get(name) or _size(config, part, text, cell, seeds, devices)
            found.append(network(config, part, text, cell, size, batch_over))
    return found


def _rows(
    config: Config,
    part: Part,
    text: Text,
    counted: Sequence[dict[str, Any]],
    networks: Sequence[Network],
    directory: RunDirectory,
) -> list[dict[str, Any]]:
    """Of one level the n-grams, the networks and the held-out text; what they write is kept."""
    lines = [each["row"] for each in counted]
    lines += [network_row(directory, each) for each in networks]
    samples = [each["samples"] for each in counted]
    samples += [written_by_network(config, part, text, directory, each.name) for each in networks]
    for line, each in zip(lines, samples, strict=True):
        keep(directory, part.level, line["model"], each)
    lines = [*with_copies(text, lines, samples), held_out_row(part, text)]
    return per_character(config, part, text, lines)


def _recorded_sizes(session: Session) -> dict[str, int]:
    """The hidden sizes that a resumed run began with: a clock does not find the same ones twice."""
    if session.flags.resume is None:
        return {}
    settings = read_json(open_run(Path(session.flags.resume)).config)["settings"]
    return {each["name"]: each["model"]["hidden_size"] for each in settings}


def _counted(
    config: Config,
    session: Session,
    every: Sequence[Part],
    texts: dict[str, Text],
    directory: RunDirectory,
) -> dict[str, Any]:
    """The rows and samples of the n-grams, by level, and the known figures: counted once and then
    read again, since a clock does not repeat."""
    path = directory.path / COUNTED
    if path.is_file():
        return read_json(path)
    found: dict[str, Any] = {}
    for part in every:
        text, found[part.level] = texts[part.level], []
        for one in counted(part, text):
            if session.asked.requested:
                raise Interrupted("stopped while counting")
            each = one()
            samples = written_by_counts(config, part, text, each.model)
            found[part.level].append({"row": each.row(), "samples": samples})
            print(f"{part.level}s, {each.name}  {each.seconds:.1f} s", flush=True)
    found["known"] = known_figures(config)
    write_json(path, found)
    return found


EXPERIMENT = Experiment("baselines", __doc__, PRESETS, workload, run)


def main(argv: Sequence[str] | None = None) -> int:
    return training_command(EXPERIMENT, argv)
