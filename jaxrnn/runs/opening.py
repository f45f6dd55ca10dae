"""The directory of a run that begins, or goes on: what it is made of, written and held against what
it was."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.cell_neighbours import code_sha256
from jaxrnn.data import Vocabulary
from jaxrnn.parallel import Devices
from jaxrnn.runs.beside import check_beside
from jaxrnn.runs.cell_code import check_code, keep_code, kept_in, trust
from jaxrnn.runs.config import record_of, to_plain
from jaxrnn.runs.directory import RunDirectory, create_run, open_run, refuse_links_out
from jaxrnn.runs.environment import describe_environment, recorded_texts
from jaxrnn.runs.experiment import Experiment, Setting
from jaxrnn.runs.files import remove_leftovers, write_json
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.lock import lock_run
from jaxrnn.runs.places import GIVEN_BY, code_of, renamed
from jaxrnn.runs.records import read_vocabulary_file
from jaxrnn.runs.sampling import check_samples


def open_directory(
    experiment: Experiment,
    config: Any,
    flags: TrainingFlags,
    settings: Sequence[Setting],
    parts: Sequence[Any],
    seeds: Sequence[int],
    devices: Devices,
    *,
    begun_before: bool = False,
) -> RunDirectory:
    """The run directory, ready to train in; what makes the run is in it.

    Args:
      parts: the config of each setting.
      begun_before: as in `create_run`, of a run that is not resumed.

    Raises:
      FileExistsError: a new run whose directory exists.
      ValueError: a resumed run whose texts, or their symbols, are not what they were.
    """
    resumed = flags.resume is not None
    run = open_run(flags.path) if resumed else create_run(flags.path, begun_before=begun_before)
    if resumed:
        refuse_links_out(run.path)
        if run.environment.exists() or run.checkpoints.exists():  # else the run begins now
            check_texts(run, settings, "--resume")
    lock_run(run.path)
    if resumed or begun_before:
        remove_leftovers(run.path)
    if resumed:
        check_beside(run)
        check_samples(run)
        if run.tensorboard.is_dir():
            from jaxrnn.runs.tensorboard.events import check_events

            check_events(run.tensorboard)
    record = {
        "experiment": experiment.name,
        "config": record_of(config),
        "settings": [
            {"name": each.name, "model": to_plain(each.model), "flags": _own(config, part)}
            for each, part in zip(settings, parts, strict=True)
        ],
        "seeds": list(seeds),
    }
    if flags.tensorboard:
        run.tensorboard.mkdir(exist_ok=True)  # by which a resume knows that there is one
    # the config before all else: with it alone a killed run can already be resumed
    write_json(run.config, record)
    # also one that no setting trains, and only what is measured reads
    for kind, name in code_of(config):
        kept, source = kept_in(run, kind), cell_file(name)
        if source is not None and not kept.exists():
            keep_code(kept, source)
    first, *_ = [each.vocabulary for each in settings if each.vocabulary is not None] or [None]
    for setting in settings:
        if setting.vocabulary is not None:
            own = setting.vocabulary != first
            path = run.own_vocabulary(setting.name) if own else run.vocabulary
            _keep(run, path, setting.vocabulary)
    if not run.environment.exists():
        found = describe_environment(_texts(settings), len(devices), experiment.source)
        write_json(run.environment, found)
    return run


def _own(config: Any, part: Any) -> dict[str, Any]:
    """The numbers of a setting where the config has one to each setting."""
    whole = record_of(config)
    return {
        name: value[0]
        for name, value in record_of(part).items()
        if isinstance(value, list) and len(value) == 1 < len(whole[name])
        if isinstance(value[0], int | float)
    }


def with_stored_code(config: Any, flags: TrainingFlags) -> Any:
    """The config with the cells and tasks to build from: a resumed run keeps the source that it
    began with.

    Raises:
      ValueError: the researcher's file is not what it was when the run began, or is not to be run.
    """
    for kind, name in code_of(config):
        _check_code(kind, name, flags)
    return config if flags.resume is None else with_code_of(open_run(flags.resume), config)


def with_code_of(run: RunDirectory, config: Any) -> Any:
    """The config with a researcher's cells and tasks from the source that the run keeps of them."""

    def stored(kind: str, name: str) -> str:
        kept = kept_in(run, kind)
        # where it is not there the run was killed before it kept its source
        theirs = cell_file(name) is not None and kept.is_file()
        return f"{kept}:{cell_name(name)}" if theirs else name

    return renamed(config, stored)


def _check_code(kind: str, name: str, flags: TrainingFlags) -> None:
    """Before a researcher's code is run."""
    source = cell_file(name)
    assert source is not None
    if flags.resume is None:
        if flags.no_cell_code:
            raise ValueError(
                f"--no-cell-code: {GIVEN_BY[kind]} {name} is code; give a known {kind}"
            )
        if source.is_file():
            trust(source)  # whoever names it does
        return
    run = open_run(flags.resume)
    kept = kept_in(run, kind)
    code = kept if kept.is_file() else source
    check_code(run, code, trusted=flags.trust, known_only=flags.no_cell_code)
    if code is not source and source.is_file() and code_sha256(source) != code_sha256(code):
        raise ValueError(
            f"--resume {flags.resume}: the {kind} in {source} is not the one the run began with, "
            f"{code}; restore it, or start a new run"
        )


def _keep(run: RunDirectory, path: Path, vocabulary: Vocabulary) -> None:
    """Raises: ValueError, a resumed run that divided its text in another way."""
    path.parent.mkdir(exist_ok=True)
    if path.is_file():
        if read_vocabulary_file(path).symbols != vocabulary.symbols:
            raise ValueError(
                f"--resume {run.path}: the run began with other symbols of its text, those "
                f"of {path}; resume it with the version that it was made with, or start a new run"
            )
        return
    write_json(path, vocabulary.to_json())


def check_texts(run: RunDirectory, settings: Sequence[Setting], flag: str) -> None:
    """Raises: ValueError, which names `flag`: the settings read other texts than the run did."""
    recorded, texts = recorded_texts(run.path), _texts(settings)
    if sorted(recorded.values()) == sorted(texts.values()):
        return  # the same texts, wherever they are
    for name in {**recorded, **texts}:
        if recorded.get(name) != texts.get(name):
            raise ValueError(
                f"{flag} {run.path}: the text {name} is not the one the run began with "
                f"(sha256 {texts.get(name)}, then {recorded.get(name)}); "
                "restore it, or start a new run"
            )


def _texts(settings: Sequence[Setting]) -> dict[str, str]:
    return {name: sha256 for setting in settings for name, sha256 in setting.texts.items()}
