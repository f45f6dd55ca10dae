"""The directory of a sweep:

sweep.json        what is swept, and the values of each run
search/SETTING/   by halving: checkpoints of the search, one to a rung
environment.json  as of a run
RUN/              an ordinary run, which can be resumed, sampled and inspected alone
summary.json      the losses of every setting at every rate; compare.csv, plots/
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrnn.runs.checkpoints import (
    DamagedCheckpoint,
    newest_fault,
    restore_latest,
    save_checkpoint,
)
from jaxrnn.runs.config import record_of
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import read_bytes, read_json, write_atomic
from jaxrnn.runs.manifests import is_as_signed, signed
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import REMEDY, is_file_name
from jaxrnn.runs.sweep.halving import Search, first_search

SWEEP = "sweep.json"
SEARCH = "search"


class SweepRecord(NamedTuple):
    """The content of sweep.json.

    Attributes:
      experiment: its name.
      config: the record of the config without what is swept.
      runs: folder to the values of its swept flags.
      bit_exact: whether members have the numbers that each has alone, bit for bit.
      halving: the part of the points that each rung keeps, as 1 / halving; 0 keeps all.
      rungs: {"setting", "epochs", "kept"} of each rung that an older version came to, which kept no
        checkpoints of the search: of which setting, after how many epochs, and the names of the
        runs that went on with it. Where there is but one setting, an older one does not name it.
    """

    experiment: str
    config: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    bit_exact: bool
    halving: int
    rungs: Sequence[dict[str, Any]] = ()

    @property
    def fields(self) -> dict[str, list[Any]]:
        """What is swept, each with the values that it takes."""
        values: dict[str, list[Any]] = {}
        for run in self.runs.values():
            for field, value in run.items():
                taken = values.setdefault(field, [])
                if value not in taken:
                    taken.append(value)
        return values


def is_sweep(path: Path) -> bool:
    return (Path(path) / SWEEP).is_file()


def run_of(path: Path, name: str) -> RunDirectory:
    return RunDirectory(Path(path) / name)


def is_complete(run: RunDirectory, config: Any) -> bool:
    """Whether a run of a sweep has come to the end of its config, whose epochs may have been raised
    since it ended."""
    if not run.summary.is_file():
        return False
    ended = read_json(run.summary)
    recorded = ended.get("config", {}) if isinstance(ended, Mapping) else {}
    return recorded.get("epochs") == record_of(config).get("epochs")


def write_sweep(path: Path, record: SweepRecord) -> None:
    write_atomic(path / SWEEP, signed(record._asdict() | {"fields": record.fields}) + "\n")


def save_search(path: Path, setting: str, points: Sequence[str], search: Search) -> None:
    """One checkpoint to a rung, all of which stay."""
    rung = int(search.rung)
    save_checkpoint(path / SEARCH / setting, rung, search, {"points": [*points]}, keep=rung)


def restored_search(path: Path, record: SweepRecord, setting: str, points: Sequence[str]) -> Search:
    """Of the points of a setting, as far as it came; a damaged checkpoint is reported, and the rung
    is gone through again, by the logs.

    Raises: ValueError where it is that of other points.
    """
    first, folder = first_search(len(points)), path / SEARCH / setting
    try:
        found = restore_latest(folder, first, warn)
    except DamagedCheckpoint:
        warn(f"{newest_fault(folder)}; no sound one is left, so the first rung is decided anew")
        found = None
    if found:
        _, search, kept = found
        if kept.get("points") != [*points]:
            raise ValueError(f"{folder} is of other points; {REMEDY}")
        return jax.tree.map(np.asarray, search)
    past = [rung["kept"] for rung in record.rungs if rung.get("setting", setting) == setting]
    if past:
        alive = np.array([name in past[-1] for name in points])
        first = first._replace(rung=np.int32(len(past)), alive=alive)
    return first


def read_sweep(path: Path) -> SweepRecord:
    """Raises: OSError; ValueError, one line that names the file and the field."""
    file = Path(path) / SWEEP
    content = read_json(file)
    if not isinstance(content, Mapping):
        raise ValueError(f"{file}: its content is {content!r:.60}, not an object; {REMEDY}")
    text = read_bytes(file).decode(errors="replace").removesuffix("\n")
    if "sha256" in content and not is_as_signed(text):  # older ones have none
        raise ValueError(f"{file} was altered since it was written; {REMEDY}")
    plain = {"experiment": str, "config": dict, "runs": dict, "bit_exact": bool}
    plain |= {"halving": int, "rungs": list}
    content = {"rungs": [], **content}
    for field, kind in plain.items():
        value = content.get(field)
        if not isinstance(value, kind):
            said = f"{value!r:.60}" if field in content else "missing"
            raise ValueError(f"{file}: {field} is {said}; {REMEDY}")
    record = SweepRecord(**{field: content[field] for field in plain})
    for name, values in record.runs.items():
        if not is_file_name(name) or not isinstance(values, dict):
            raise ValueError(f"{file}: runs has {name!r:.60}, no name of a run; {REMEDY}")
    names = [name for rung in record.rungs for name in _kept(file, rung)]
    if unknown := set(names) - set(record.runs):
        raise ValueError(f"{file}: rungs has {min(unknown)!r:.60}, which is no run; {REMEDY}")
    return record


def _kept(file: Path, rung: Any) -> Sequence[str]:
    if not isinstance(rung, dict) or not isinstance(rung.get("epochs"), int):
        raise ValueError(f"{file}: rungs has {rung!r:.60}, no rung; {REMEDY}")
    if not isinstance(rung.get("kept"), list) or not all(isinstance(n, str) for n in rung["kept"]):
        raise ValueError(f"{file}: a rung's kept is {rung.get('kept')!r:.60}; {REMEDY}")
    return rung["kept"]
