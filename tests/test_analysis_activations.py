"""What is seen of a cell's inside, and when a unit counts as saturated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from jaxrnn import Cell, chain, dropout, embed, gru, linear, lstm, pointwise, unroll
from jaxrnn.analysis.activations import activations, saturation, saturations
from jaxrnn.analysis.named import name_values

KEY = jax.random.key(0)
TOKENS = jnp.array([1, 3, 0, 2, 2, 4])


def given(model):
    params = model.init(KEY)
    return params, model.init_carry(params, KEY)


def test_activations_are_those_of_unroll():
    model = chain(embed=embed(5, 3), layer=lstm(3, 4), drop=dropout(0.5), head=linear(4, 5))
    params, carry = given(model)

    @jax.jit
    def both(params, carry):
        alone = jax.tree.map(lambda a: a[None], carry)
        unrolled = unroll(model, params, alone, TOKENS[:, None])
        return activations(model, params, carry, TOKENS), unrolled

    found, (last, ys) = both(params, carry)
    np.testing.assert_allclose(found.ys, ys[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.named["embed"], params["embed"]["w"][TOKENS])
    np.testing.assert_array_equal(found.named["head"], found.ys)
    np.testing.assert_allclose(found.carry["layer"].c[-1], last["layer"].c[0], rtol=1e-5)
    drop, h = found.named["drop"], found.carry["layer"].h
    np.testing.assert_array_equal(drop, jnp.where(drop == 0, 0, 2 * h))


def test_gates_and_parts_of_parts_have_names():
    layers = chain(first=lstm(3, 4), second=gru(4, 4), smooth=pointwise(jax.nn.silu))
    model = chain(embed=embed(5, 3), layers=layers, head=linear(4, 5))
    params, carry = given(model)
    found = activations(model, params, carry, TOKENS)
    assert list(name_values(model, params, carry, TOKENS[0]).shapes) == [
        "embed",
        "layers/first/logistic",
        "layers/first/tanh",
        "layers/first/tanh_1",
        "layers/first",
        "layers/second/logistic",
        "layers/second/tanh",
        "layers/second",
        "layers/smooth/logistic",  # inside a jitted function
        "layers/smooth",
        "layers",
        "head",
    ]
    named, carry = found.named, found.carry
    np.testing.assert_array_equal(named["layers/first"], carry["layers"]["first"].h)
    gates, candidate = named["layers/first/logistic"], named["layers/first/tanh"]
    before = jnp.concatenate([jnp.zeros((1, 4)), carry["layers"]["first"].c[:-1]])
    i, f, _ = jnp.split(gates, 3, axis=1)
    expected = f * before + i * candidate
    np.testing.assert_allclose(carry["layers"]["first"].c, expected, rtol=1e-5, atol=1e-7)


def test_a_cell_can_name_its_own():
    def step(params, carry, x):
        forget = checkpoint_name(jax.nn.sigmoid(x), "forget")
        carry = forget * carry + x
        return carry, carry

    cell = Cell(lambda key: (), lambda params, key: jnp.zeros(3), step)
    xs = jax.random.normal(KEY, (6, 3))
    for model, name in ((cell, "forget"), (chain(mine=cell), "mine/forget")):
        found = activations(model, *given(model), xs)
        np.testing.assert_allclose(found.named[name], jax.nn.sigmoid(xs), rtol=1e-6)


def test_a_cell_that_maps_over_its_parts_has_plain_names():
    def step(params, carry, x):
        with jax.named_scope("gates"):
            gates = jax.vmap(jax.nn.sigmoid)(x)
        carry = jax.vmap(jax.named_scope("inner")(jnp.tanh))(gates * carry)
        return carry, carry

    model = chain(mine=Cell(lambda key: (), lambda params, key: jnp.zeros(3), step))
    names = ["mine/gates/logistic", "mine/gates", "mine/inner/tanh", "mine/inner", "mine"]
    assert list(name_values(model, *given(model), jnp.ones(3)).shapes) == names


def test_a_nudge_moves_what_follows_and_nothing_before():
    model = chain(embed=embed(5, 3), first=lstm(3, 4), second=gru(4, 4))
    params, carry = given(model)
    named = name_values(model, params, carry, TOKENS[0])
    plain = model.step(params, carry, TOKENS[0])
    still = named.nudged(params, carry, TOKENS[0], "first", jnp.zeros(4))
    moved = named.nudged(params, carry, TOKENS[0], "first", jnp.ones(4))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(still), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(moved[0]["first"].c, plain[0]["first"].c)
    by_hand, _ = gru(4, 4).step(params["second"], carry["second"], plain[0]["first"].h + 1)
    np.testing.assert_allclose(moved[0]["second"], by_hand, rtol=1e-5)


def test_saturation_counts_the_ends_of_the_range():
    values = jnp.array([[0.05, 0.5], [0.95, 0.5], [0.97, 0.05], [0.5, 0.2]])
    found = saturation(values, 0.0, 1.0)
    np.testing.assert_allclose(found.low, [0.25, 0.25])
    np.testing.assert_allclose(found.high, [0.5, 0.0])
    wide = saturation(2 * values - 1, -1.0, 1.0, margin=0.25)
    np.testing.assert_allclose(wide.low, [0.25, 0.5])
    np.testing.assert_allclose(wide.high, [0.5, 0.0])


def test_every_gate_of_a_model_has_its_saturation():
    model = chain(embed=embed(5, 3), layer=lstm(3, 4), head=linear(4, 5))
    params, carry = given(model)
    open_all = params | {"layer": params["layer"]._replace(b=jnp.full(16, 50.0))}
    found = saturations(activations(model, open_all, carry, TOKENS).named)
    assert found.keys() == {"layer/logistic", "layer/tanh", "layer/tanh_1"}
    np.testing.assert_array_equal(found["layer/logistic"].high, np.ones(12))
    np.testing.assert_array_equal(found["layer/tanh"].low, np.zeros(4))


def test_what_is_refused():
    model = chain(embed=embed(5, 3))
    params, carry = given(model)
    with pytest.raises(ValueError, match=r"xs has leaves of shapes \[\(0,\)\]"):
        activations(model, params, carry, TOKENS[:0])
    with pytest.raises(ValueError, match=r"margin is 0\.0"):
        saturation(jnp.zeros(3), 0.0, 1.0, margin=0.0)
    with pytest.raises(ValueError, match="lowest is 1"):
        saturation(jnp.zeros(3), 1.0, 1.0)
