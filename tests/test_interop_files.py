"""Weights in files, against the files of safetensors and of Keras themselves."""

import json
import os
import struct
import sys
import zipfile

import jax
import ml_dtypes
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import CELLS
from jaxrnn.interop import from_keras, model_from_pytorch, model_to_pytorch, to_keras
from jaxrnn.interop.files import load_keras, load_safetensors, save_keras, save_safetensors
from jaxrnn.models import TokenModel, build_model

os.environ["KERAS_BACKEND"] = "jax"

ARRAYS = {
    "rnn.weight": np.arange(12, dtype=np.float32).reshape(3, 4).T,  # a view, columns first
    "scale": np.array(2.5, np.float64),
    "half": np.array([1.5, -2], np.float16),
}


def test_safetensors_there_and_back(tmp_path):
    pytest.importorskip("safetensors")
    save_safetensors(tmp_path / "a.safetensors", ARRAYS, {"cell": "lstm"})
    back = load_safetensors(tmp_path / "a.safetensors")
    assert {n: (a.dtype, a.shape) for n, a in back.items()} == {
        n: (a.dtype, a.shape) for n, a in ARRAYS.items()
    }
    jax.tree.map(np.testing.assert_array_equal, back, ARRAYS)
    assert all(array.flags.writeable for array in back.values())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_documented_layout_of_safetensors(tmp_path):
    """8 bytes that say how long the header is, the header, the numbers: by hand."""
    pytest.importorskip("safetensors")
    entry = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    header = json.dumps({"w": entry}).encode()
    content = struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2)
    (tmp_path / "hand").write_bytes(content)
    np.testing.assert_array_equal(load_safetensors(tmp_path / "hand")["w"], [[1.0], [2.0]])

    save_safetensors(tmp_path / "ours", {"w": np.array([[3.0], [4.0]], np.float32)}, {"by": "us"})
    written = (tmp_path / "ours").read_bytes()
    (length,) = struct.unpack("<Q", written[:8])
    assert json.loads(written[8 : 8 + length]) == {"w": entry, "__metadata__": {"by": "us"}}
    assert struct.unpack("<2f", written[8 + length :]) == (3, 4)


def test_a_model_through_pytorchs_own_file(tmp_path):
    pytest.importorskip("safetensors")
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    config = TokenModel(6, 6, hidden_size=4, embedding_size=3)
    params = build_model(config).init(jax.random.key(0))
    save_safetensors(tmp_path / "ours.safetensors", model_to_pytorch(config, params))
    theirs = load_file(tmp_path / "ours.safetensors")
    assert all(isinstance(tensor, torch.Tensor) for tensor in theirs.values())
    save_file(theirs, tmp_path / "theirs.safetensors")
    back = model_from_pytorch(config, load_safetensors(tmp_path / "theirs.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_safetensors_refusals(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(FileNotFoundError, match="absent does not exist; give a file of weights"):
        load_safetensors(tmp_path / "absent")
    (tmp_path / "text").write_text("no header here, and it is long enough to look for one")
    with pytest.raises(ValueError, match="text is not a safetensors file, or damaged"):
        load_safetensors(tmp_path / "text")
    header = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "bf16").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    with pytest.raises(ValueError, match="holds arrays of type BF16"):
        load_safetensors(tmp_path / "bf16")
    with pytest.raises(ValueError, match="epoch has dtype int64; give an array of floats"):
        save_safetensors(tmp_path / "x", {"epoch": np.array(3)})


def keras_model(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(6, 3, name="letters"),
            layers.LSTM(4, return_sequences=True, name="mine"),
            layers.Bidirectional(layers.GRU(2, return_sequences=True, name="both"), name="wrapped"),
            layers.GRU(4, return_sequences=True, reset_after=False, dropout=0.1, name="before"),
            layers.SimpleRNN(4, use_bias=False, return_sequences=True, name="simple"),
            layers.Dense(6, name="head"),
        ]
    )
    generator = np.random.default_rng(0)
    model.set_weights([generator.standard_normal(tuple(w.shape)) for w in model.weights])
    return model


NAMES = {
    "letters": ["embeddings"],
    "mine": ["kernel", "recurrent_kernel", "bias"],
    "wrapped/forward_both": ["kernel", "recurrent_kernel", "bias"],
    "wrapped/backward_both": ["kernel", "recurrent_kernel", "bias"],
    "before": ["kernel", "recurrent_kernel", "bias"],
    "simple": ["kernel", "recurrent_kernel"],
    "head": ["kernel", "bias"],
}
QUIET = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def weights_of(model):
    return [np.asarray(w.value) for w in model.weights if "seed" not in w.path]


@pytest.mark.full
@QUIET
@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras", "a.h5"])
def test_what_keras_wrote(tmp_path, name):
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        model = keras_model(keras)
        path = tmp_path / name
        if name.endswith(".weights.h5"):
            model.save_weights(path)
        else:
            model.save(path)
    layers = load_keras(path)
    assert {layer: list(weights) for layer, weights in layers.items()} == NAMES
    found = [layers[layer][leaf] for layer, leaves in NAMES.items() for leaf in leaves]
    for ours, theirs in zip(found, weights_of(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert from_keras("lstm", layers["mine"]).w_ih.shape == (3, 16)


@QUIET
@pytest.mark.parametrize("by_name", mostly_full([False, True], True))
def test_what_keras_reads(tmp_path, by_name):
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    generator = np.random.default_rng(1)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        model = keras_model(keras)
        fresh = iter([generator.standard_normal(w.shape) for w in weights_of(model)])
        layers = {layer: {leaf: next(fresh) for leaf in leaves} for layer, leaves in NAMES.items()}
        save_keras(tmp_path / "a.h5", layers)
        model.load_weights(tmp_path / "a.h5", by_name=by_name)
    expected = [array for weights in layers.values() for array in weights.values()]
    for ours, theirs in zip(expected, weights_of(model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    again = load_keras(tmp_path / "a.h5")
    jax.tree.map(np.testing.assert_array_equal, again, layers)


@pytest.mark.parametrize("inside", ["", "model_weights"])
@pytest.mark.parametrize("cell", ["", "lstm_cell/"])
def test_a_file_as_keras_2_wrote_it(tmp_path, inside, cell):
    """Names as attributes, bytes, ":0" behind each; model.save puts it all into a group."""
    h5py = pytest.importorskip("h5py")
    params = CELLS["lstm"](3, 4).init(jax.random.key(0))
    weights = to_keras("lstm", params)
    with h5py.File(tmp_path / "old.hdf5", "w") as file:
        root = file.create_group(inside) if inside else file
        root.attrs["layer_names"] = np.array([b"lstm_1", b"dropout_1", b"dense_1"])
        for layer, arrays in {
            "lstm_1": {f"lstm_1/{cell}{name}:0": array for name, array in weights.items()},
            "dropout_1": {},
            "dense_1": {"dense_1/kernel:0": np.ones((4, 6)), "dense_1/bias:0": np.ones(6)},
        }.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in arrays], "S40")
            for name, array in arrays.items():
                group[name] = array
        if inside:
            file["optimizer_weights/iterations:0"] = 3
    layers = load_keras(tmp_path / "old.hdf5")
    assert list(layers) == ["lstm_1", "dense_1"]
    jax.tree.map(np.testing.assert_array_equal, from_keras("lstm", layers["lstm_1"]), params)
    assert {n: a.shape for n, a in layers["dense_1"].items()} == {"kernel": (4, 6), "bias": (6,)}


def test_a_long_list_of_layers_in_pieces(tmp_path):
    """What does not fit an attribute's 64 kB, Keras cuts into layer_names0, layer_names1, ..."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "long.h5", "w") as file:
        for k in range(11):
            name = f"dense_{k}".encode()
            file.attrs[f"layer_names{k}"] = np.array([name])
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([name + b"/kernel:0"])
            group[name + b"/kernel:0"] = np.full((1, 1), k)
    assert list(load_keras(tmp_path / "long.h5")) == [f"dense_{k}" for k in range(11)]


def test_damaged_keras_files(tmp_path):
    pytest.importorskip("h5py")
    whole = tmp_path / "whole.h5"
    save_keras(whole, {"head": {"kernel": np.ones((3, 4))}})
    without_trees = whole.read_bytes().replace(b"TREE", b"FALL")
    assert without_trees != whole.read_bytes()
    (tmp_path / "trees.h5").write_bytes(without_trees)
    with zipfile.ZipFile(tmp_path / "whole.keras", "w") as archive:
        archive.write(whole, "model.weights.h5")
    packed = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "crc.keras").write_bytes(packed.replace(b"TREE", b"FALL"))
    assert load_keras(whole).keys() == load_keras(tmp_path / "whole.keras").keys() == {"head"}
    for name in ("trees.h5", "crc.keras"):
        with pytest.raises(ValueError, match=f"{name} is not an HDF5 file of Keras, or damaged"):
            load_keras(tmp_path / name)


def test_keras_refusals(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    with pytest.raises(FileNotFoundError, match=r"absent\.h5 does not exist"):
        load_keras(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("no signature")
    with pytest.raises(ValueError, match=r"text\.h5 is not an HDF5 file of Keras"):
        load_keras(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measurements"] = np.ones(3)
    with pytest.raises(ValueError, match="holds no weights of Keras layers"):
        load_keras(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="head/kernel:0 has dtype bfloat16; save it as float32"):
        save_keras(tmp_path / "a.h5", {"head": {"kernel": np.ones(3, ml_dtypes.bfloat16)}})
    for name in ("a.weights.h5", "a.npz"):
        with pytest.raises(ValueError, match=r"end it in \.h5, and not in \.weights\.h5"):
            save_keras(tmp_path / name, {})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"\[hdf5\]"):
        load_keras(tmp_path / "other.h5")
