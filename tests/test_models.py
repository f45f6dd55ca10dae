"""The experiments' models."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from tiers import mostly_full, of_kinds

from jaxrnn import CELLS, Cell, chain, dropout, embed, explain, linear, unroll
from jaxrnn.models import (
    TokenModel,
    build_model,
    count_parameters,
    cross_entropy,
    parameter_bytes,
)
from jaxrnn.runs.config import from_plain
from jaxrnn.token_model import Precision
from jaxrnn.unroll import Schedule

KEY = jax.random.key(0)
SMALL = TokenModel(vocab_size=7, output_size=5, hidden_size=4)


def shapes(config: TokenModel) -> dict:
    params = jax.eval_shape(build_model(config).init, KEY)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf.shape
        for path, leaf in jax.tree.leaves_with_path(params)
    }


def require_same_init(one: Cell, other: Cell) -> None:
    """By the programs that draw the params, which are not compiled for it."""
    assert str(jax.make_jaxpr(one.init)(KEY)) == str(jax.make_jaxpr(other.init)(KEY))


def test_parameter_trees():
    assert shapes(replace(SMALL, cell="elman")) == {
        "head.b": (5,),
        "head.w": (4, 5),
        "layer_1.w_ih": (7, 4),
        "layer_1.w_hh": (4, 4),
        "layer_1.b": (4,),
    }
    assert shapes(replace(SMALL, cell="elman", embedding_size=3, num_layers=2)) == {
        "embed.w": (7, 3),
        "head.b": (5,),
        "head.w": (4, 5),
        "layer_1.w_ih": (3, 4),
        "layer_1.w_hh": (4, 4),
        "layer_1.b": (4,),
        "layer_2.w_ih": (4, 4),
        "layer_2.w_hh": (4, 4),
        "layer_2.b": (4,),
    }


def test_blocks_add_to_a_stream_of_the_hidden_size():
    blocks = replace(SMALL, cell="elman", block="pre-norm", heads=2, convolution=3)
    inside = {"w_ih": (2, 4, 2), "w_hh": (2, 2, 2), "b": (2, 2)}
    expected = {
        "head.b": (5,),
        "head.w": (4, 5),
        "stream.b": (4,),
        "stream.w": (7, 4),
        "norm.scale": (4,),
        "layer_1.mixer.norm.scale": (4,),
        "layer_1.mixer.cell.convolution.w": (3, 4),
        "layer_1.mixer.cell.convolution.b": (4,),
        **{f"layer_1.mixer.cell.cell.{name}": shape for name, shape in inside.items()},
        "layer_1.mlp.norm.scale": (4,),
        "layer_1.mlp.mlp.w_in": (4, 22),
        "layer_1.mlp.mlp.w_out": (11, 4),
    }
    assert shapes(blocks) == expected
    # an embedding of that size is the stream
    of_stream = {name for name in expected if name.startswith("stream")}
    assert shapes(replace(blocks, embedding_size=4)).keys() == expected.keys() - of_stream | {
        "embed.w"
    }


def test_a_block_drops_of_both_that_it_adds():
    """And of the stream at first and at last; every mask has a key of its own."""
    model = replace(SMALL, cell="elman", block="pre-norm", num_layers=2, dropout=0.5)
    cell = build_model(model, training=True)
    carry = jax.eval_shape(lambda key: cell.init_carry(cell.init(key), key), KEY)
    keys = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in jax.tree.leaves_with_path(carry)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    ]
    places = {key.removesuffix(".0").removesuffix(".key") for key in keys}
    inside = {
        f"layer_{n}.{branch}" for n in (1, 2) for branch in ("mixer.cell.dropout", "mlp.behind")
    }
    assert places == {"dropout", "dropout_head", *inside}


@pytest.mark.parametrize("precision", get_args(Precision))
def test_blocks_draw_in_training_alone(precision):
    """Traced only; in full they are among all that a layer may have besides."""
    config = replace(SMALL, cell="elman", precision=precision, **EVERYTHING["blocks"])
    training, evaluation = (build_model(config, training=flag) for flag in (True, False))
    require_same_init(training, evaluation)
    params = jax.eval_shape(training.init, KEY)
    carry = jax.eval_shape(training.init_carry, params, KEY)
    assert carry == jax.eval_shape(evaluation.init_carry, params, KEY)
    draws = []
    for cell in (training, evaluation):
        program = jax.make_jaxpr(cell.step)(params, carry, jnp.int32(0))
        draws.append("random_bits" in str(program))
    assert draws == [True, False]


def test_heads_of_a_plain_layer():
    found = shapes(replace(SMALL, cell="elman", heads=2))
    assert found["layer_1.w_hh"] == (2, 2, 2)


# what surrounds the cells is the same for all
@pytest.mark.parametrize(
    ("name", "embedding_size"),
    mostly_full([("lstm", 0), *((name, 3) for name in of_kinds(CELLS))], ("lstm", 0), ("lru", 3)),
)
def test_tokens_to_logits(name, embedding_size):
    config = replace(SMALL, cell=name, embedding_size=embedding_size, num_layers=2, dropout=0.2)
    for training in (True, False):
        cell = build_model(config, training=training)

        def logits(key, tokens, cell=cell):
            params = cell.init(key)
            keys = jax.random.split(key, 2)
            carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
            return unroll(cell, params, carry, tokens)[1]

        assert jax.eval_shape(logits, KEY, jnp.zeros((3, 2), jnp.int32)).shape == (3, 2, 5)


@pytest.mark.parametrize(
    ("name", "rate"),
    mostly_full(
        [("lstm", 0.0), *((name, 0.3) for name in of_kinds(CELLS))], ("lstm", 0.0), ("lru", 0.3)
    ),
)
def test_the_evaluation_model_has_the_same_params_and_carry(name, rate):
    config = replace(SMALL, cell=name, num_layers=2, dropout=rate)
    training, evaluation = (build_model(config, training=flag) for flag in (True, False))
    require_same_init(training, evaluation)
    params = some_params(training)
    carries = [jax.eval_shape(cell.init_carry, params, KEY) for cell in (training, evaluation)]
    assert carries[0] == carries[1]


EVERYTHING = {
    "residual": {"connect": "residual", "dropout": 0.3},
    "skip": {"connect": "skip", "dropout": 0.3, "dropout_kind": "variational", "dropout_hold": 2},
    "zoneout": {"zoneout": 0.3, "learnt_carry": True},
    "tied": {"embedding_size": 4, "output_size": 7, "tied": True},
    "tied skip": {"embedding_size": 8, "output_size": 7, "tied": True, "connect": "skip"},
    "blocks": {"block": "pre-norm", "convolution": 3, "heads": 2, "dropout": 0.3, "zoneout": 0.3},
}


@pytest.mark.parametrize(
    ("kind", "precision"),
    mostly_full(
        itertools.product(EVERYTHING, get_args(Precision)),
        ("tied skip", "float32"),
    ),
)
def test_what_a_layer_may_have_besides(kind, precision):
    """Tokens to logits with gradients to all params, scheduled, from the same params and carries in
    evaluation."""
    config = replace(SMALL, cell="elman", num_layers=2, precision=precision, **EVERYTHING[kind])
    training, evaluation = (build_model(config, training=flag) for flag in (True, False))
    require_same_init(training, evaluation)
    params = some_params(training)
    tokens = jnp.arange(24).reshape(12, 2) % 7
    keys = jax.random.split(KEY, 2)
    carries = [
        jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
        for cell in (training, evaluation)
    ]
    assert jax.tree.structure(carries[0]) == jax.tree.structure(carries[1])
    for cell in (training, evaluation):
        assert explain(cell, params, carries[0], tokens, schedule="distributed").schedule != "scan"

    @jax.jit
    def gradient(params):
        def loss(params):
            start = jax.vmap(training.init_carry, in_axes=(None, 0))(params, keys)
            logits = unroll(training, params, start, tokens)[1]
            assert logits.dtype == jnp.float32
            return cross_entropy(logits, tokens % config.output_size).mean()

        return jax.grad(loss)(params)

    for path, grad in jax.tree.leaves_with_path(gradient(params)):
        assert grad.dtype == jnp.float32
        assert jnp.isfinite(grad).all(), path
        assert grad.any(), path


def test_connections_are_between_the_layers():
    """Residual: y_2 = y_1 + layer(y_1), the first layer plain. Skip: the head reads all."""
    plain = build_model(replace(SMALL, num_layers=2))
    params = plain.init(KEY)
    carry, token = plain.init_carry(params, KEY), jnp.int32(3)
    layers = [CELLS["lstm"](size, 4) for size in (7, 4)]
    _, first = layers[0].step(params["layer_1"], carry["layer_1"], jax.nn.one_hot(token, 7))
    _, second = layers[1].step(params["layer_2"], carry["layer_2"], first)
    residual = build_model(replace(SMALL, num_layers=2, connect="residual"))
    jax.tree.map(np.testing.assert_array_equal, residual.init(KEY), params)
    _, logits = residual.step(params, carry, token)
    expected = (first + second) @ params["head"]["w"] + params["head"]["b"]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    config = replace(SMALL, cell="elman", num_layers=3, connect="skip", embedding_size=3)
    found = shapes(config)
    inputs = [found[f"layers.layer_{n}.w_ih"] for n in (1, 2, 3)]
    assert inputs == [(3, 4), (7, 4), (7, 4)]
    assert found["head.w"] == (12, 5)


def test_what_goes_past_a_layer_is_not_dropped():
    """A second layer that gives zeros, and a head that gives out what it reads: each number of the
    first layer's output, doubled or dropped by the head's dropout alone."""
    config = replace(SMALL, output_size=4, num_layers=2, connect="residual", dropout=0.5)
    cell = build_model(config, training=True)
    zeros = jax.tree.map(jnp.zeros_like, cell.init(KEY))
    ones = jax.tree.map(jnp.ones_like, zeros["layer_1"]["cell"])._replace(w_ih=jnp.zeros((7, 16)))
    layer_1 = zeros["layer_1"] | {"cell": ones}
    params = zeros | {"layer_1": layer_1, "head": {"w": jnp.eye(4), "b": jnp.zeros(4)}}
    lstm = CELLS["lstm"](7, 4)
    _, first = lstm.step(ones, lstm.init_carry(ones, KEY), jnp.zeros(7))
    seen = set()
    for seed in range(8):
        carry = cell.init_carry(params, jax.random.key(seed))
        ratios = cell.step(params, carry, jnp.int32(3))[1] / first
        seen |= set(np.round(np.asarray(ratios), 4).tolist())
    assert seen == {0.0, 2.0}


def test_a_config_recorded_before_these_fields_reads_as_their_defaults():
    """And its model has the params that it had, leaf for leaf."""
    old = {"vocab_size": 7, "output_size": 5, "cell": "lstm", "hidden_size": 4, "num_layers": 2}
    old |= {"embedding_size": 3, "dropout": 0.2, "init": "default", "precision": "float32"}
    config = from_plain(TokenModel, old)
    assert config == replace(SMALL, num_layers=2, embedding_size=3, dropout=0.2)
    by_hand = chain(
        embed=embed(7, 3),
        dropout_1=dropout(0.2),
        layer_1=CELLS["lstm"](3, 4),
        dropout_2=dropout(0.2),
        layer_2=CELLS["lstm"](4, 4),
        dropout_head=dropout(0.2),
        head=linear(4, 5),
    )
    found, expected = build_model(config, training=True), by_hand
    params = found.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, expected.init(KEY))
    shapes = [jax.eval_shape(cell.init_carry, params, KEY) for cell in (found, expected)]
    assert shapes[0] == shapes[1]


# "a", "A", "b", "?": ids of forms, and flags
CAPITALS = ((0, 0), (0, 1), (1, 0), (2, 0))


@pytest.mark.parametrize("embedding_size", [0, 3])
def test_a_capital_is_read_as_its_form_beside_a_flag(embedding_size):
    config = TokenModel(4, 4, "elman", 5, embedding_size=embedding_size, capitals=CAPITALS)
    model = build_model(config)
    params = model.init(KEY)
    size = embedding_size or 3
    w = params["embed"]["w"] if embedding_size else jnp.eye(3)
    assert w.shape == (3, size)
    for token, (form, flag) in enumerate(CAPITALS):
        read = jnp.append(w[form], flag)
        expected = jnp.tanh(read @ params["layer_1"].w_ih + params["layer_1"].b)
        for x in (jnp.int32(token), jax.nn.one_hot(token, 4)):
            carry, _ = model.step(params, model.init_carry(params, KEY), x)
            np.testing.assert_allclose(carry["layer_1"], expected, rtol=1e-6)


def test_dropout_draws_only_in_training():
    config = replace(SMALL, dropout=0.5)
    outputs = {}
    for training in (True, False):
        cell = build_model(config, training=training)
        params = cell.init(KEY)
        ys = [
            cell.step(params, cell.init_carry(params, jax.random.key(seed)), jnp.int32(1))[1]
            for seed in range(2)
        ]
        outputs[training] = bool(jnp.array_equal(*ys))
    assert outputs == {True: False, False: True}


def contractions(jaxpr) -> Iterator[set[str]]:
    """The dtypes that each matrix product of a program reads, inner programs included; but for
    those of one square matrix with another, with which a cell works out its weights."""
    for equation in jaxpr.eqns:
        shapes = {variable.aval.shape for variable in equation.invars}
        if equation.primitive.name == "dot_general" and shapes != {(SMALL.hidden_size,) * 2}:
            yield {str(variable.aval.dtype) for variable in equation.invars}
        for parameter in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from contractions(inner)


def of_capitals():
    """A model with capitals, and params, carry and tokens for it."""
    cell = build_model(TokenModel(4, 4, "elman", 5, embedding_size=3, capitals=CAPITALS))
    params = some_params(cell)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
    return cell, params, carry, np.random.default_rng(0).integers(0, 4, (6, 2), np.int32)


@pytest.mark.parametrize("schedule", ["distributed", "checkpointed"])
def test_capitals_fall_back_on_no_schedule(schedule):
    """Of tokens nor of one-hot vectors."""
    cell, params, carry, tokens = of_capitals()
    for xs in (tokens, jax.nn.one_hot(tokens, 4)):
        found = explain(cell, params, carry, xs, schedule=schedule)
        assert found.schedule == schedule, found


@pytest.mark.full
def test_capitals_are_those_of_the_plain_loop():
    """And gradients to one-hot inputs exist through the table."""
    cell, params, carry, tokens = of_capitals()

    def loss(xs, schedule: Schedule):
        return cross_entropy(unroll(cell, params, carry, xs, schedule=schedule)[1], tokens).sum()

    @jax.jit
    def found(vectors):
        schedules: list[Schedule] = ["scan", "distributed", "checkpointed"]
        each = [jax.value_and_grad(loss)(vectors, schedule) for schedule in schedules]
        return loss(tokens, "scan"), each

    of_tokens, each = found(jax.nn.one_hot(tokens, 4))
    expected = each[0][1]
    assert np.all(np.abs(expected).max((0, 1)) > 0)
    for of_vectors, gradient in each:
        np.testing.assert_allclose(of_vectors, of_tokens, rtol=1e-5)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


# what surrounds the cells is the same for all
MODELS = [(name, 3, "bfloat16") for name in CELLS]
MODELS += [("lstm", size, precision) for size in (0, 3) for precision in get_args(Precision)]
BY_DEFAULT = [("lstm", 3, "bfloat16"), ("lstm", 0, "float32"), ("lru", 3, "bfloat16")]


@pytest.mark.parametrize(("name", "embedding_size", "precision"), mostly_full(MODELS, *BY_DEFAULT))
def test_every_matrix_product_has_the_precision(name, embedding_size, precision):
    """Forward and backward, in each part of the model; what surrounds it is float32, and so is the
    making of an orthogonal matrix (cayley)."""
    config = replace(SMALL, cell=name, num_layers=2, embedding_size=embedding_size, dropout=0.2)
    cell = build_model(replace(config, precision=precision), training=True)
    params = jax.eval_shape(cell.init, KEY)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {"float32"}

    def loss(params, tokens):
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
        logits = unroll(cell, params, carry, tokens)[1]
        assert logits.dtype == jnp.float32
        return cross_entropy(logits, tokens % 5).mean()

    found = jax.make_jaxpr(jax.value_and_grad(loss))(params, jnp.zeros((3, 2), jnp.int32))
    dtypes = list(contractions(found.jaxpr))
    assert len(dtypes) > 6  # two layers and a head, forward and backward
    assert all(read == {precision} for read in dtypes)


@pytest.mark.full
def test_published_weights_are_glorot_uniform():
    config = replace(SMALL, vocab_size=30, hidden_size=40, embedding_size=20, init="published")
    params = build_model(config).init(KEY)
    for matrix in (params["embed"]["w"], params["layer_1"].w_hh, params["head"]["w"]):
        limit = np.sqrt(6 / sum(matrix.shape))
        assert 0.95 * limit < float(jnp.abs(matrix).max()) <= limit
    assert params["layer_1"].b.tolist() == [0.0] * 40 + [1.0] * 40 + [0.0] * 80


@pytest.mark.full
def test_small_weights():
    """Of the embedding uniform, elsewhere a tenth of what keeps the size of an input; the head is
    drawn as a table of words."""
    config = replace(SMALL, vocab_size=30, hidden_size=40, embedding_size=20, init="small")
    params = build_model(config).init(KEY)
    assert 0.0095 < float(jnp.abs(params["embed"]["w"]).max()) < 0.01
    for matrix in (params["layer_1"].w_ih, params["layer_1"].w_hh, params["head"]["w"].T):
        np.testing.assert_allclose(matrix.std(), 0.1 / np.sqrt(len(matrix)), rtol=0.1)
    tied = replace(config, embedding_size=40, vocab_size=5, output_size=5, tied=True)
    assert build_model(tied).init(KEY)["embed"]["w"] == ()


def test_a_tanh_layer_before_the_head():
    config = replace(SMALL, dense_size=7)
    cell, plain = build_model(config), build_model(replace(config, dense_size=0))
    params = cell.init(KEY)
    dense = params["hidden"]["linear"]
    assert params["head"]["w"].shape == (7, config.output_size)
    body = {name: params[name] for name in params if name not in ("hidden", "head")}
    head = {"w": jnp.eye(config.hidden_size), "b": jnp.zeros(config.hidden_size)}
    wide = build_model(replace(config, dense_size=0, output_size=config.hidden_size))
    _, h = wide.step({**body, "head": head}, wide.init_carry(params, KEY), jnp.int32(1))
    _, y = cell.step(params, cell.init_carry(params, KEY), jnp.int32(1))
    expected = jnp.tanh(h @ dense["w"] + dense["b"]) @ params["head"]["w"] + params["head"]["b"]
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert plain.init(KEY).keys() == params.keys() - {"hidden"}
    with pytest.raises(ValueError, match="dense_size is -1"):
        build_model(replace(config, dense_size=-1))


def test_default_weights():
    """Recurrent blocks orthogonal, input blocks Glorot-uniform, each gate's block on its own."""
    params = CELLS["lstm"](30, 20).init(KEY)
    for gate in range(4):
        block = params.w_hh[:, 20 * gate : 20 * (gate + 1)]
        np.testing.assert_allclose(block.T @ block, np.eye(20), atol=1e-5)
        of_x = params.w_ih[:, 20 * gate : 20 * (gate + 1)]
        limit = np.sqrt(6 / 50)
        assert 0.95 * limit < float(jnp.abs(of_x).max()) <= limit
    for matrix in (params.w_ih, params.w_hh):
        assert len({block.tobytes() for block in np.split(np.asarray(matrix), 4, axis=1)}) == 4
    assert params.b.tolist() == [0.0] * 20 + [1.0] * 20 + [0.0] * 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0"),
        ({"hidden_size": -1}, "hidden_size is -1"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"output_size": 0}, "output_size is 0"),
        ({"embedding_size": -2}, "embedding_size is -2"),
        ({"capitals": ((0, 0),)}, "capitals has 1 entries, vocab_size is 7"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.5}, "dropout is -0.5"),
        ({"zoneout": 1.0}, "zoneout is 1.0"),
        ({"dropout_hold": -1}, "dropout_hold is -1"),
        ({"connect": "residual"}, "connect is residual, and a single layer"),
        ({"connect": "skip"}, "connect is skip, and a single layer"),
        ({"tied": True, "capitals": ((0, 0),) * 7}, "tied needs an embedding of tokens"),
        ({"tied": True}, "tied needs an embedding_size of 4, .* it is 0"),
        ({"tied": True, "embedding_size": 4}, "tied needs an output_size .* 7; it is 5"),
        (
            {"tied": True, "embedding_size": 4, "num_layers": 3, "connect": "skip"},
            "tied needs an embedding_size of 12",
        ),
        ({"heads": 0}, "heads is 0"),
        ({"heads": 3}, "heads is 3; give a number that divides hidden_size, 4"),
        ({"convolution": 4}, "convolution is 4 with block plain; give time steps, and block pre"),
        ({"convolution": -1, "block": "pre-norm"}, "convolution is -1 with block pre-norm"),
        (
            {"block": "pre-norm", "connect": "residual", "num_layers": 2},
            "connect is residual, and blocks of block pre-norm are residual themselves",
        ),
        ({"cell": "lstmm"}, f"cell 'lstmm' is not known; give one of {', '.join(CELLS)}"),
    ],
)
def test_nonsense_configs(change, message):
    with pytest.raises(ValueError, match=message):
        build_model(replace(SMALL, **change))


def test_counting():
    cell = build_model(replace(SMALL, cell="elman"))
    numbers = 7 * 4 + 4 * 4 + 4 + 4 * 5 + 5
    assert count_parameters(cell.init(KEY)) == numbers
    assert parameter_bytes(cell) == 4 * numbers
