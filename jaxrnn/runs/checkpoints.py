"""Checkpoints on Orbax, with what Orbax leaves out: a commit, checksums, types that stay.

    checkpoints/0000000100/state/...        the arrays, written by Orbax
                          /manifest.json    step, record, leaves, and the sha256 of every file

The manifest is written last and makes the folder a checkpoint; its own sha256 is its first field.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import PyTree
from jaxrnn.runs.files import reserve, sha256_of, sync, write_atomic, writing
from jaxrnn.runs.manifests import fault_of, is_as_signed, signed

MANIFEST = "manifest.json"


class DamagedCheckpoint(ValueError):
    """A checkpoint is not what was saved; `str()` is one line that names the file and the fault."""


def save_checkpoint(
    directory: Path, step: int, tree: PyTree, record: dict[str, Any], *, keep: int = 2
) -> Path:
    """Saves the arrays of `tree` and the JSON-able `record`, and returns the checkpoint's folder.

    It replaces checkpoints at `step` and above (left by a run that then resumed from an earlier
    one), and deletes the oldest so that `keep` remain. A process killed at any point leaves either
    all checkpoints that were there, or the new one too. Leaves may be sharded, and typed keys.

    Raises: DiskFull, with the earlier checkpoints untouched; ValueError for a leaf that is not an
    array of a type that JAX holds, or for a negative `step` or `keep` below 1. NaN and infinities
    in the record become null.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"step is {step} and keep is {keep}; give step >= 0 and keep >= 1")
    arrays, leaves = _to_host(tree)
    directory = Path(directory).absolute()  # as Orbax demands
    final = directory / f"{step:010d}"
    new = directory / f"{final.name}.new"
    with writing(final):
        directory.mkdir(parents=True, exist_ok=True)
        _tidy(directory)
        try:
            new.mkdir()
            _write_arrays(new, arrays)
            files = [path for path in sorted(new.rglob("*")) if path.is_file()]
            for path in files:
                sync(path)
            manifest = {
                "step": step,
                "record": record,
                "leaves": leaves,
                "files": {path.relative_to(new).as_posix(): sha256_of(path) for path in files},
            }
            write_atomic(new / MANIFEST, signed(manifest))
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _tidy(directory)
    steps = committed_steps(directory)
    kept = [s for s in steps if s <= step][-keep:]
    for old in set(steps).difference(kept):
        _remove(directory / f"{old:010d}")
    return final


def committed_steps(directory: Path) -> list[int]:
    """The steps that have a checkpoint, ascending; whether it is sound, only reading it tells."""
    return sorted(_committed(Path(directory)))


def latest_record(directory: Path) -> Any:
    """What the newest manifest that is sound has in its record, whether or not its arrays are; None
    where there is none."""
    for _, folder in sorted(_committed(Path(directory)).items(), reverse=True):
        try:
            return _signed_manifest(folder)["record"]
        except DamagedCheckpoint:  # whoever restores it says so
            continue
    return None


def newest_fault(directory: Path) -> str:
    """What is wrong with the newest checkpoint, as one line; "" where it is sound.

    Raises: PermissionError, where nobody can tell.
    """
    folders = sorted({*_committed(directory).values(), *_finished(directory)})
    if not folders:
        return f"{directory} has no checkpoint"
    try:
        _verified(folders[-1])
    except DamagedCheckpoint as error:
        return str(error)
    return ""


def restore_checkpoint(
    directory: Path, step: int, like: PyTree, *, part: str = ""
) -> tuple[PyTree, Any]:
    """The tree and the record saved at `step`, once every file agrees with its sha256.

    Args:
      like: a tree of arrays or `jax.ShapeDtypeStruct`, e.g. from `jax.eval_shape`; the result has
        its structure, on the default device, however many devices the arrays were saved from.
      part: the key path of the subtree that `like` stands for, e.g. ".best.params"; "" is all.

    Raises: FileNotFoundError if there is no such checkpoint; DamagedCheckpoint; ValueError if
    names, shapes or dtypes of the leaves are not those of `like`; PermissionError.
    """
    folder = _committed(Path(directory).absolute()).get(step)
    if folder is None:
        steps = ", ".join(map(str, committed_steps(directory))) or "none"
        raise FileNotFoundError(f"{directory} has no checkpoint of step {step}; there are: {steps}")
    manifest = _verified(folder)
    recorded = {n: leaf for n, leaf in manifest["leaves"].items() if n.startswith(part)}
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {part + jax.tree_util.keystr(path): _describe(leaf) for path, leaf in paths}
    _check_leaves(folder, recorded, wanted)
    arrays = _read_arrays(folder, manifest["leaves"])
    leaves = [_to_device(arrays[name], recorded[name]) for name in wanted]
    return jax.tree_util.tree_unflatten(structure, leaves), manifest["record"]


def restore_latest(
    directory: Path,
    like: PyTree,
    warn: Callable[[str], None],
    *,
    part: str = "",
    newest: int | None = None,
) -> tuple[int, PyTree, Any] | None:
    """The newest sound checkpoint as (step, tree, record), or None where there is none at all; with
    `newest`, of those up to that training step.

    Each damaged one, without its manifest for one, is reported to `warn` in one line and skipped.
    Raises: DamagedCheckpoint if all are; ValueError and PermissionError as `restore_checkpoint`.
    """
    committed = _committed(Path(directory))
    lost = {int(folder.name): folder for folder in _finished(directory)}
    steps, passed = sorted({*committed, *lost}), []
    steps = [step for step in steps if newest is None or step <= newest]
    while steps:
        step = steps.pop()
        try:
            if step not in committed:
                fault = f"checkpoint {step} is damaged ({lost[step] / MANIFEST} missing)"
                raise DamagedCheckpoint(fault)
            tree, record = restore_checkpoint(directory, step, like, part=part)
        except DamagedCheckpoint as error:
            if not steps:
                remedy = "restore the directory from a copy or start a new run"
                raise DamagedCheckpoint(f"{error}; no sound checkpoint is left: {remedy}") from None
            passed.append(f"{error}; falling back to checkpoint {steps[-1]}")
        else:
            for line in passed:
                warn(line)
            return step, tree, record
    return None


def _committed(directory: Path) -> dict[int, Path]:
    # `.new` sorts after its final name and wins: it is complete, its process died before renaming.
    folders = [f for f in sorted(directory.glob("*")) if re.fullmatch(r"\d{10,}(\.new)?", f.name)]
    # a manifest that is a link to nothing is one that was damaged, not one that was never written
    return {int(folder.stem): folder for folder in folders if os.path.lexists(folder / MANIFEST)}


def _finished(directory: Path) -> list[Path]:
    """The folders that were put under their final names, which nothing is before its manifest."""
    return [f for f in Path(directory).glob("*") if re.fullmatch(r"\d{10,}", f.name)]


def _tidy(directory: Path) -> None:
    """Puts what is committed under its final name, and removes what was never committed."""
    committed = _committed(directory)
    for folder in directory.glob("*"):
        numbered = re.fullmatch(r"\d{10,}(\.new|\.old)?", folder.name)
        if numbered and folder not in committed.values():
            _remove(folder)
    for folder in committed.values():
        if folder.suffix:
            folder.rename(folder.with_suffix(""))
    sync(directory)


def _remove(folder: Path) -> None:
    # Under another name first: half a deletion must not look like a damaged checkpoint.
    old = folder.with_suffix(".old")
    if folder != old:
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _signed_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, once it is as it was written, and this folder's. Raises: as `_verified`."""
    name = f"checkpoint {int(folder.stem)} is damaged"
    try:
        text = (folder / MANIFEST).read_bytes().decode()
        manifest, sound = json.loads(text), is_as_signed(text)
    except PermissionError as error:
        raise _unreadable(folder, MANIFEST) from error
    except FileNotFoundError:
        fault = f"{folder / MANIFEST} missing or a link to nothing"
        raise DamagedCheckpoint(f"{name} ({fault})") from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise DamagedCheckpoint(f"{name} ({folder / MANIFEST} unreadable)") from None
    if not sound:
        raise DamagedCheckpoint(f"{name} ({folder / MANIFEST} altered)")
    if fault := fault_of(manifest):
        raise DamagedCheckpoint(f"{name} ({folder / MANIFEST}: {fault})")
    if manifest["step"] != int(folder.stem):
        fault = f"{folder / MANIFEST} is that of step {manifest['step']}"
        raise DamagedCheckpoint(f"{name} ({fault}; the folder was renamed)")
    return manifest


def _verified(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, once all files are as it says.

    Raises: DamagedCheckpoint; PermissionError, where nobody can tell whether it is.
    """
    name, manifest = f"checkpoint {int(folder.stem)} is damaged", _signed_manifest(folder)
    for file, expected in manifest["files"].items():
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise DamagedCheckpoint(
                f"{name} ({folder / MANIFEST} names {file!r:.60}, outside of it)"
            )
        try:
            actual = sha256_of(folder / file)
        except FileNotFoundError:
            raise DamagedCheckpoint(f"{name} ({folder / file} missing)") from None
        except PermissionError as error:
            raise _unreadable(folder, file) from error
        except OSError as error:
            raise DamagedCheckpoint(f"{name} ({folder / file}: {error.strerror})") from None
        if actual != expected:
            raise DamagedCheckpoint(f"{name} ({folder / file} altered or cut short)")
    return manifest


def _unreadable(folder: Path, file: str) -> PermissionError:
    return PermissionError(
        f"checkpoint {int(folder.stem)} cannot be read ({folder / file}: permission denied); "
        "make it readable to whoever goes on with it"
    )


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _to_host(tree: PyTree) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """The leaves as numpy arrays by name, and what a restore must know of each."""
    # Orbax gets a flat dictionary of numpy arrays: it would turn tuples into lists, cast silently
    # to the dtype of a target, and tie the arrays to the devices they came from.
    raw, leaves = {}, {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.Array | np.ndarray):
            remedy = "make it an array or put it into the record"
            raise ValueError(f"leaf {name} is the {type(leaf).__name__} {leaf!r:.40}; {remedy}")
        if not _is_key(leaf) and jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype:
            raise ValueError(f"leaf {name} is {leaf.dtype}, which JAX would narrow; convert it")
        leaves[name] = {"type": _describe(leaf)}
        raw[name] = leaf
        if _is_key(leaf):
            leaves[name]["key"] = str(jax.random.key_impl(leaf))
            raw[name] = jax.random.key_data(leaf)
    # no jax.device_get: what it has read JAX 0.11 donates no more
    arrays = {name: np.asarray(leaf) for name, leaf in raw.items()}
    for name, array in arrays.items():
        leaves[name] |= {"dtype": str(array.dtype), "shape": list(array.shape)}
    return arrays, leaves


def _to_device(array: np.ndarray, leaf: dict[str, Any]) -> jax.Array:
    result = jnp.array(array)
    return jax.random.wrap_key_data(result, impl=leaf["key"]) if "key" in leaf else result


def _check_leaves(folder: Path, recorded: dict[str, Any], wanted: dict[str, str]) -> None:
    has = {name: leaf["type"] for name, leaf in recorded.items()}
    for name in [*wanted, *has]:
        if has.get(name) != wanted.get(name):
            here, there = has.get(name, "absent"), wanted.get(name, "absent")
            fault = f"{name} is {here}, here it is {there}"
            remedy = "use the config, cell and versions it was saved with"
            raise ValueError(f"checkpoint {int(folder.stem)} does not fit: {fault}; {remedy}")


def _write_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    import orbax.checkpoint as ocp

    # On a full disk TensorStore's threads print tracebacks which nothing can catch; so ask first.
    size = sum(array.nbytes for array in arrays.values())
    reserve(folder / ".space", size + size // 32 + 4096 * (32 + len(arrays)))
    # Orbax refuses arrays without elements; their shape says all.
    full = {name: array for name, array in arrays.items() if array.size}
    if full:
        with _quiet(), _checkpointer() as checkpointer:
            checkpointer.save(folder / "state", args=ocp.args.PyTreeSave(full))


def _read_arrays(folder: Path, recorded: dict[str, Any]) -> dict[str, np.ndarray]:
    empty = {name: leaf for name, leaf in recorded.items() if 0 in leaf["shape"]}
    arrays = {name: np.zeros(leaf["shape"], leaf["dtype"]) for name, leaf in empty.items()}
    if len(empty) == len(recorded):
        return arrays
    try:
        with _quiet(), _checkpointer() as checkpointer:
            return arrays | checkpointer.restore(folder / "state")
    except Exception as error:
        cause = str(error).split("\n")[0]
        name = f"checkpoint {int(folder.stem)} is damaged"
        raise DamagedCheckpoint(f"{name} ({folder / 'state'}: {cause:.200})") from error


def _checkpointer() -> Any:
    """Orbax's, of this process alone: of several, one writes, and each reads all."""
    import orbax.checkpoint as ocp

    index = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process_{index}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax's log lines from the terminal; what goes wrong arrives as an exception."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
