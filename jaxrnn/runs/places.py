"""Paths in a config: made so that they are found from any folder, and those that name code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.data.corpora import names_file
from jaxrnn.runs.config import flags_of, replaced

CODE = {"cell": "cell", "cells": "cell", "tasks": "task"}
"""Flags that may name a researcher's own code, path/to/file.py:factory, and what kind of it."""
GIVEN_BY = {"cell": "--cell", "task": "--tasks"}
"""What a message calls them."""


def from_anywhere(config: Any, *, code: bool) -> Any:
    """The config with the absolute path of its corpus, where that is a file, and with `code` those
    of its cells' and tasks' files: a run is resumed, perhaps, from another folder."""
    corpus = flags_of(config).get("corpus", "")
    if corpus and names_file(corpus):
        config = replaced(config, corpus=str(Path(corpus).expanduser().absolute()))
    return renamed(config, lambda kind, name: _absolute(name)) if code else config


def code_of(config: Any) -> list[tuple[str, str]]:
    """(kind, name) of all that a config names and that is in a researcher's own file; where it has
    several cells, a single one is nothing that it reads."""
    flags = flags_of(config)
    cells = flags.get("cells") or (flags.get("cell", ""),)
    named = [("cell", name) for name in cells] + [("task", name) for name in flags.get("tasks", ())]
    return [(kind, name) for kind, name in named if cell_file(name) is not None]


def renamed(config: Any, rename: Callable[[str, str], str]) -> Any:
    """The config with `rename(kind, name)` for every name that may be one of code."""
    flags, changes = flags_of(config), {}
    for flag, kind in CODE.items():
        named = flags.get(flag)
        if isinstance(named, str):
            changes[flag] = rename(kind, named)
        elif named is not None:
            changes[flag] = tuple(rename(kind, each) for each in named)
    return replaced(config, **changes)


def _absolute(name: str) -> str:
    path = cell_file(name)
    return name if path is None else f"{path.absolute()}:{cell_name(name)}"
