"""Paths in a config, made so that they are found from any folder."""

from pathlib import Path
from typing import Any

from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.data.corpora import names_file
from jaxrnn.runs.config import flags_of, replaced


def from_anywhere(config: Any, *, cells: bool) -> Any:
    """The config with the absolute path of its corpus, where that is a file, and with `cells` those
    of its cells' and tasks' files: a run is resumed, perhaps, from another folder."""
    flags, changes = flags_of(config), {}
    corpus = flags.get("corpus", "")
    if corpus and names_file(corpus):
        changes["corpus"] = str(Path(corpus).expanduser().absolute())
    if cells and "cell" in flags:
        changes["cell"] = _absolute(flags["cell"])
    for name in ("cells", "tasks"):
        if cells and name in flags:
            changes[name] = tuple(map(_absolute, flags[name]))
    return replaced(config, **changes)


def _absolute(cell: str) -> str:
    path = cell_file(cell)
    return cell if path is None else f"{path.absolute()}:{cell_name(cell)}"
