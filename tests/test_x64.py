"""`jax_enable_x64`, set by another part of a program, changes no type and no draw of a float32
model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    CELLS,
    OPTIMIZERS,
    STYLES,
    Batch,
    bidirectional,
    chain,
    computing_in,
    decaying,
    dropout,
    embed,
    generate,
    gru,
    learnt_carry,
    linear,
    lstm,
    one_hot,
    resettable,
    residual,
    tbptt,
    unroll,
    unroll_padded,
    variational_dropout,
    weight_drop,
    zoneout,
)
from jaxrnn.analysis.connectivity import SQUARED, connectivity
from jaxrnn.analysis.flow import gradient_flow, lyapunov_exponents
from jaxrnn.analysis.vectors import to_vector
from jaxrnn.base import named_leaves
from jaxrnn.candidates import draw_negatives
from jaxrnn.data.synthetic import TOY, lag_sequence
from jaxrnn.gradients.artbp import artbp_chances
from jaxrnn.gradients.cutting import draw_factors
from jaxrnn.interop import from_keras, from_pytorch, to_keras, to_pytorch
from jaxrnn.models import TokenModel, build_model, cross_entropy

KEY = jax.random.key(0)
WIDE = {"float64", "complex128"}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def params_of(cell):
    """The shapes of params as float32 programs have them."""
    kinds = {"float64": jnp.float32, "complex128": jnp.complex64}
    shapes = jax.eval_shape(cell.init, KEY)
    return jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, kinds.get(str(a.dtype), a.dtype)), shapes
    )


def wide(tree):
    return {
        name: leaf.dtype for name, leaf in named_leaves(tree).items() if str(leaf.dtype) in WIDE
    }


def types(tree):
    return jax.tree.map(lambda leaf: leaf.dtype, tree)


MODELS = {
    "one_hot": chain(first=one_hot(5), layer=gru(5, 4), head=linear(4, 5)),
    "embed": chain(first=embed(5, 3), layer=learnt_carry(lstm(3, 4)), head=linear(4, 5)),
    "dropout": chain(first=one_hot(5), drop=dropout(0.5), layer=zoneout(gru(5, 5), 0.1)),
    "capitals": build_model(TokenModel(3, 5, "gru", 4, capitals=((0, 0), (0, 1), (1, 0)))),
    "skip": build_model(TokenModel(5, 5, "lstm", 4, num_layers=2, connect="skip")),
    "bfloat16": build_model(TokenModel(5, 5, "gru", 4, embedding_size=3, precision="bfloat16")),
}
ESTIMATORS = {
    name: lambda cell, style=style: style(cell, cross_entropy, 4, 4)
    for name, style in STYLES.items()
}
ESTIMATORS |= {
    "overlapping": lambda cell: tbptt(cell, cross_entropy, window=4, stride=2),
    "weight_drop": lambda cell: weight_drop(ESTIMATORS["bptt"](cell), 0.5),
}


@pytest.mark.parametrize(
    ("model", "style"),
    [("one_hot", style) for style in ESTIMATORS] + [(model, "bptt") for model in list(MODELS)[1:]],
)
def test_gradients_carries_and_losses_follow_params(model, style):
    cell = MODELS[model]
    estimator, params = ESTIMATORS[style](cell), params_of(cell)
    tokens = jax.ShapeDtypeStruct((4, 2), jnp.int32)
    carry = jax.eval_shape(lambda params: estimator.init(params, KEY, 2), params)
    grads, after, metrics = jax.eval_shape(estimator.estimate, params, carry, Batch(tokens, tokens))
    assert types(grads) == types(params)
    assert types(after) == types(carry)
    assert not wide((carry, metrics))


AROUND = {name: make(3, 4) for name, make in CELLS.items()} | {
    "dropout": chain(drop=dropout(0.5), layer=gru(3, 4)),
    "variational_dropout": chain(drop=variational_dropout(0.5), layer=gru(3, 4)),
    "zoneout": zoneout(gru(3, 4), 0.1),
    "zoneout, evaluation": zoneout(gru(3, 4), 0.1, training=False),
    "learnt_carry": learnt_carry(CELLS["lru"](3, 4)),
    "residual": chain(first=linear(3, 4), second=residual(gru(4, 4))),
    "computing_in": computing_in(gru(3, 4), jnp.bfloat16),
    "learnt_carry(computing_in)": learnt_carry(computing_in(gru(3, 4), jnp.bfloat16)),
    "resettable": resettable(gru(3, 4)),
}


@pytest.mark.parametrize("name", AROUND)
def test_a_cell_has_the_types_of_its_params(name):
    """In all that it computes, not only in what it gives."""
    cell, params = AROUND[name], params_of(AROUND[name])
    x = jax.ShapeDtypeStruct((3,), jnp.float32)
    given = (x, jax.ShapeDtypeStruct((), bool)) if name == "resettable" else x
    carry = jax.eval_shape(cell.init_carry, params, KEY)
    closed, (after, _) = jax.make_jaxpr(cell.step, return_shape=True)(params, carry, given)
    assert not wide(closed.out_avals)
    assert not wide([v.aval for equation in closed.jaxpr.eqns for v in equation.outvars])
    assert types(after) == types(carry)


def test_a_learnt_carry_has_the_type_of_its_params():
    cell = gru(3, 4)

    def init(key):
        return jax.tree.map(lambda a: a.astype(jnp.float32), cell.init(key))

    assert not wide(jax.eval_shape(learnt_carry(cell._replace(init=init)).init, KEY))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("decay", "warmup"), [("none", 2), ("linear", 0), ("cosine", 2)])
def test_an_optimizers_state_keeps_its_types(name, decay, warmup):
    optimizer = decaying(OPTIMIZERS[name](), decay, 10, warmup=warmup)
    for kind in (jnp.float32, jnp.float64):
        params = {"w": jax.ShapeDtypeStruct((2, 2), kind)}
        before = jax.eval_shape(optimizer.init, params)
        updates, after = jax.eval_shape(optimizer.update, params, before, params)
        assert types(after) == types(before)
        assert types(updates) == types(params)


def test_a_bare_one_hot_vector_is_float32_and_takes_the_type_of_weights():
    tokens = jax.ShapeDtypeStruct((4, 2), jnp.int32)
    assert not wide(jax.eval_shape(lambda xs: unroll(one_hot(5), (), (), xs), tokens))
    _, vector = one_hot(5).step((), (), jnp.int32(2))
    for kind in (jnp.bfloat16, jnp.float32, jnp.float64):
        assert (vector @ jnp.ones((5, 2), kind)).dtype == kind


def test_padding_both_ends_and_samples():
    cell = MODELS["embed"]
    params = params_of(cell)

    def run(params, tokens, lengths):
        keys = jax.random.split(KEY, 2)
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
        both = (cell, cell), (params, params), (carry, carry)
        return (
            unroll_padded(cell, params, carry, tokens, lengths),
            bidirectional(*both[0], *both[1:], tokens, lengths),
            generate(cell, params, KEY, tokens, 3, prompt_length=lengths, top_k=2, top_p=0.5),
        )

    tokens, lengths = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((4, 2), (2,)))
    found = jax.eval_shape(run, params, tokens, lengths)
    assert not wide(found)
    assert found[2].dtype == jnp.int32


@pytest.mark.full
def test_draws_are_those_of_a_program_without_it():
    layer = zoneout(gru(3, 3), 0.5)

    def drawn():
        def step(cell, params):
            carry = cell.init_carry(params, KEY)
            return cell.step(params, carry, jnp.ones(3, jnp.float32))

        ones = jax.tree.map(lambda a: jnp.ones(a.shape, jnp.float32), params_of(layer))
        return (
            step(dropout(0.5), ())[1],
            step(variational_dropout(0.5), ())[1],
            step(layer, ones)[1],
            draw_factors(KEY, artbp_chances(3, 20)),
            draw_negatives(KEY, 30, 5),
            lag_sequence(TOY, KEY, 30),
        )

    found = drawn()
    with jax.enable_x64(False):
        expected = drawn()
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert types(found) == types(expected)


def test_analysis_has_the_types_of_what_is_analysed():
    cell = CELLS["lru"](3, 4)
    params = params_of(cell)
    carry = jax.eval_shape(cell.init_carry, params, KEY)
    xs = jax.ShapeDtypeStruct((6, 3), jnp.float32)
    targets = jax.ShapeDtypeStruct((6,), jnp.int32)

    def analysed(params, carry, xs, targets):
        return (
            connectivity(cell, params, carry, xs, targets, SQUARED),
            gradient_flow(cell, params, carry, xs, ends=[4], lags=3, singular_values=2),
            lyapunov_exponents(cell, params, carry, xs, KEY),
            to_vector(carry),
        )

    assert not wide(jax.eval_shape(analysed, params, carry, xs, targets))


def test_weights_keep_their_types():
    params = jax.tree.map(lambda a: a.astype(jnp.float32), lstm(3, 4).init(KEY))
    for kind in (np.float32, np.float64):
        there = {name: a.astype(kind) for name, a in to_pytorch("lstm", [params]).items()}
        keras = {name: a.astype(kind) for name, a in to_keras("lstm", params).items()}
        for found in (*from_pytorch("lstm", there), from_keras("lstm", keras)):
            assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(kind)}
