"""Weights of layers that are almost those we have: converted, or named for what they are."""

import jax
import numpy as np
import pytest

from jaxrnn import CELLS
from jaxrnn.interop.keras import from_keras, to_keras
from jaxrnn.interop.pytorch import from_pytorch, to_pytorch

INPUTS, H = 3, 4
CUDNN = {"lstm": 4, "gru": 3}


def random_params(cell):
    params = CELLS[cell](INPUTS, H).init(jax.random.key(0))
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda a: generator.normal(size=a.shape).astype(np.float32), params)


def as_cudnn(kernel, gates):
    """Of Keras's own conversion (2.3, `engine/saving.py`), the way to cuDNN's layout: each gate's
    matrix transposed, and its numbers written in the shape that it had."""
    blocks = np.split(kernel, gates, axis=1)
    return np.hstack([block.T.ravel().reshape(block.shape) for block in blocks])


@pytest.mark.parametrize("cell", CUDNN)
def test_cudnn_layers_of_old_keras(cell):
    params, gates = random_params(cell), CUDNN[cell]
    weights = to_keras(cell, params)
    bias = weights["bias"]
    given = {
        "kernel": as_cudnn(weights["kernel"], gates),
        "recurrent_kernel": as_cudnn(weights["recurrent_kernel"], gates),
        # cuDNN adds both; of an LSTM only their sum counts
        "bias": bias.ravel() if cell == "gru" else np.concatenate([bias - 1, np.ones_like(bias)]),
    }
    found = from_keras(cell, given)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, params)


def test_a_projected_lstm_is_named():
    weights = to_pytorch("lstm", [random_params("lstm")])
    weights["weight_hr_l0"] = np.ones((2, H), np.float32)
    weights["weight_hh_l0"] = weights["weight_hh_l0"][:, :2]
    with pytest.raises(ValueError, match=r"weight_hr_l0, of an nn\.LSTM with proj_size"):
        from_pytorch("lstm", weights)


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_params_without_bias_go_from_each_to_each(cell):
    params = random_params(cell)
    zero = {name: np.zeros_like(leaf) for name, leaf in params._asdict().items() if name[0] == "b"}
    params = params._replace(**zero)
    (layer,) = from_pytorch(cell, to_pytorch(cell, [params], bias=False))
    found = from_keras(cell, to_keras(cell, layer, use_bias=False))
    jax.tree.map(np.testing.assert_array_equal, found, params)
    for convert in (to_keras, to_pytorch):
        with pytest.raises(ValueError, match=r"params are list|layers is one"):
            convert(cell, [params] if convert is to_keras else params)
