"""What a run found and does not find again: counts, measurements, what diverged.

    counted.json, measured.json, diverged.json
        sha256       of the file, with "" in this place
        belongs_to   config, the record of the run's; log, the sha256 of metrics.jsonl or null
        content

One that is altered, or of another run, is an error; one of a run that has trained on since is found
anew. A file from before there were such records is taken as it is.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrnn.runs.bound import check_config
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import read_json, sha256_of, to_json, write_atomic
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import REMEDY, read_record

_FIELDS = {"sha256", "belongs_to", "content"}


def keep(run: RunDirectory, path: Path, content: Any, *, log: bool = False) -> None:
    """Writes JSON-able content that belongs to the run, and to its log as it is where `log`."""
    sha256 = sha256_of(run.metrics) if log and run.metrics.is_file() else None
    belongs = {"config": read_record(run), "log": sha256}
    write_atomic(path, to_json(_signed({"belongs_to": belongs, "content": content})))


def kept(run: RunDirectory, path: Path) -> Any:
    """The content of a file that `keep` has written, or None where there is none for this log.

    Raises:
      ValueError: it was altered, or is of another run, in one line that names it.
    """
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: its content is {found!r:.60}, not an object; {REMEDY}")
    if not _FIELDS & found.keys():
        return found  # of an older version
    remedy = f"{REMEDY}, or remove it: it is found anew then"
    if _signed({name: found.get(name) for name in ("belongs_to", "content")}) != found:
        raise ValueError(f"{path} was altered; {remedy}")
    belongs = found["belongs_to"]
    try:
        check_config(run.config, belongs["config"], read_record(run))
    except ValueError as error:
        raise ValueError(f"{path} belongs to another run; {remedy} ({error})") from error
    if belongs["log"] not in (None, sha256_of(run.metrics) if run.metrics.is_file() else None):
        warn(f"{path} is of an earlier state of the log, so it is found anew")
        return None
    return found["content"]


def once(run: RunDirectory, path: Path, compute: Callable[[], Any]) -> Any:
    """`compute()`, JSON, kept with the log and read again when the run is resumed."""
    found = kept(run, path)
    if found is None:
        keep(run, path, compute(), log=True)
        found = kept(run, path)
    return found


def _signed(content: dict[str, Any]) -> dict[str, Any]:
    # as it is read again: a tuple is a list, a NaN null
    plain = json.loads(to_json({"sha256": "", **content}))
    text = json.dumps(plain, sort_keys=True)
    return plain | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
