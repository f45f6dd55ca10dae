"""Whole models of tokens, from and to a PyTorch module of embedding, recurrent layers and a linear
head:

    params = model_from_pytorch(config, module.state_dict())
    weights = model_to_pytorch(config, params)
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Params, widest_float
from jaxrnn.interop.gates import plain, require_names, require_shape
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
    """The way back; a linear head without a bias has ours zero.

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
    for (path, leaf), expected in zip(
        jax.tree.leaves_with_path(params), jax.tree.leaves(like), strict=True
    ):
        require_shape(f"params{jax.tree_util.keystr(path)}", leaf, expected.shape, "the model")
    if model.tied:
        if not np.array_equal(params["embed"]["w"], head.T):
            raise ValueError(
                f"the model is tied, and {embedding}weight differs from {linear}weight; "
                "give a model with tied=False"
            )
        params["embed"], like["embed"] = {"w": ()}, {"w": ()}
    dtype = widest_float(params)
    return jax.tree.map(lambda leaf: jnp.array(leaf, dtype), params)


def _layers(model: TokenModel) -> list[str]:
    """The names of the recurrent layers, the first one first.

    Raises: ValueError, a field for which a module would compute something else on these weights.
    """
    without = {"connect": "plain", "zoneout": 0.0, "learnt_carry": False, "capitals": ()}
    without["dense_size"] = 0
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
