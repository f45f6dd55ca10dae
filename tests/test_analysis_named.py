"""The names of the values in a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from analysis_support import KEY, TOKENS, given
from jax.ad_checkpoint import checkpoint_name
from tiers import mostly_full

from jaxrnn import CELLS, Cell, chain, embed, gru, linear, lstm, pointwise
from jaxrnn.analysis.activations import activations
from jaxrnn.analysis.named import name_values
from jaxrnn.cells.lstm import LSTMCarry
from jaxrnn.jaxprs.equations import is_float
from jaxrnn.models import TokenModel, build_model


def test_gates_and_parts_of_parts_have_names():
    layers = chain(first=lstm(3, 4), second=gru(4, 4), smooth=pointwise(jax.nn.silu))
    model = chain(embed=embed(5, 3), layers=layers, head=linear(4, 5))
    params, carry = given(model)
    found = activations(model, params, carry, TOKENS)
    step = name_values(model, params, carry, TOKENS[0])
    assert step.carry == ("layers/first/h", "layers/first/c", "layers/second")
    assert step.first["layers/first/h"] == "layers/first"
    assert step.first["layers"] == "layers/smooth"
    assert list(step.shapes) == [
        "embed",
        *(f"layers/first/gate_{i}" for i in (1, 2, 3)),
        "layers/first/tanh_1",
        "layers/first/c",
        "layers/first/tanh_2",
        "layers/first",
        "layers/first/h",
        *(f"layers/second/gate_{i}" for i in (1, 2)),
        "layers/second/tanh",
        "layers/second",  # its carry too
        "layers/smooth/gate",  # inside a jitted function
        "layers/smooth",
        "layers",
        "head",
    ]
    named, first = found.named, found.carry["layers"]["first"]
    np.testing.assert_array_equal(named["layers/first"], first.h)
    np.testing.assert_array_equal(named["layers/first/c"], first.c)
    i, f, o, now, seen = (
        named[f"layers/first/{unit}"] for unit in ("gate_1", "gate_2", "gate_3", "tanh_1", "tanh_2")
    )
    before = jnp.concatenate([jnp.zeros((1, 4)), first.c[:-1]])
    np.testing.assert_allclose(first.c, f * before + i * now, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(first.h, o * seen, rtol=1e-5, atol=1e-7)


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
        named = name_values(model, *given(model), xs[0])
        gate, (carry,) = name.replace("forget", "gate"), named.carry
        assert named.units == {gate: "gate"}
        assert named.first == {gate: name, name: name, carry: carry}


def test_a_cell_that_maps_over_its_parts_has_plain_names():
    def step(params, carry, x):
        with jax.named_scope("gates"):
            gates = jax.vmap(jax.nn.sigmoid)(x)
        carry = jax.vmap(jax.named_scope("inner")(jnp.tanh))(gates * carry)
        return carry, carry

    model = chain(mine=Cell(lambda key: (), lambda params, key: jnp.zeros(3), step))
    names = ["mine/gates", "mine/gates/gate", "mine/inner", "mine", "mine/inner/tanh"]
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


def test_one_of_several_gates_is_nudged_alone():
    cell = lstm(3, 4)
    params, carry = cell.init(KEY), LSTMCarry(jnp.zeros(4), jnp.full(4, 0.3))
    x = jax.random.normal(KEY, (3,))
    named = name_values(cell, params, carry, x)
    assert named.carry == ("h", "c")
    plain, _ = cell.step(params, carry, x)
    moved, h = named.nudged(params, carry, x, "gate_2", jnp.ones(4))
    np.testing.assert_allclose(moved.c, plain.c + 0.3, rtol=1e-5)
    np.testing.assert_array_equal(h, moved.h)


def test_values_of_one_name_are_told_apart():
    """Two outputs of a part, a leaf of the carry that is called as gates are, and a part's carry
    that is not its output."""

    def first(params, carry, x):
        gate = jax.nn.sigmoid(x)
        return {"gate": carry["gate"] + x}, (2 * x, gate * carry["gate"])

    def second(params, carry, x):
        return carry + x[0], carry * x[1]

    zeros = jnp.zeros(3)
    model = chain(
        first=Cell(lambda key: (), lambda params, key: {"gate": zeros}, first),
        second=Cell(lambda key: (), lambda params, key: zeros, second),
    )
    named = name_values(model, *given(model), zeros)
    assert sorted(named.shapes) == [
        *("first/gate", "first/gate_2", "first/output_1", "first/output_2"),
        *("second", "second/carry"),
    ]
    assert named.carry == ("first/gate", "second/carry")
    assert named.units == {"first/gate_2": "gate"}


@pytest.mark.parametrize("name", mostly_full(CELLS, "gru", "lstm", "lru"))
def test_every_cell_is_what_its_named_step_is(name):
    sizes = TokenModel(7, 7, name, hidden_size=4, num_layers=2, embedding_size=3)
    cell = build_model(sizes, training=True)
    params, carry = given(cell)
    named = name_values(cell, params, carry, TOKENS[0])
    plain = cell.step(params, carry, TOKENS[0])
    *same, values = named.step(params, carry, TOKENS[0])
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert {"embed", "layer_1", "layer_2", "head"} <= values.keys()
    np.testing.assert_array_equal(values["head"], same[1])
    every = named.every(values)
    assert every.keys() == named.shapes.keys()
    leaves = [leaf for leaf in jax.tree.leaves(same[0]) if is_float(leaf)]
    for leaf, at in zip(leaves, named.carry, strict=True):
        np.testing.assert_array_equal(every[at], leaf)
