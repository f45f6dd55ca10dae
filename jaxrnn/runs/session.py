"""A training command: flags, devices, and the run directory that a session begins or resumes."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.cell_files import cell_file
from jaxrnn.cell_neighbours import code_sha256
from jaxrnn.data import Vocabulary
from jaxrnn.models import TokenModel, build_model
from jaxrnn.parallel import Devices, Workload, choose_devices
from jaxrnn.runs.allocator import keep_pages
from jaxrnn.runs.bound import check_run
from jaxrnn.runs.cell_code import check_code, keep_cell, trust
from jaxrnn.runs.checking import check_numbers
from jaxrnn.runs.command import guarded, one_line, parse
from jaxrnn.runs.config import changed, from_plain, to_plain
from jaxrnn.runs.directory import (
    RunDirectory,
    create_run,
    default_run_path,
    open_run,
    refuse_links_out,
)
from jaxrnn.runs.environment import (
    as_recorded,
    describe_environment,
    recorded_devices,
    recorded_texts,
)
from jaxrnn.runs.files import write_json
from jaxrnn.runs.interrupt import Interrupted, Interrupts, interrupts
from jaxrnn.runs.lock import lock_run, releasing_locks
from jaxrnn.runs.loop import Prepared
from jaxrnn.runs.places import from_anywhere
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.records import read_record, read_vocabulary_file, recorded_experiment, recorded_in
from jaxrnn.unroll import explain

PRESET = "Where the config begins, before other flags: smoke ends in seconds, quick in minutes."


class Experiment(NamedTuple):
    """What a training command needs to know of an experiment.

    Attributes:
      name: of its module in `experiments`.
      doc: the module's docstring, for `--help`.
      presets: name to config; "published" holds the dataclass's defaults.
      workload: `config -> Workload`, for the choice of devices.
      run: `(config, session) -> None`, trains and reports.
    """

    name: str
    doc: str | None
    presets: dict[str, Any]
    workload: Callable[[Any], Workload]
    run: Callable[[Any, "Session"], None]


@dataclass(frozen=True)
class TrainingFlags:
    """What every training command takes besides its config."""

    run: Path | None = None
    """Directory of a new run; runs/EXPERIMENT/TIME if not given."""
    resume: Path | None = None
    """Directory of a run to continue with its own config; --epochs may be raised."""
    devices: int = 0
    """How many devices (on a CPU: cores) to use; 0 chooses by size."""
    trust: bool = False
    """Run the code of the run's own cell, where it was not written or trusted here."""
    no_cell_code: bool = False
    """Run no code that a run or a file brings: known cells alone."""
    checkpoint_seconds: float = 30.0
    """Least time between two checkpoints; 0 saves after every chunk."""
    explain: bool = False
    """Print how the model is unrolled: what leaves the loop over time, and why not."""
    tensorboard: bool = False
    """Write TensorBoard's files into the run; a resumed run goes on with those it has."""
    tensorboard_every: int = 0
    """Training steps between two looks into the model; 0: as often as costs a twenty-fifth."""


@dataclass(frozen=True)
class Session:
    """One process that trains a run. Nothing is on the disk before `begin`."""

    experiment: Experiment
    config: Any
    flags: TrainingFlags
    devices: Devices
    asked: Interrupts

    @property
    def resumed(self) -> bool:
        return self.flags.resume is not None

    def cell(self, name: str) -> str:
        """The cell to build from: a resumed run keeps the source it began with.

        Raises:
          ValueError: the researcher's file is not what it was when the run began.
        """
        source = cell_file(name)
        if source is None:
            return name
        if not self.resumed:
            if self.flags.no_cell_code:
                raise ValueError(f"--no-cell-code: --cell {name} is code; give a known cell")
            if source.is_file():
                trust(source)  # whoever names it does
            return name
        run = open_run(self._path)
        stored = run.cell
        code = stored if stored.is_file() else source
        check_code(run, code, trusted=self.flags.trust, known_only=self.flags.no_cell_code)
        if code is source:  # the run was killed before it kept its source
            return name
        if source.is_file() and code_sha256(source) != code_sha256(stored):
            raise ValueError(
                f"--resume {self._path}: the cell in {source} is not the one the run began with, "
                f"{stored}; restore it, or start a new run"
            )
        return f"{stored}:{name.rpartition(':')[2]}"

    def begin(
        self,
        settings: Sequence[tuple[str, TokenModel]],
        seeds: Sequence[int],
        texts: dict[str, str],
        vocabulary: Vocabulary | None = None,
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> RunDirectory:
        """The run directory, ready to train in.

        Args:
          settings: name and model of each setting, for `runs.load`.
          seeds: of the members.
          texts: name to sha256 of what the run reads.
          vocabulary: of the texts, where there is one.
          vocabularies: by name those of settings that may read with another one.

        Raises:
          FileExistsError: a new run whose directory exists.
          KeyboardInterrupt: somebody asked to stop meanwhile.
          ValueError: a resumed run whose texts are not what they were.
        """
        if self.asked.requested:
            raise KeyboardInterrupt
        if self.resumed:
            directory = open_run(self._path)
            refuse_links_out(directory.path)
            self._check_texts(directory, texts)
        else:
            directory = create_run(self._path)
        lock_run(directory.path)
        record = {
            "experiment": self.experiment.name,
            "config": to_plain(self.config),
            "settings": [{"name": name, "model": to_plain(model)} for name, model in settings],
            "seeds": list(seeds),
        }
        # the config first: with it alone a killed run can already be resumed
        write_json(directory.config, record)
        for _, model in settings:
            source = cell_file(model.cell)
            if source is not None and not directory.cell.exists():
                keep_cell(directory, source)
        if vocabulary is not None:
            self._keep(directory.vocabulary, vocabulary)
        for name, own in (vocabularies or {}).items():
            if own != vocabulary:
                directory.own_vocabulary(name).parent.mkdir(exist_ok=True)
                self._keep(directory.own_vocabulary(name), own)
        if not directory.environment.exists():
            write_json(directory.environment, describe_environment(texts, len(self.devices)))
        print(f"{'resuming' if self.resumed else 'run'} {directory.path}", flush=True)
        return directory

    def explain(self, name: str, model: TokenModel, num_steps: int) -> None:
        """With `--explain`, prints how a training step of `num_steps` unrolls the model."""
        if not self.flags.explain:
            return
        cell = build_model(model, training=True)
        params = cell.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(0), self.config.batch_size)
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
        xs = jnp.zeros((num_steps, len(keys)), jnp.int32)
        print(f"{name}, {explain(cell, params, carry, xs, schedule=self.config.schedule)}")

    @property
    def with_tensorboard(self) -> bool:
        begun = self.resumed and open_run(self._path).tensorboard.is_dir()
        return self.flags.tensorboard or begun

    def record(self, run: RunDirectory, prepared: Prepared, step: int) -> Recorder:
        """Who follows a training of the run: TensorBoard, where it was asked for."""
        if not self.with_tensorboard:
            return Recorder()
        from jaxrnn.runs.tensorboard.boards import Boards

        return Boards(run, prepared, step, self.flags.tensorboard_every)

    @property
    def _path(self) -> Path:
        path = self.flags.resume or self.flags.run
        assert path is not None  # `_train` fills it in
        return path

    def _keep(self, path: Path, vocabulary: Vocabulary) -> None:
        """Raises: ValueError, a resumed run that divided its text in another way."""
        if self.resumed and path.is_file():
            recorded = read_vocabulary_file(path)
            if recorded.symbols != vocabulary.symbols:
                raise ValueError(
                    f"--resume {self._path}: the run began with other symbols of its text, those "
                    f"of {path}; resume it with the version that it was made with, or start a new "
                    "run"
                )
        write_json(path, vocabulary.to_json())

    def _check_texts(self, directory: RunDirectory, texts: dict[str, str]) -> None:
        if not directory.environment.exists() and not directory.checkpoints.exists():
            return  # killed before it got so far: the run begins now
        recorded = recorded_texts(directory.path)
        if sorted(recorded.values()) == sorted(texts.values()):
            return  # the same texts, wherever they are
        for name in {**recorded, **texts}:
            if recorded.get(name) != texts.get(name):
                raise ValueError(
                    f"--resume {self._path}: the text {name} is not the one the run began with "
                    f"(sha256 {texts.get(name)}, then {recorded.get(name)}); "
                    "restore it, or start a new run"
                )


def training_command(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Runs a training experiment from its command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body():
        # Ctrl-C waits for a moment when it does no harm: one that breaks into XLA's compiler is
        # lost, or makes Python crash when it ends.
        with interrupts() as asked, releasing_locks():
            _train(experiment, arguments, asked)

    return guarded(body)


def _train(experiment: Experiment, argv: list[str], asked: Interrupts) -> None:
    config, flags = read_flags(experiment, argv)
    if flags.resume is not None:
        lock_run(flags.resume)  # before minutes are spent on what is refused then
    workload = experiment.workload(config)
    devices = _start_devices(flags, workload)
    if flags.run is None and flags.resume is None:
        flags = replace(flags, run=default_run_path(experiment.name))
    elif flags.run is not None and flags.run.exists():
        create_run(flags.run)  # says so before any work is done
    session = Session(experiment, config, flags, devices, asked)
    path = flags.resume or flags.run
    assert path is not None
    command = f"python -m experiments.{experiment.name} --resume {shlex.quote(str(path))}"
    try:
        with as_recorded(flags.resume):
            experiment.run(config, session)
        if session.with_tensorboard:
            from jaxrnn.runs.tensorboard.boards import show_results

            show_results(open_run(path))
    except Interrupted as interrupted:
        if not RunDirectory(path).config.is_file():
            gone = f"{path} was removed meanwhile, so there is nothing to resume"
            raise Interrupted(f"{interrupted}; {gone}") from None
        raise Interrupted(f"{interrupted}; resume with: {command}") from None
    except KeyboardInterrupt:
        if not RunDirectory(path).config.is_file():
            raise  # nothing has begun
        raise Interrupted(f"stopped; resume from the last checkpoint with: {command}") from None
    except Exception as error:
        cells = getattr(config, "cells", ()) or (config.cell,)
        theirs = [cell for cell in cells if cell_file(cell) is not None]
        if isinstance(error, ValueError | OSError) or not theirs:
            raise
        # it may well come from the researcher's file
        raise ValueError(f"with --cell {', '.join(theirs)}: {one_line(error)}") from error


def read_flags(experiment: Experiment, argv: list[str]) -> tuple[Any, TrainingFlags]:
    """The config and flags of a command line. `--preset` and `--resume` are looked at first: they
    decide what the defaults of all other flags are."""
    from tyro.conf import arg

    names = tuple(experiment.presets)
    given, resume = _value_of("--preset", argv), _value_of("--resume", argv)
    preset = given if given in names else "published"  # tyro says so of another name
    recorded, default = None, experiment.presets[preset]
    if resume == "":
        raise ValueError("--resume is empty; give the directory of a run")
    if resume is not None and given is not None:
        raise ValueError("--resume continues with the run's own config; leave --preset out")
    if resume is not None:
        recorded = _recorded_config(experiment, Path(resume))
        default = from_plain(type(default), recorded)
    arguments = make_dataclass(
        "Arguments",
        [
            ("config", type(default), field(default=default)),
            ("preset", Annotated[Literal[names], arg(help=PRESET)], field(default=preset)),
            ("flags", TrainingFlags, field(default_factory=TrainingFlags)),
        ],
        frozen=True,
    )
    read = parse(
        arguments,
        prog=f"python -m experiments.{experiment.name}",
        description=experiment.doc or "",
        default=arguments(config=default, preset=preset),
        argv=argv,
    )
    if read.flags.resume is not None and read.flags.run is not None:
        raise ValueError("--run and --resume are both given; give one of them")
    if read.flags.devices < 0:
        raise ValueError(f"--devices is {read.flags.devices}; give at least 1, or 0 to choose")
    if read.flags.tensorboard_every < 0:
        every = read.flags.tensorboard_every
        raise ValueError(f"--tensorboard-every is {every}; give at least 1, or 0 to choose")
    if not read.flags.checkpoint_seconds >= 0:
        raise ValueError(f"--checkpoint-seconds is {read.flags.checkpoint_seconds}; give 0 or more")
    check_numbers(read.config)
    config = from_anywhere(read.config, cells=resume is None)
    if recorded is not None:
        _check_unchanged(recorded, config, resume)
    return config, read.flags


def _value_of(flag: str, argv: list[str]) -> str | None:
    """What follows `flag`; of several, the last counts, as for tyro."""
    found = None
    for i, argument in enumerate(argv):
        if argument == flag and i + 1 < len(argv):
            found = argv[i + 1]
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def _recorded_config(experiment: Experiment, path: Path) -> dict[str, Any]:
    run = open_run(path, "--resume")
    its = recorded_experiment(run)
    if its != experiment.name:
        remedy = f"resume it with python -m experiments.{its}"
        raise ValueError(f"--resume {path} is a run of {its!r}; {remedy}")
    record = read_record(run)
    config = recorded_in(run.config, type(experiment.presets["published"]), record["config"])
    check_run(run, record | {"config": to_plain(config)})
    return record["config"]


def _check_unchanged(recorded: dict[str, Any], config: Any, path: str | None) -> None:
    for name, (old, new) in changed(recorded, config).items():
        if name == "epochs" and _raised(old, new):
            if getattr(config, "decay", "none") == "none":
                continue
            raise ValueError(
                f"--resume {path}: --epochs is {new}, the run began with {old} and --decay "
                f"{config.decay}, which ends there; start a new run"
            )
        if name == "corpus":
            continue  # the same text may be elsewhere: `begin` looks at its sha256
        flag = "--" + name.replace("_", "-")
        raise ValueError(
            f"--resume {path}: {flag} is {new!r}, the run began with {old!r}; leave it out "
            "(only --epochs may be raised), or start a new run"
        )


def _raised(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_raised, old, new))
    return isinstance(old, int) and isinstance(new, int) and new >= old


def _start_devices(flags: TrainingFlags, workload: Workload) -> Devices:
    """Chooses the devices and starts JAX's backend. On a CPU the number of devices is chosen here,
    before the backend exists, and the process keeps its memory from training step to training
    step."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    count = flags.devices
    if flags.resume is not None and (Path(flags.resume) / "environment.json").is_file():
        recorded = recorded_devices(flags.resume)
        if count not in (0, recorded):
            raise ValueError(
                f"--devices is {count}, the run began on {recorded}; leave it out: another number "
                "would change its results"
            )
        count = recorded
    automatic = count == 0
    if automatic:
        count = choose_devices("cpu", cores, workload)
    # Raises where the backend is up already (a notebook, a test): then what exists is used. Never
    # fewer than somebody asked for before.
    with contextlib.suppress(RuntimeError):
        asked = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_num_cpu_devices", max(min(count, 4 * cores), asked))
    there = jax.devices()
    if jax.default_backend() == "cpu":
        keep_pages()
    if automatic and jax.default_backend() != "cpu":
        count = choose_devices(jax.default_backend(), len(there), workload)
    elif automatic:
        count = min(count, len(there))
    if count > len(there):
        raise ValueError(f"--devices is {count}; give at most {len(there)} here")
    return there[:count]
