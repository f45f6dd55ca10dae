"""The flags of a training command: an experiment's config, and what every such command takes."""

from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import UseAppendAction

from jaxrnn.runs.bound import check_run
from jaxrnn.runs.checking import check_numbers
from jaxrnn.runs.command import parse
from jaxrnn.runs.config import changed, config_of, flags_of
from jaxrnn.runs.directory import create_run, default_run_path, open_run
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.places import from_anywhere
from jaxrnn.runs.processes import place_of
from jaxrnn.runs.records import read_record, recorded_experiment, recorded_in
from jaxrnn.runs.sweep.directory import is_sweep, read_sweep
from jaxrnn.starting import called

PRESET = "Where the config begins, before other flags: smoke ends in seconds, quick in minutes."


@dataclass(frozen=True)
class TrainingFlags:
    """What every training command takes besides its config."""

    run: Path | None = None
    """Directory of a new run; runs/EXPERIMENT/TIME if not given."""
    resume: Path | None = None
    """Directory of a run to continue with its own config; --epochs may be raised."""
    sweep: Annotated[tuple[str, ...], UseAppendAction] = ()
    """FIELD=A,B,C, FIELD=log:1e-4..1e-2:7 or FIELD=linear:0..0.5:6, once for each field; every
    combination is a run below --run. random:32 draws so many; ranges then need no last number."""
    halving: int = 0
    """Successive halving: after each rung of epochs one in so many points of the sweep goes on."""
    bit_exact: bool = False
    """Members have the numbers that each has alone, bit for bit, and not to rounding."""
    cluster: Literal["slurm", "local"] | None = None
    """Train the runs of a sweep as jobs: of SLURM, or of this machine, and wait for them."""
    cluster_options: tuple[str, ...] = ()
    """Of each job, as submitit names them: timeout_min=60 slurm_partition=gpu gpus_per_node=1."""
    jobs: int = 0
    """Divide the sweep into so many jobs, where it has as many runs; 0: one for each program."""
    only: tuple[str, ...] = ()
    """Of a resumed sweep, the names of the runs to go on with."""
    devices: int = 0
    """How many devices (on a CPU: cores) to use, of each process; 0 chooses by size."""
    distributed: bool = False
    """One of several processes that train together; where it stands among them JAX finds out
    (SLURM, Open MPI, GKE, TPU pods), if the next three flags do not say."""
    coordinator: str | None = None
    """HOST:PORT at which the first process can be reached."""
    process_id: int | None = None
    """Which of them this is, from 0."""
    process_count: int | None = None
    """How many they are."""
    trust: bool = False
    """Run the code of the run's own cell, where it was not written or trusted here."""
    no_cell_code: bool = False
    """Run no code that a run or a file brings: known cells alone."""
    checkpoint_seconds: float = 30.0
    """Least time between two checkpoints; 0 saves after every chunk."""
    keep: int = 2
    """Checkpoints that stay, the newest; the params of the lowest validation loss are in each."""
    explain: bool = False
    """Print how the model is unrolled: what leaves the loop over time, and why not."""
    recorder: tuple[str, ...] = ()
    """Your own callbacks, each path/to/file.py:factory (docs/callbacks.md); no run keeps them."""
    tensorboard: bool = False
    """Write TensorBoard's files into the run; a resumed run goes on with those it has."""
    tensorboard_every: int = 0
    """Training steps of TensorBoard's logging interval; 0: as many as cost a twenty-fifth."""

    @property
    def path(self) -> Path:
        """Of the run."""
        path = self.resume or self.run
        assert path is not None  # `placed` fills it in
        return path


def placed(flags: TrainingFlags, name: str) -> TrainingFlags:
    """The flags with the directory of a new run of the experiment `name`, where none is given.

    Raises:
      FileExistsError: a new run whose directory exists.
    """
    if flags.run is None and flags.resume is None:
        return replace(flags, run=default_run_path(name))
    if flags.run is not None and flags.run.exists():
        create_run(flags.run)  # says so before any work is done
    return flags


def read_flags(experiment: Experiment, argv: list[str]) -> tuple[Any, TrainingFlags]:
    """The config and flags of a command line. `--preset` and `--resume` are looked at first: they
    decide what the defaults of all other flags are."""
    from tyro.conf import arg

    names = tuple(experiment.presets)
    given, resume = value_of("--preset", argv), value_of("--resume", argv)
    preset = given if given in names else "published"  # tyro says so of another name
    recorded, default = None, experiment.presets[preset]
    if resume == "":
        raise ValueError("--resume is empty; give the directory of a run")
    if resume is not None and given is not None:
        raise ValueError("--resume continues with the run's own config; leave --preset out")
    if resume is not None:
        recorded = recorded_config(experiment, Path(resume), "--resume")
        default = config_of(type(default), recorded)
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
        prog=experiment.command,
        description=experiment.doc or "",
        default=arguments(config=default, preset=preset),
        argv=argv,
    )
    if read.flags.resume is not None and read.flags.run is not None:
        raise ValueError("--run and --resume are both given; give one of them")
    _check_sweep(read.flags)
    if read.flags.devices < 0:
        raise ValueError(f"--devices is {read.flags.devices}; give at least 1, or 0 to choose")
    if read.flags.tensorboard_every < 0:
        every = read.flags.tensorboard_every
        raise ValueError(f"--tensorboard-every is {every}; give at least 1, or 0 to choose")
    if read.flags.keep < 1:
        raise ValueError(f"--keep is {read.flags.keep}; give at least 1")
    if not read.flags.checkpoint_seconds >= 0:
        raise ValueError(f"--checkpoint-seconds is {read.flags.checkpoint_seconds}; give 0 or more")
    place = place_of(read.flags.coordinator, read.flags.process_id, read.flags.process_count)
    if place is not None and not read.flags.distributed:
        raise ValueError(f"--coordinator is {place.coordinator}; give --distributed with it")
    check_numbers(read.config)
    config = from_anywhere(read.config, code=resume is None)
    if recorded is not None:
        _check_unchanged(recorded, config, resume)
    return config, read.flags


def value_of(flag: str, argv: list[str]) -> str | None:
    """What follows `flag`; of several, the last counts, as for tyro."""
    found = None
    for i, argument in enumerate(argv):
        if argument == flag and i + 1 < len(argv):
            found = argv[i + 1]
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def recorded_config(experiment: Experiment, path: Path, flag: str) -> dict[str, Any]:
    """The record of the config of a run that `flag` names.

    Raises:
      ValueError: a run of another experiment, or one whose files do not belong together; as
        `open_run`.
    """
    if is_sweep(path):
        record = read_sweep(path)
        _check_experiment(experiment, record.experiment, path, flag)
        return record.config
    run = open_run(path, flag)
    _check_experiment(experiment, recorded_experiment(run), path, flag)
    record = read_record(run)
    published = type(experiment.presets["published"])
    recorded_in(run.config, published, record["config"], config_of)  # or says what is none
    check_run(run, record)
    return record["config"]


def _check_experiment(experiment: Experiment, its: str, path: Path, flag: str) -> None:
    if its != experiment.name:
        remedy = f"give it to {called(f'experiments.{its}')}"
        raise ValueError(f"{flag} {path} is a run of {its!r}; {remedy}")


def _check_sweep(flags: TrainingFlags) -> None:
    sweep = bool(flags.sweep)
    if flags.resume is not None and (sweep or flags.halving or flags.bit_exact):
        raise ValueError(
            "--resume goes on with the sweep as it began; leave --sweep, --halving and --bit-exact "
            "out"
        )
    whole = flags.resume is not None and is_sweep(flags.resume)
    if flags.only and not whole:
        raise ValueError(f"--only is {' '.join(flags.only)}; give --resume SWEEP with it")
    if flags.cluster is None and (flags.jobs or flags.cluster_options):
        raise ValueError(
            "--jobs and --cluster-options are of --cluster; give it, or leave them out"
        )
    if flags.cluster is not None:
        if not (sweep or whole) or flags.only:
            raise ValueError(
                f"--cluster is {flags.cluster}; give --sweep, or --resume with a whole sweep"
            )
        if flags.halving or flags.distributed:
            raise ValueError(
                f"--cluster is {flags.cluster}, whose jobs do not know of each other; leave "
                "--halving and --distributed out"
            )
    if flags.jobs < 0:
        raise ValueError(f"--jobs is {flags.jobs}; give at least 1, or 0")
    if flags.halving and not sweep:
        raise ValueError(f"--halving is {flags.halving}; give --sweep with it, or leave it out")


def _check_unchanged(recorded: dict[str, Any], config: Any, path: str | None) -> None:
    for name, (old, new) in changed(recorded, config).items():
        if name == "epochs" and raised(old, new):
            if (decay := flags_of(config).get("decay", "none")) == "none":
                continue
            raise ValueError(
                f"--resume {path}: --epochs is {new}, the run began with {old} and --decay "
                f"{decay}, which ends there; start a new run"
            )
        if name == "corpus":
            continue  # the same text may be elsewhere: `open_directory` looks at its sha256
        flag = "--" + name.replace("_", "-")
        raise ValueError(
            f"--resume {path}: {flag} is {new!r}, the run began with {old!r}; leave it out "
            "(only --epochs may be raised), or start a new run"
        )


def raised(old: Any, new: Any) -> bool:
    """Whether recorded epochs are as many as before, or more."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(raised, old, new))
    return isinstance(old, int) and isinstance(new, int) and new >= old
