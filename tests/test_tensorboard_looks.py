"""Looks into a training: what is counted and drawn."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tensorboard_files import accumulated
from tiers import of_kinds

from jaxrnn.base import Batch, Cell
from jaxrnn.cells import CELLS
from jaxrnn.gradients.tbptt import tbptt
from jaxrnn.models import TokenModel, build_model, cross_entropy, token_vectors
from jaxrnn.optimizers import clipped_adam
from jaxrnn.runs.tensorboard.board import Board
from jaxrnn.runs.tensorboard.buckets import LIMITS, bucket_of, histogram, to_message
from jaxrnn.runs.tensorboard.graph import training_graph
from jaxrnn.runs.tensorboard.observing import make_observe, shares_saturated
from jaxrnn.training import Ingredients, init_state

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


jitted_bucket_of = jax.jit(bucket_of)


@settings(max_examples=50)
@given(st.sampled_from((1, 20)).flatmap(lambda n: st.lists(FLOATS, min_size=n, max_size=n)))
def test_buckets_are_those_of_the_limits(values):
    values = np.array(values, np.float32)
    # XLA on a CPU takes numbers too small to be normal for 0
    values[np.abs(values) < np.finfo(np.float32).tiny] = 0
    assert np.array_equal(jitted_bucket_of(values), np.searchsorted(LIMITS, values, "right"))


def test_buckets_at_their_ends():
    values = np.concatenate([LIMITS, *(np.nextafter(LIMITS, np.float32(s)) for s in (-9e30, 9e30))])
    found = jitted_bucket_of(values)
    assert np.array_equal(found, np.searchsorted(LIMITS, values, "right"))


def test_a_histogram_is_what_the_values_say(tmp_path):
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    values[:3] = np.nan, np.inf, -np.inf
    found = jax.device_get(jax.jit(histogram)(values))
    message = to_message(found)
    finite = values[3:]
    assert message.num == len(finite) == sum(message.bucket)
    assert (message.min, message.max) == (finite.min(), finite.max())
    np.testing.assert_allclose(message.sum, finite.sum(dtype=float), rtol=1e-3)
    np.testing.assert_allclose(message.sum_squares, (finite.astype(float) ** 2).sum(), rtol=1e-4)
    below = np.cumsum(message.bucket)
    for limit, count in zip(message.bucket_limit, below, strict=True):
        assert (finite < np.float32(limit)).sum() == count
    board = Board(tmp_path, 0)
    board.histograms(3, {"weights": found, "nothing": found._replace(counts=0 * found.counts)})
    board.close()
    read = accumulated(tmp_path)
    assert read.Tags()["tensors"] + read.Tags()["histograms"] == ["weights"]


def test_only_counts_leave_the_device():
    shapes = jax.eval_shape(histogram, jax.ShapeDtypeStruct((1_000, 1_000), jnp.float32))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 2_000


def ingredients_of(cell: Cell, batch_size: int = 3, vocab_size: int = 7) -> Ingredients:
    tokens = jax.random.randint(jax.random.key(1), (6, batch_size), 0, vocab_size)
    estimator = tbptt(cell, cross_entropy, window=5, stride=5)
    batch = Batch(tokens[:-1], tokens[1:])
    return Ingredients(cell, cross_entropy, estimator, clipped_adam(), lambda: batch, token_vectors)


def model_of(cell: str, **changes: Any) -> Cell:
    sizes: dict[str, Any] = {"hidden_size": 4, "num_layers": 2, "embedding_size": 3}
    return build_model(TokenModel(7, 7, cell, **(sizes | changes)), training=True)


def observed(cell: Cell, edit=lambda params: params) -> Any:
    ingredients = ingredients_of(cell)
    state = init_state(cell, ingredients.estimator, ingredients.optimizer, jax.random.key(0), 3)
    state = state._replace(params=edit(state.params))
    return jax.jit(make_observe(ingredients, ingredients.batch()))(state), state


def test_saturation_of_each_and_of_all():
    """A gate is saturated beyond 0.05 and 0.95, a tanh unit beyond 0.97 in size."""
    units = {"a/gate_1": "gate", "a/gate_2": "gate", "b/tanh": "tanh"}
    values = {
        "a/gate_1": jnp.full((2, 2), 0.5),
        "a/gate_2": jnp.array([[0.0, 0.051, 0.949, 0.5], [1.0, 0.049, 0.951, 0.5]]),
        "b/tanh": jnp.array([[-1.0, -0.969, 0.0, 0.971]]),
    }
    shares = shares_saturated(values, units)
    assert {tag: float(share) for tag, share in shares.items()} == {
        "saturation/a/gate_1": 0,
        "saturation/a/gate_2": 0.5,
        "saturation/b/tanh": 0.5,
        "saturation/all_gates": pytest.approx(4 / 12),
        "saturation/all_tanh_units": 0.5,
    }


@pytest.mark.full
def test_a_look_shows_a_network_that_is_pinned():
    loose, _ = observed(model_of("elman"))
    pinned, _ = observed(model_of("elman"), lambda p: jax.tree.map(lambda a: 1e3 * a, p))
    assert loose.scalars["saturation/all_tanh_units"] < 0.2
    assert pinned.scalars["saturation/all_tanh_units"] > 0.9
    assert pinned.scalars["norm/params"] == pytest.approx(1e3 * loose.scalars["norm/params"])


def test_a_look_has_every_leaf_and_agrees_with_the_estimator():
    ingredients = ingredients_of(model_of("gru", num_layers=1))
    state = init_state(
        ingredients.cell, ingredients.estimator, ingredients.optimizer, jax.random.key(0), 3
    )

    @jax.jit
    def both(state):
        fresh = ingredients.estimator.init(state.params, jax.random.key(5), 3)
        grads, _, _ = ingredients.estimator.estimate(state.params, fresh, ingredients.batch())
        return make_observe(ingredients, ingredients.batch())(state), jax.tree.map(jnp.sum, grads)

    found, total = both(state)
    leaves = len(jax.tree.leaves(state.params))
    kinds = Counter(tag.partition("/")[0] for tag in found.histograms)
    assert kinds["params"] == kinds["gradients"] == leaves
    inside = {"layer_1", *(f"layer_1/{unit}" for unit in ("gate_1", "gate_2", "tanh"))}
    assert {f"activations/{value}" for value in inside} <= found.histograms.keys()
    shown = [h.total for tag, h in found.histograms.items() if tag.startswith("gradients/")]
    expected = sorted(map(float, jax.tree.leaves(total)))
    np.testing.assert_allclose(sorted(map(float, shown)), expected, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", of_kinds(CELLS))
def test_the_graph_opens_three_levels_deep(name):
    ingredients = ingredients_of(model_of(name, dropout=0.1))
    graph = training_graph(ingredients, ingredients.batch())
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    scopes = {n[:i] for n in names for i, letter in enumerate(n) if letter == "/"}
    assert not scopes & set(names)
    sources = {source.partition(":")[0] for node in graph.node for source in node.input}
    assert sources <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert {"embed", "layer_1", "layer_2", "head", "loss", "gradient", "optimizer"} <= tops
    assert {"layer_1/params", "gradient/layer_1", "optimizer/layer_1"} <= scopes
    assert max(scope.count("/") for scope in scopes) >= 2
    # every leaf of params ends in new params, by way of its gradient
    node_of = {node.name: node for node in graph.node}
    for new in (name for name in names if name.endswith("/new_params")):
        seen, ahead = set(), [new]
        while ahead:
            for source in node_of[ahead.pop()].input:
                source = source.partition(":")[0]
                if source not in seen:
                    seen.add(source)
                    ahead.append(source)
        assert any(source.startswith("gradient/") for source in seen), new
        assert any(source.startswith("layer_1/params/") for source in seen), new
