"""Weights from and to Keras 3, against Keras itself on JAX."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import CELLS, unroll
from jaxrnn.interop import from_keras, to_keras
from jaxrnn.interop.keras import NAMES, ORDERS

os.environ["KERAS_BACKEND"] = "jax"
keras = pytest.importorskip("keras")

# Keras 3.15 reads its own variables in a way that numpy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

T, B, INPUT, HIDDEN = 7, 3, 5, 4
TOLERANCE = 1e-5
CELL_NAMES = [name for name in ORDERS if name in CELLS]


@pytest.fixture(autouse=True)
def as_keras_needs_it():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def make(cell, use_bias=True):
    kinds = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
    options = {"gru_reset_before": {"reset_after": False}, "elman_relu": {"activation": "relu"}}
    kind = kinds.get(cell.partition("_")[0], keras.layers.SimpleRNN)
    layer = kind(HIDDEN, return_sequences=True, use_bias=use_bias, **options.get(cell, {}))
    layer.build((None, None, INPUT))
    generator = np.random.default_rng(0)
    layer.set_weights([generator.standard_normal(a.shape) / 2 for a in layer.get_weights()])
    return layer


def drawn(cell):
    generator = np.random.default_rng(2)
    params = CELLS[cell](INPUT, HIDDEN).init(jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.array(generator.standard_normal(a.shape) / 2, a.dtype), params
    )


def both(cell, params, layer):
    """Outputs [T, B, H] of ours and of theirs."""
    xs = np.random.default_rng(1).standard_normal((T, B, INPUT)).astype(np.float32)
    made = CELLS[cell](INPUT, HIDDEN)
    carry = jax.vmap(made.init_carry, (None, 0))(params, jax.random.split(jax.random.key(0), B))
    theirs = np.swapaxes(np.asarray(layer(np.swapaxes(xs, 0, 1))), 0, 1)
    return np.asarray(unroll(made, params, carry, jnp.array(xs))[1]), theirs


@pytest.mark.parametrize("use_bias", mostly_full([True, False], True))
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_outputs_of_a_keras_layer(cell, use_bias):
    layer = make(cell, use_bias)
    params = from_keras(cell, dict(zip(NAMES, layer.get_weights(), strict=False)))
    ours, theirs = both(cell, params, layer)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_outputs_of_our_layer_in_keras(cell):
    layer, params = make(cell), drawn(cell)
    weights = to_keras(cell, params)
    assert tuple(weights) == NAMES
    layer.set_weights(list(weights.values()))
    ours, theirs = both(cell, params, layer)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_there_and_back_is_exact(cell):
    params = drawn(cell)
    weights = to_keras(cell, params)
    back = from_keras(cell, weights)
    jax.tree.map(np.testing.assert_array_equal, back, params)
    jax.tree.map(np.testing.assert_array_equal, to_keras(cell, back), weights)


GRU = {"kernel": np.ones((5, 12)), "recurrent_kernel": np.ones((4, 12)), "bias": np.ones((2, 12))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": None}, "weights lacks kernel"),
        ({"moving_mean": np.ones(3)}, "weights holds moving_mean"),
        ({"kernel": np.ones((5, 16))}, "kernel has shape (5, 16); gru of hidden_size 4 takes"),
        ({"recurrent_kernel": np.ones((4, 16))}, "recurrent_kernel has shape (4, 16)"),
        ({"kernel": np.ones(12)}, "kernel has shape (12,); give a matrix"),
        ({"bias": np.ones(12)}, "reset_after=False; give cell 'gru_reset_before' in place of"),
        ({"bias": np.ones(25)}, "bias has shape (25,)"),
    ],
)
def test_weights_that_do_not_fit(change, message):
    weights = {n: a for n, a in (GRU | change).items() if a is not None}
    with pytest.raises(ValueError, match=r".*") as caught:
        from_keras("gru", weights)
    assert message in str(caught.value)


def test_a_bias_without_a_place():
    assert "bias" not in to_keras("lstm", drawn("lstm")._replace(b=jnp.zeros(16)), use_bias=False)
    with pytest.raises(ValueError, match=r"bias is not zero .*give use_bias=True"):
        to_keras("lstm", drawn("lstm"), use_bias=False)
    with pytest.raises(ValueError, match="cell is 'mgu'; Keras has elman"):
        to_keras("mgu", drawn("lstm"))
