"""Weights from and to Flax's cells, against Flax itself."""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from flax import nnx
from tiers import mostly_full

from jaxrnn import CELLS, unroll
from jaxrnn.interop import from_flax, to_flax

T, B, INPUT, HIDDEN = 7, 3, 5, 4
TOLERANCE = 1e-5

LINEN = {
    "elman": nn.SimpleCell(HIDDEN),
    "elman_relu": nn.SimpleCell(HIDDEN, activation_fn=nn.relu),
    "gru": nn.GRUCell(HIDDEN),
    "lstm": nn.OptimizedLSTMCell(HIDDEN),
}
NNX = {
    "elman": ("nnx", nnx.SimpleCell),
    "gru": ("nnx", nnx.GRUCell),
    "lstm": ("nnx", nnx.OptimizedLSTMCell),
    "lstm, a matrix a gate": ("nnx.LSTMCell", nnx.LSTMCell),
}


@pytest.fixture(autouse=True)
def as_flax_needs_it():
    with jax.numpy_rank_promotion("allow"):
        yield


def drawn(cell):
    return some_params(CELLS[cell](INPUT, HIDDEN), seed=2)


XS = np.random.default_rng(1).standard_normal((T, B, INPUT)).astype(np.float32)


def ours(cell, params):
    made = CELLS[cell](INPUT, HIDDEN)

    @jax.jit
    def outputs(params, xs):
        keys = jax.random.split(jax.random.key(0), B)
        carry = jax.vmap(made.init_carry, (None, 0))(params, keys)
        return unroll(made, params, carry, xs)[1]

    return np.asarray(outputs(params, XS))


@pytest.mark.parametrize("cell", mostly_full([name for name in LINEN if name in CELLS], "lstm"))
def test_linen(cell):
    params = drawn(cell)
    layer = cast(Any, nn.RNN(LINEN[cell], time_major=True))
    apply = jax.jit(layer.apply)
    theirs = apply({"params": {"cell": to_flax(cell, params)}}, XS)
    np.testing.assert_allclose(theirs, ours(cell, params), rtol=0, atol=TOLERANCE)

    shapes = jax.eval_shape(layer.init, jax.random.key(3), XS)
    generator = np.random.default_rng(3)
    variables = jax.tree.map(lambda a: np.float32(generator.standard_normal(a.shape)), shapes)
    params = from_flax(cell, variables["params"]["cell"])
    theirs = apply(variables, XS)
    np.testing.assert_allclose(ours(cell, params), theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", mostly_full(NNX, next(iter(NNX))))
def test_nnx(name):
    cell = name.partition(",")[0]
    style, kind = NNX[name]
    params = drawn(cell)
    if cell == "gru":
        params = params._replace(b_hn=jnp.zeros(HIDDEN))
    module = kind(INPUT, HIDDEN, rngs=nnx.Rngs(0))
    layer = cast(Any, nnx.RNN(module, time_major=True, rngs=nnx.Rngs(1)))
    first = from_flax(cell, nnx.to_pure_dict(nnx.state(module)), style=style)
    np.testing.assert_allclose(layer(XS), ours(cell, first), rtol=0, atol=TOLERANCE)
    nnx.update(module, to_flax(cell, params, style=style))
    np.testing.assert_allclose(layer(XS), ours(cell, params), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("cell", [name for name in LINEN if name in CELLS])
@pytest.mark.parametrize("style", ["linen", "nnx"])
def test_there_and_back_is_exact(cell, style):
    params = drawn(cell)
    if (cell, style) == ("gru", "nnx"):
        params = params._replace(b_hn=jnp.zeros(HIDDEN))
    back = from_flax(cell, to_flax(cell, params, style=style), style=style)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_what_does_not_fit():
    weights = to_flax("lstm", drawn("lstm"))
    with pytest.raises(ValueError, match=r"weights lacks dense_i\.kernel, dense_h\.kernel"):
        from_flax("lstm", weights, style="nnx")
    with pytest.raises(ValueError, match=r"weights holds norm\.scale"):
        from_flax("lstm", weights | {"norm": {"scale": np.ones(3)}})
    wrong = weights | {"hf": {"kernel": np.ones((3, 4)), "bias": np.ones(4)}}
    with pytest.raises(ValueError, match=r"hf\.kernel has shape \(3, 4\); lstm of hidden_size 4"):
        from_flax("lstm", wrong)
    with pytest.raises(ValueError, match="b_hn is not zero"):
        to_flax("gru", drawn("gru"), style="nnx")
    with pytest.raises(ValueError, match=r"Flax \(nnx\.LSTMCell\) has lstm"):
        to_flax("gru", drawn("gru"), style="nnx.LSTMCell")
