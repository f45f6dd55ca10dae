"""Paths in a config, made so that they are found from any folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxrnn.cell_files import cell_file
from jaxrnn.data.corpora import names_file


def from_anywhere(config: Any, *, cells: bool) -> Any:
    """The config with the absolute path of its corpus, where that is a file, and with `cells` those
    of its cells' files: a run is resumed, perhaps, from another folder."""
    changes: dict[str, Any] = {}
    corpus = getattr(config, "corpus", "")
    if corpus and names_file(corpus):
        changes["corpus"] = str(Path(corpus).expanduser().absolute())
    if cells:
        if hasattr(config, "cell"):
            changes["cell"] = _absolute(config.cell)
        if hasattr(config, "cells"):
            changes["cells"] = tuple(map(_absolute, config.cells))
    return replace(config, **changes)


def _absolute(cell: str) -> str:
    path = cell_file(cell)
    return cell if path is None else f"{path.absolute()}:{cell.rpartition(':')[2]}"
