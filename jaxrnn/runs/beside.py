"""What a run writes beside its log and checkpoints, which remember it: what is gone is said when
the run is resumed."""

from jaxrnn.runs.checkpoints import latest_record
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import REMEDY
from jaxrnn.runs.sampling import SUMS

BESIDE = "beside"
"""In a checkpoint's record."""


def beside(run: RunDirectory, setting: str) -> list[str]:
    """For a checkpoint's record: the sums of the samples, and the setting's TensorBoard files of
    each seed, below the run."""
    events = "seed_*/events.out.tfevents.*"
    found = [each for each in (run.samples / SUMS,) if each.is_file()]
    for folder in (run.tensorboard, run.tensorboard / setting):
        found += sorted(folder.glob(events))
    return [path.relative_to(run.path).as_posix() for path in found]


def check_beside(run: RunDirectory) -> None:
    """Warns of what the newest checkpoints remember and nobody finds; those from before they did
    remember nothing."""
    folders = sorted(run.checkpoints.iterdir()) if run.checkpoints.is_dir() else []
    names = [name for folder in folders for name in (latest_record(folder) or {}).get(BESIDE, ())]
    if lost := [name for name in dict.fromkeys(names) if not (run.path / name).is_file()]:
        others = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        warn(f"{run.path / lost[0]} is missing, which the run wrote{others}; {REMEDY}")
