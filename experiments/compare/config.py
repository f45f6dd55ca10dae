"""The flags of a comparison."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from jaxrnn.analysis.statistics import TOLERANCE
from jaxrnn.runs.directory import default_run_path


@dataclass(frozen=True)
class Config:
    """What is compared, and how."""

    runs: Positional[tuple[Path, ...]]
    """Directories of runs, and of sweeps, whose runs are all taken."""
    by: tuple[str, ...] = ()
    """Fields of the config that make a setting, such as cell; settings that differ in others, but
    for the learning rate, are taken together. All that differ if not given."""
    tolerance: float = TOLERANCE
    """What a learning rate in the window may lose, as a part of the best one's loss."""
    out: Path | None = None
    """Folder for the table and the plots; runs/compare/TIME if not given."""


def check(config: Config) -> None:
    """Raises: ValueError, what nobody can mean."""
    if not config.runs:
        raise ValueError("no RUN is given; give the directories of runs or sweeps")
    if not 0 <= config.tolerance < float("inf"):
        raise ValueError(f"--tolerance is {config.tolerance}; give 0 or more, such as {TOLERANCE}")
    if config.out is not None and config.out.exists() and not config.out.is_dir():
        raise ValueError(f"--out {config.out} is a file; give a folder")


def made(out: Path) -> Path:
    """The folder, once it is there. Raises: OSError, in one line."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = str(error.strerror).lower()
        raise OSError(f"--out {out} cannot be made: {cause}; choose another folder") from None
    return out


def out_of(config: Config) -> Path:
    """Where to write."""
    return config.out or default_run_path("compare")
