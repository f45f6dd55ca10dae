"""Which code made a run: checksums of the library and of an experiment, wherever they are installed
and whatever git knows of them."""

import hashlib
from pathlib import Path

LIBRARY = Path(__file__).parents[1]


def source_sha256(path: Path) -> str:
    """Of a file of Python; or of all files of Python in a folder, with their places in it."""
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(path.parent).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def describe_code(experiment: Path | None) -> dict[str, str | None]:
    """What environment.json has as `code`: of the library, and of an experiment's file or folder,
    None where nobody knows it (a notebook's)."""
    return {
        "jaxrnn": source_sha256(LIBRARY),
        "experiment": None if experiment is None else source_sha256(experiment),
    }


def source_of(file: str | None) -> Path | None:
    """The file or folder of an experiment, by the file of one of its modules: of one in a package
    of its own, such as `experiments/word/report.py`, the folder. None of a notebook."""
    if file is None:
        return None
    path = Path(file)
    while all((folder / "__init__.py").is_file() for folder in (path.parent, path.parents[1])):
        path = path.parent
    return path
