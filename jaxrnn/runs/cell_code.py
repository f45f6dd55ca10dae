"""The code that a run brings: kept when it begins, and run only where somebody trusts it.

A run holds `cell.py` and, in `cell_modules/`, what that imports from beside it; `task.py` and
`task_modules/` for a task. Whoever names a file with `--cell` or `--tasks` trusts it; what code is
trusted is remembered by its sha256, outside of any run. A run that comes from elsewhere is asked
about.
"""

from contextlib import suppress
from pathlib import Path

from jaxrnn.cell_neighbours import code_sha256, neighbours
from jaxrnn.data.published import cache_folder
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_atomic

_trusted: set[str] = set()  # of this process, where nothing can be remembered


def kept_in(run: RunDirectory, kind: str) -> Path:
    """Where a run keeps the code of its own cell or task."""
    return {"cell": run.cell, "task": run.task}[kind]


def keep_code(kept: Path, source: Path) -> None:
    """Copies a researcher's file to `kept` and its neighbours beside it, where `folder_of` finds
    them, and trusts them."""
    for place, content in neighbours(source).items():
        path = kept.with_name(f"{kept.stem}_modules") / place
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    write_atomic(kept, source.read_bytes())
    trust(kept)


def trust(path: Path) -> None:
    """Remembers that this code, wherever it is, may be run."""
    sha256 = code_sha256(path)
    _trusted.add(sha256)
    with suppress(OSError):  # then the next process asks again
        _remembered(sha256).parent.mkdir(parents=True, exist_ok=True)
        _remembered(sha256).touch()


def check_code(run: RunDirectory, path: Path, *, trusted: bool, known_only: bool) -> None:
    """Before the code at `path` is run, which the run brings or names.

    Args:
      trusted: somebody trusts it now.
      known_only: no such code is to be run.

    Raises:
      ValueError: it is not to be run, or nobody has trusted it; with what to do.
    """
    if known_only:
        raise ValueError(
            f"--no-cell-code: {run.path} has code of its own, {path}; leave the flag out to run it"
        )
    if not path.is_file():
        return  # whoever runs it says so
    sha256 = code_sha256(path)
    if trusted:
        trust(path)
    elif sha256 not in _trusted and not _remembered(sha256).exists():
        raise ValueError(
            f"{run.path} would run the code in {path}, which was not written or trusted here; read "
            "it, then give --trust (in Python, trust=True) to run it"
        )


def _remembered(sha256: str) -> Path:
    return cache_folder() / "trusted_cells" / sha256
