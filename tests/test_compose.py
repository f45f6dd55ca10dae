"""Cells from cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    Cell,
    chain,
    computing_in,
    dropout,
    elman,
    embed,
    gru,
    linear,
    lstm,
    one_hot,
    pointwise,
    reinitialised,
    unroll,
)

KEY = jax.random.key(0)


def test_chain_names_its_parts():
    cell = chain(one_hot(3), gru(3, 4), head=linear(4, 2))
    params = cell.init(KEY)
    assert list(params) == list(cell.init_carry(params, KEY)) == ["0", "1", "head"]


def test_chain_is_its_parts_in_order():
    first, second = gru(3, 4), lstm(4, 5)
    cell = chain(first=first, tanh=pointwise(jnp.tanh), second=second)
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    x = jax.random.normal(KEY, (3,))
    new, y = cell.step(params, carry, x)
    new_first, y_first = first.step(params["first"], carry["first"], x)
    new_second, y_second = second.step(params["second"], carry["second"], jnp.tanh(y_first))
    expected = {"first": new_first, "tanh": (), "second": new_second}
    assert jax.tree.structure((new, y)) == jax.tree.structure((expected, y_second))
    jax.tree.map(np.testing.assert_array_equal, (new, y), (expected, y_second))


def test_chain_draws_different_params_for_equal_parts():
    params = chain(elman(4, 4), elman(4, 4)).init(KEY)
    assert not jnp.allclose(params["0"].w_ih, params["1"].w_ih)


def test_chain_names_are_seen_in_profiles():
    cell = chain(encoder=linear(3, 4), tanh=pointwise(jnp.tanh))
    params = cell.init(KEY)
    carry = cell.init_carry(params, KEY)
    program = jax.jit(cell.step).lower(params, carry, jnp.ones(3)).as_text(debug_info=True)
    assert "encoder/dot_general" in program
    assert "tanh/tanh" in program


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain(), "chain has no cells"),
        (lambda: embed(0, 3), "vocab_size is 0"),
        (lambda: embed(3, -1), "size is -1"),
        (lambda: one_hot(0), "vocab_size is 0"),
        (lambda: linear(3, 0), "output_size is 0"),
        (lambda: gru(0, 3), "input_size is 0"),
        (lambda: lstm(3, 0), "hidden_size is 0"),
        (lambda: dropout(1.0), "rate is 1.0"),
        (lambda: dropout(-0.1), "rate is -0.1"),
    ],
)
def test_nonsense_sizes(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("cell", [embed(5, 3), one_hot(5)])
def test_a_token_is_its_one_hot_vector(cell):
    params = cell.init(KEY)
    for token in range(5):
        _, of_token = cell.step(params, (), jnp.int32(token))
        _, of_vector = cell.step(params, (), jnp.eye(5)[token])
        np.testing.assert_allclose(of_token, of_vector, rtol=1e-6)


def test_embedding_is_normal():
    numbers = embed(100, 100).init(KEY)["w"]
    assert abs(numbers.mean()) < 0.04
    assert abs(numbers.std() - 1) < 0.04


def test_linear_begins_without_bias():
    params = linear(3, 2).init(KEY)
    assert not params["b"].any()
    _, y = linear(3, 2).step({"w": params["w"], "b": jnp.arange(2.0)}, (), jnp.ones(3))
    np.testing.assert_allclose(y, params["w"].sum(0) + np.arange(2.0, dtype=np.float32), rtol=1e-6)


def dropped(rate: float, batch_size: int, num_steps: int, size: int) -> jax.Array:
    """What dropout makes of ones [T, B, size]."""
    cell = dropout(rate)
    keys = jax.random.split(KEY, batch_size)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))((), keys)
    return unroll(cell, (), carry, jnp.ones((num_steps, batch_size, size)))[1]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    ys = dropped(rate, batch_size=20, num_steps=20, size=50)
    kept = ys != 0
    np.testing.assert_allclose(ys[kept], 1 / (1 - rate), rtol=1e-6)
    four_deviations = 4 * (rate * (1 - rate) / ys.size) ** 0.5
    assert abs(float(kept.mean()) - (1 - rate)) < four_deviations


def test_dropout_draws_anew_for_every_example_and_time_step():
    masks = np.asarray(dropped(0.5, batch_size=4, num_steps=5, size=64) != 0).reshape(20, 64)
    assert len(np.unique(masks, axis=0)) == 20


def test_dropout_at_rate_0_is_the_evaluation_model():
    def model(rate):
        return chain(gru(3, 4), dropout(rate), linear(4, 2))

    training, evaluation = model(0.5), model(0.0)
    params = training.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, evaluation.init(KEY))
    carry = training.init_carry(params, KEY)
    assert jax.tree.structure(carry) == jax.tree.structure(evaluation.init_carry(params, KEY))
    without = chain(gru(3, 4), pointwise(lambda x: x), linear(4, 2))
    plain_carry = carry | {"1": ()}
    new, y = evaluation.step(params, carry, jnp.ones(3))
    np.testing.assert_array_equal(y, without.step(params, plain_carry, jnp.ones(3))[1])
    assert new["1"]["step"] == carry["1"]["step"] + 1


def test_reinitialised_draws_matrices_and_leaves_vectors():
    cell = reinitialised(chain(lstm(3, 4), linear(4, 2)), jax.nn.initializers.constant(7.0))
    params, usual = cell.init(KEY), chain(lstm(3, 4), linear(4, 2)).init(KEY)
    for leaf, before in zip(jax.tree.leaves(params), jax.tree.leaves(usual), strict=True):
        expected = jnp.full_like(leaf, 7.0) if leaf.ndim == 2 else before
        np.testing.assert_array_equal(leaf, expected)


def test_reinitialised_gives_each_matrix_its_own_key():
    cell = reinitialised(elman(4, 4), jax.nn.initializers.normal())
    params = cell.init(KEY)
    assert not jnp.allclose(params.w_ih, params.w_hh)


def test_computing_in_leaves_params_integers_and_keys():
    plain = chain(gru(3, 4), dropout(0.5), head=linear(4, 2))
    cell = computing_in(plain, jnp.bfloat16)
    params = cell.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, plain.init(KEY))
    carry = cell.init_carry(params, KEY)
    new, y = cell.step(params, carry, jnp.ones(3))
    assert (carry["0"].dtype, new["0"].dtype, y.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    assert new["1"]["key"] == carry["1"]["key"] == plain.init_carry(params, KEY)["1"]["key"]
    assert (new["1"]["step"].dtype, int(new["1"]["step"])) == (jnp.int32, 1)


def test_updates_too_small_for_a_step_to_see_add_up():
    cell = computing_in(linear(1, 1), jnp.bfloat16)
    params = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}

    def output(params):
        return cell.step(params, (), jnp.ones(1))[1][0]

    seen = []
    for _ in range(8):
        grads = jax.grad(output)(params)
        params = params | {"w": params["w"] + 0.001 * grads["w"]}
        seen.append(float(output(params)))
    assert seen[0] == 1  # 1.001 in 8 bits
    assert seen[-1] > 1


def test_a_chain_of_chains_is_a_cell():
    inner = chain(a=elman(3, 4), b=elman(4, 4))
    outer = chain(inner=inner, head=linear(4, 2))
    assert isinstance(outer, Cell)
    params = outer.init(KEY)
    assert set(params["inner"]) == {"a", "b"}
