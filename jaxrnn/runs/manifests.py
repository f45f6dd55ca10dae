"""What the manifest of a checkpoint holds, by the kinds of its fields, and how a record is signed
against altered bytes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jaxrnn.runs.files import to_json

_WHOLE = {"step": int, "record": dict, "leaves": dict, "files": dict}
# of a run's record, which may be from before there were some of them
_RECORD = {
    "log_lines": int,
    "seconds": int | float,
    "epoch_loss": list | None,
    "log_sha256": str,
    "members": dict,
    "belongs_to": dict,
    "beside": list,
}
_BELONGS_TO = {"config": dict, "vocabulary": dict, "environment": dict}
_LEAF = {"type": str, "dtype": str, "shape": list, "key": str}


def signed(record: Mapping[str, Any]) -> str:
    """The record as JSON, whose first field is the sha256 of all without it."""
    text = to_json({"sha256": "", **record})
    return text.replace('""', f'"{hashlib.sha256(text.encode()).hexdigest()}"', 1)


def is_as_signed(text: str) -> bool:
    """Whether it is what `signed` made. Raises: ValueError, LookupError, TypeError where it is
    nothing like that."""
    digest = json.loads(text)["sha256"]
    if not isinstance(digest, str):
        return False
    return digest == hashlib.sha256(text.replace(digest, "", 1).encode()).hexdigest()


def fault_of(manifest: Any) -> str:
    """What is wrong with it, its field first; "" where nothing is."""
    fault = _fault("", manifest, _WHOLE, _WHOLE)
    if fault:
        return fault
    record = manifest["record"]
    faults = [_fault("record", record, _RECORD)]
    if not faults[0] and "belongs_to" in record:
        needed = ("config", "vocabulary")
        faults.append(_fault("record.belongs_to", record["belongs_to"], _BELONGS_TO, needed))
    for name, leaf in manifest["leaves"].items():
        faults.append(_fault(f"leaves{name}", leaf, _LEAF, ("type", "dtype", "shape")))
        if not faults[-1] and not all(type(size) is int for size in leaf["shape"]):
            faults.append(f"leaves{name}.shape is {leaf['shape']!r:.60}")
    faults += [
        f"files.{name} is {sha256!r:.60}"
        for name, sha256 in manifest["files"].items()
        if not isinstance(sha256, str)
    ]
    return next(filter(None, faults), "")


def _fault(place: str, fields: Any, kinds: dict[str, Any], needed: Any = ()) -> str:
    if not isinstance(fields, dict):
        return f"{place or 'its content'} is {fields!r:.60}"
    for name, kind in kinds.items():
        within = f"{place}.{name}" if place else name
        if name not in fields:
            if name in needed:
                return f"{within} is missing"
        # True is an int to Python
        elif not isinstance(fields[name], kind) or isinstance(fields[name], bool):
            return f"{within} is {fields[name]!r:.60}"
    return ""
