"""Finished and interrupted runs below a folder, by what made them: config, code, version of JAX."""

import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from jaxrnn.runs.code import describe_code
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import read_json
from jaxrnn.runs.frame import SWEEP


class Made(NamedTuple):
    """A run, a sweep or a benchmark's folder, and what made it.

    Attributes:
      path: its directory.
      experiment: by name.
      config: its record.
      code: the checksums of library and experiment; None of a run that is older than these.
      jax: the version.
      finished: whether its summary is there.
    """

    path: Path
    experiment: str
    config: dict[str, Any]
    code: dict[str, str | None] | None
    jax: str | None
    finished: bool


def made(path: Path) -> Made | None:
    """What is in a folder; None where that is nothing, or cannot be read."""
    run = RunDirectory(path)
    try:
        there = [p for p in (path / SWEEP, run.config, run.summary) if p.is_file()]
        record = read_json(there[0]) if there else {}
        environment = read_json(run.environment) if run.environment.is_file() else {}
        experiment, config = record["experiment"], record["config"]
        code, versions = environment.get("code"), environment.get("versions") or {}
        jax = versions.get("jax")
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None
    if not isinstance(experiment, str) or not isinstance(config, dict):
        return None
    return Made(path, experiment, config, code, jax, run.summary.is_file())


def runs_below(folder: Path) -> Iterator[Made]:
    """Every run below a folder, in the order of their names; a sweep is one, with all its runs."""
    for path, folders, _ in os.walk(folder):
        if (found := made(Path(path))) is not None:
            folders.clear()
            yield found
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def present_code(experiment: Path | None) -> tuple[dict[str, str | None], str | None]:
    """What a run that began now would have as `code` and `jax`."""
    return describe_code(experiment), metadata.version("jax")
