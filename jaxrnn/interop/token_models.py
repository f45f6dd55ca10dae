"""Whole models of tokens, from and to a PyTorch module of embedding, recurrent layers and a linear
head, and from a Keras model of the same layers:

    params = model_from_pytorch(config, module.state_dict())
    weights = model_to_pytorch(config, params)
    config, params = model_from_keras(load_keras("model.h5"), vocab_size)
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Params, widest_float
from jaxrnn.interop.gates import plain, require_names, require_shape
from jaxrnn.interop.keras import ORDERS, from_keras
from jaxrnn.interop.pytorch import from_pytorch, to_pytorch
from jaxrnn.models import TokenModel, build_model


class Names(NamedTuple):
    """What the module calls its parts; "" where the weights stand without a name before them."""

    embedding: str = "embedding"
    rnn: str = "rnn"
    linear: str = "linear"


DEFAULT_NAMES = Names()


def model_to_pytorch(
    model: TokenModel, params: Params, names: Names = DEFAULT_NAMES, *, bias: bool = True
) -> dict[str, np.ndarray]:
    """Params of `build_model(model)` as the `state_dict` of such a module.

    Args:
      model: embedding_size 0 has no embedding: the module gives its rnn one-hot vectors. Of a tied
        one both matrices are there, as such a module has them.
      params: of the model.
      names: the module's attributes.
      bias: False for an rnn made with `bias=False`.

    Raises:
      ValueError: as `to_pytorch`; a part of the model that such a module does not have.
    """
    layers = _layers(model)
    weights = {}
    if model.embedding_size:
        embedding = params["head"]["w"].T if model.tied else params["embed"]["w"]
        weights[f"{_prefix(names.embedding)}weight"] = np.array(embedding, order="C")
    weights |= to_pytorch(
        model.cell, [params[name] for name in layers], prefix=_prefix(names.rnn), bias=bias
    )
    linear = _prefix(names.linear)
    weights[f"{linear}weight"] = np.ascontiguousarray(np.array(params["head"]["w"]).T)
    weights[f"{linear}bias"] = np.array(params["head"]["b"])
    return weights


def model_from_pytorch(
    model: TokenModel, weights: Mapping[str, Any], names: Names = DEFAULT_NAMES
) -> Params:
    """The inverse; a linear head without a bias has ours zero.

    Raises:
      ValueError: names the array that is missing, unexpected or of another shape than the model
        has it; a part of the model that such a module does not have; a tied model whose two
        matrices differ.
    """
    layers = _layers(model)
    build_model(model)  # says what is wrong with the config
    like = jax.eval_shape(build_model(replace(model, tied=False)).init, jax.random.key(0))
    embedding, rnn, linear = (_prefix(name) for name in names)
    of_rnn = {name: value for name, value in weights.items() if _of_rnn(name, rnn)}
    rest = {name: value for name, value in weights.items() if name not in of_rnn}
    required = [f"{linear}weight"] + [f"{embedding}weight"] * bool(model.embedding_size)
    require_names(rest, required, [f"{linear}bias"], of="weights")
    found = from_pytorch(model.cell, of_rnn, prefix=rnn)
    if len(found) != len(layers):
        raise ValueError(
            f"weights have {len(found)} layers under {names.rnn!r}; "
            f"num_layers of the model is {len(layers)}"
        )
    params = like | dict(zip(layers, found, strict=True))
    arrays = {name: plain(name, value) for name, value in rest.items()}
    head = arrays[f"{linear}weight"].T
    params["head"] = {"w": head, "b": arrays.get(f"{linear}bias", np.zeros(head.shape[1:]))}
    if model.embedding_size:
        params["embed"] = {"w": arrays[f"{embedding}weight"]}
    _require_shapes(params, like, "the model")
    if model.tied:
        if not np.array_equal(params["embed"]["w"], head.T):
            raise ValueError(
                f"the model is tied, and {embedding}weight differs from {linear}weight; "
                "give a model with tied=False"
            )
        params["embed"], like["embed"] = {"w": ()}, {"w": ()}
    return _of_one_type(params)


def model_from_keras(
    layers: Mapping[str, Mapping[str, Any]], vocab_size: int
) -> tuple[TokenModel, Params]:
    """The model of `vocab_size` tokens that a Keras model is, with its params.

    Args:
      layers: an embedding, one recurrent layer and a dense one, as `load_keras` returns them.
      vocab_size: of the tokens, the one of padding with it.

    Raises:
      ValueError: other layers, or those of another vocabulary.
    """
    recurrent = [each for each in layers.values() if "recurrent_kernel" in each]
    embeddings = [each["embeddings"] for each in layers.values() if "embeddings" in each]
    dense = [each for each in layers.values() if {*each} == {"kernel", "bias"}]
    if not len(recurrent) == len(embeddings) == len(dense) == 1:
        raise ValueError(
            f"the layers are {', '.join(layers)}; give an embedding, one recurrent layer and one "
            "dense layer"
        )
    (layer,), (embedding,), (head,) = recurrent, embeddings, dense
    size, width = layer["recurrent_kernel"].shape
    cell = {1: "elman", 3: "gru", 4: "lstm"}.get(width // size, f"of {width // size} gates")
    if cell == "gru" and np.ndim(layer.get("bias", 0)) == 1:
        cell = "gru_reset_before"
    if cell not in ORDERS:
        raise ValueError(f"the recurrent layer is one {cell}; give a SimpleRNN, GRU or LSTM")
    columns = embedding.shape[1]
    model = TokenModel(vocab_size, vocab_size, cell, hidden_size=size, embedding_size=columns)
    params = {
        "embed": {"w": embedding},
        "layer_1": from_keras(cell, layer),
        "head": {"w": head["kernel"], "b": head["bias"]},
    }
    like = jax.eval_shape(build_model(model).init, jax.random.key(0))
    _require_shapes(params, like, f"a vocabulary of {vocab_size} symbols")
    return model, _of_one_type(params)


def _require_shapes(params: Params, like: Params, why: str) -> None:
    for (path, leaf), expected in zip(
        jax.tree.leaves_with_path(params), jax.tree.leaves(like), strict=True
    ):
        require_shape(f"params{jax.tree_util.keystr(path)}", leaf, expected.shape, why)


def _of_one_type(params: Params) -> Params:
    dtype = widest_float(params)
    return jax.tree.map(lambda leaf: jnp.array(leaf, dtype), params)


def _layers(model: TokenModel) -> list[str]:
    """The names of the recurrent layers, the first one first.

    Raises: ValueError, a field for which a module would compute something else on these weights.
    """
    without = {"connect": "plain", "zoneout": 0.0, "learnt_carry": False, "capitals": ()}
    without |= {"dense_size": 0, "block": "plain", "heads": 1}
    for name, plain_value in without.items():
        if (value := getattr(model, name)) != plain_value:
            raise ValueError(
                f"{name} of the model is {value!r:.60}, which a module of embedding, recurrent "
                f"layers and a linear head does not have; give a model with {name}={plain_value!r}"
            )
    return [f"layer_{k}" for k in range(1, model.num_layers + 1)]


def _prefix(name: str) -> str:
    return f"{name}." if name else ""


def _of_rnn(name: str, rnn: str) -> bool:
    parts = ("weight_ih_l", "weight_hh_l", "weight_hr_l", "bias_ih_l", "bias_hh_l")
    return name.startswith(tuple(f"{rnn}{part}" for part in parts))
