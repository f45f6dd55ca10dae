"""Weights in files: safetensors, and the HDF5 files of Keras. Plain arrays by name, in and out.

    save_safetensors("model.safetensors", model_to_pytorch(config, params))
    params = model_from_pytorch(config, load_safetensors("model.safetensors"))

    params = from_keras("lstm", load_keras("model.weights.h5")["lstm"])
    save_keras("model.h5", {"lstm": to_keras("lstm", params)})

HDF5 needs h5py (the extra `hdf5`).
"""

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxrnn.interop.gates import plain
from jaxrnn.starting import installing

Layers = dict[str, dict[str, np.ndarray]]

_MISSING = "{} does not exist; give a file of weights"

# How the cell of a recurrent layer is called inside it: lstm_cell, gru_cell_3, cell.
_CELL = re.compile(r"(\w+_)?cell(_\d+)?")


def save_safetensors(
    path: Path | str, weights: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays by name, and text beside them.

    Raises:
      ValueError: something that is no array of floats, or a type that the format does not have.
    """
    from safetensors import numpy

    # the writer takes the memory as it lies: views must be copied out, rows one after another
    arrays = {n: np.array(plain(n, value), order="C") for n, value in weights.items()}
    try:
        data = numpy.save(arrays, dict(metadata or {}))
    except Exception as error:
        types = sorted({str(a.dtype) for a in arrays.values()})
        raise ValueError(f"{path} cannot hold arrays of {', '.join(types)}: {error}") from error
    _write(Path(path), data)


def load_safetensors(path: Path | str) -> dict[str, np.ndarray]:
    """Arrays by name.

    Raises:
      FileNotFoundError; ValueError: not such a file, or damaged.
    """
    from safetensors import SafetensorError, numpy

    try:
        return {n: a.copy() for n, a in numpy.load(_read(path)).items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, or damaged: {error}") from error
    except KeyError as error:
        raise ValueError(
            f"{path} holds arrays of type {error.args[0]}, which numpy does not have; "
            "save them as float32"
        ) from error


def load_keras(path: Path | str) -> Layers:
    """The weights of every layer by the layer's name, {"lstm_1": {"kernel": ..., "bias": ...}}.

    It reads what Keras 3 writes (`.weights.h5`, `.keras`) and what Keras 2 wrote
    (`save_weights`, `model.save` to HDF5). A layer inside another, as in a Bidirectional, is under
    both names, "bidirectional/forward_lstm". What an optimizer keeps is left out.

    Raises:
      FileNotFoundError; ImportError: no h5py; ValueError: not such a file, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(_MISSING.format(path))
    h5py = _h5py()
    try:
        if zipfile.is_zipfile(path):  # .keras: the weights beside the config
            with (
                zipfile.ZipFile(path) as archive,
                archive.open("model.weights.h5") as inner,
                h5py.File(inner, "r") as file,
            ):
                return _read_layers(path, file)
        with h5py.File(path, "r") as file:
            return _read_layers(path, file)
    except ValueError:
        raise
    except Exception as error:  # h5py has no one kind for what is damaged
        said = " ".join(str(error).split())
        raise ValueError(f"{path} is not an HDF5 file of Keras, or damaged: {said}") from error


def save_keras(path: Path | str, layers: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the layout that Keras 2 writes and Keras 2 and 3 read: `model.load_weights(path)`,
    which goes by the order of the layers, or with `by_name=True`.

    Args:
      path: ends in .h5, and not in .weights.h5: that is another layout, of Keras 3 alone.
      layers: as `load_keras` returns them, in the order of the model, each layer's weights in the
        order of `layer.get_weights()`.

    Raises:
      ImportError: no h5py; ValueError: another ending, something that is no array of floats, or of
        a type that HDF5 does not have.
    """
    h5py = _h5py()
    path = Path(path)
    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        raise ValueError(f"path is {str(path)!r}; end it in .h5, and not in .weights.h5")
    outer: dict[str, dict[str, np.ndarray]] = {}
    for name, weights in layers.items():
        group = outer.setdefault(name.partition("/")[0], {})
        group |= {f"{name}/{key}:0": plain(f"{name}/{key}", v) for key, v in weights.items()}
    for arrays in outer.values():
        for key, array in arrays.items():
            if array.dtype.kind != "f":  # bfloat16 would be written as bytes without a meaning
                raise ValueError(f"{key} has dtype {array.dtype}; save it as float32")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(temporary, "w") as file:
            # without it Keras 2 takes the file for one of Keras 1
            file.attrs["keras_version"] = b"2.3.1"
            file.attrs["layer_names"] = [name.encode() for name in outer]
            for name, arrays in outer.items():
                group = file.create_group(name)
                group.attrs["weight_names"] = [key.encode() for key in arrays]
                for key, array in arrays.items():
                    group[key] = array
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _require_own(path: Path, file: Any) -> None:
    """Weights are in the file that was named: others are not opened.

    Raises:
      ValueError: a link to another file, or an array that lies in one.
    """
    h5py, seen, waiting = _h5py(), set(), [file]
    while waiting:
        group = waiting.pop()
        if group.id in seen:
            continue
        seen.add(group.id)
        for name in group:
            link = group.get(name, getlink=True)
            where = f"{group.name.rstrip('/')}/{name}"
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"{path}: {where} is in another file, {link.filename}; copy it in")
            if not isinstance(link, h5py.HardLink):
                continue  # a name for what is met elsewhere in this file
            part = group[name]
            if isinstance(part, h5py.Group):
                waiting.append(part)
            elif isinstance(part, h5py.Dataset) and (part.external or part.is_virtual):
                raise ValueError(f"{path}: the array {where} lies in another file; copy it in")


def _read_layers(path: Path, file: Any) -> Layers:
    _require_own(path, file)
    older = file.get("model_weights", file)
    layers = _older(older) if "layer_names" in _listed(older.attrs) else _newer(file)
    if not layers:
        raise ValueError(f"{path} holds no weights of Keras layers; is it a file of Keras?")
    return layers


def _older(file: Any) -> Layers:
    """Keras 2: the names of layers and of their weights are attributes."""
    layers: Layers = {}
    for layer in _names(file.attrs, "layer_names"):
        for key in _names(file[layer].attrs, "weight_names"):
            array = np.array(file[layer][key])
            *modules, leaf = key.split("/")
            # what stands before the layer's own name is the model's; behind it, parts of the layer
            inner = modules[modules.index(layer) + 1 :] if layer in modules else modules[1:]
            _put(layers, [layer, *inner], leaf.partition(":")[0], array)
    return layers


def _newer(file: Any) -> Layers:
    """Keras 3: a group "vars" in each layer, its arrays numbered, the layer's name an attribute."""
    layers: Layers = {}

    def visit(group: Any, modules: list[str]) -> None:
        kind = modules[-1] if modules else ""  # the class, in small letters; then the layer's name
        variables = {}
        if "vars" in group:
            variables = group["vars"]
            if kind and not _CELL.fullmatch(kind):
                modules = [*modules[:-1], _text(variables.attrs.get("name", modules[-1]))]
        for number, array in sorted(variables.items(), key=lambda pair: int(pair[0])):
            leaf = _leaf(kind, len(variables), int(number), array)
            _put(layers, modules, leaf, np.array(array))
        for name, part in group.items():
            if hasattr(part, "items") and name not in ("vars", "optimizer", "seed_generator"):
                visit(part, modules if name == "layers" else [*modules, name])

    visit(file, [])
    return layers


def _leaf(kind: str, count: int, number: int, array: Any) -> str:
    """The name of a numbered weight: of the three kinds of layers that a model of tokens has; else
    its number."""
    if _CELL.fullmatch(kind) and count <= 3:
        return ("kernel", "recurrent_kernel", "bias")[number]
    if count == 1 and kind.startswith("embedding"):
        return "embeddings"
    if count <= 2 and array.ndim == 2 - number:
        return ("kernel", "bias")[number]
    return str(number)


def _put(layers: Layers, modules: list[str], leaf: str, array: np.ndarray) -> None:
    if len(modules) > 1 and _CELL.fullmatch(modules[-1]):
        modules = modules[:-1]
    weights = layers.setdefault("/".join(modules), {})
    if leaf in weights:
        raise ValueError(f"layer {'/'.join(modules)} has two weights called {leaf}")
    weights[leaf] = array


def _listed(attributes: Any) -> set[str]:
    """The names of attributes; a list too long for one is cut into name0, name1, ..."""
    return {re.sub(r"\d+$", "", name) for name in attributes}


def _names(attributes: Any, name: str) -> list[str]:
    if name in attributes:
        return [_text(value) for value in attributes[name]]
    chunks = [key for key in attributes if re.fullmatch(rf"{name}\d+", key)]
    chunks.sort(key=lambda key: int(key.removeprefix(name)))
    return [_text(value) for key in chunks for value in attributes[key]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(_MISSING.format(path)) from None


def _write(path: Path, data: bytes) -> None:
    """Killed meanwhile, it leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _h5py() -> Any:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ImportError(f"HDF5 needs h5py: {installing('hdf5')}") from error
    return h5py
