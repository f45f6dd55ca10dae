"""What the manifest of a checkpoint holds, by the kinds of its fields."""

from typing import Any

_WHOLE = {"step": int, "record": dict, "leaves": dict, "files": dict}
# of a run's record, which may be from before there were some of them
_RECORD = {
    "log_lines": int,
    "seconds": int | float,
    "epoch_loss": list | None,
    "log_sha256": str,
    "members": dict,
    "belongs_to": dict,
}
_BELONGS_TO = {"config": dict, "vocabulary": dict, "environment": dict}
_LEAF = {"type": str, "dtype": str, "shape": list, "key": str}


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
