"""Trained models to look at: those of a run, or one in a file of Keras."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.memorization.config import Config, cells
from jaxrnn.base import Cell, Params, widest_float
from jaxrnn.interop.files import load_keras
from jaxrnn.interop.keras import ORDERS, from_keras
from jaxrnn.models import TokenModel, build_model
from jaxrnn.runs.checking import members
from jaxrnn.runs.load import load

ENDINGS = (".h5", ".hdf5", ".keras")


class Trained(NamedTuple):
    """A model with its params.

    Attributes:
      name: of its cell.
      seed: it was trained with; None where nobody knows.
      cell: the evaluation model.
      params: its own.
    """

    name: str
    seed: int | None
    cell: Cell
    params: Params


def trained_in(directory: Path, config: Config) -> list[Trained]:
    """Every member of a run, the seeds of a cell together."""
    seeds, found = members(config.seed, config.seeds), []
    for number, name in enumerate(cells(config)):
        for k, seed in enumerate(seeds):
            # the last params: a phase goes back to its best ones by itself
            cell, params, _, _ = load(directory, number * len(seeds) + k, which="last")
            found.append(Trained(name, seed, cell, params))
    return found


def trained_by_keras(path: Path, vocab_size: int) -> Trained:
    """The notebook's model: an embedding, one recurrent layer, a dense one.

    Raises:
      FileNotFoundError; ImportError: no h5py; ValueError: another model, or one of another
        vocabulary.
    """
    layers = load_keras(path)
    recurrent = [each for each in layers.values() if "recurrent_kernel" in each]
    embeddings = [each for each in layers.values() if "embeddings" in each]
    dense = [each for each in layers.values() if {*each} == {"kernel", "bias"}]
    if not len(recurrent) == len(embeddings) == len(dense) == 1:
        raise ValueError(
            f"{path} has the layers {', '.join(layers)}; give an embedding, one recurrent layer "
            "and one dense layer"
        )
    (layer,), (embedding,), (head,) = recurrent, embeddings, dense
    size = len(layer["recurrent_kernel"])
    gates = layer["recurrent_kernel"].shape[1] // size
    name = {1: "elman", 3: "gru", 4: "lstm"}.get(gates, f"of {gates} gates")
    if name == "gru" and np.ndim(layer.get("bias", 0)) == 1:
        name = "gru_reset_before"
    if name not in ORDERS:
        raise ValueError(f"{path} has a layer {name}; give a SimpleRNN, GRU or LSTM")
    params = {
        "embed": {"w": embedding["embeddings"]},
        "layer_1": from_keras(name, layer),
        "head": {"w": head["kernel"], "b": head["bias"]},
    }
    width = embedding["embeddings"].shape[1]
    cell = build_model(
        TokenModel(vocab_size, vocab_size, cell=name, hidden_size=size, embedding_size=width)
    )
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    for (place, leaf), wanted in zip(
        jax.tree.leaves_with_path(params), jax.tree.leaves(shapes), strict=True
    ):
        if leaf.shape != wanted.shape:
            raise ValueError(
                f"{path} has {jax.tree_util.keystr(place)} of shape {leaf.shape}, the text needs "
                f"{wanted.shape}; give weights for its {vocab_size} symbols"
            )
    dtype = widest_float(params)
    return Trained(name, None, cell, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params))
