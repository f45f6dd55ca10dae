"""What the cells that draw in training draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full, of_kinds

from jaxrnn import (
    CELLS,
    Cell,
    chain,
    dropout,
    elman,
    gru,
    linear,
    lstm,
    pointwise,
    unroll,
    variational_dropout,
    zoneout,
)
from jaxrnn.cells.lstm import LSTMCarry
from jaxrnn.laws import LawBroken
from jaxrnn.laws.drawing import draws_only_in_training

KEY = jax.random.key(0)


def started(cell, params, batch_size):
    keys = jax.random.split(KEY, batch_size)
    return jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)


def of_ones(cell, batch_size: int, num_steps: int, size: int) -> jax.Array:
    """What a cell without params makes of ones [T, B, size]."""
    ones = jnp.ones((num_steps, batch_size, size))
    return jax.jit(lambda: unroll(cell, (), started(cell, (), batch_size), ones)[1])()


@pytest.mark.parametrize("kind", mostly_full([dropout, variational_dropout], dropout))
@pytest.mark.parametrize("rate", mostly_full([0.1, 0.5, 0.9], 0.1))
def test_dropout_keeps_the_mean(kind, rate):
    ys = of_ones(kind(rate), batch_size=400, num_steps=1, size=50)
    kept = ys != 0
    np.testing.assert_allclose(ys[kept], 1 / (1 - rate), rtol=1e-6)
    four_deviations = 4 * (rate * (1 - rate) / ys.size) ** 0.5
    assert abs(float(kept.mean()) - (1 - rate)) < four_deviations


def test_dropout_draws_anew_for_every_example_and_time_step():
    masks = np.asarray(of_ones(dropout(0.5), batch_size=4, num_steps=5, size=64) != 0)
    assert len(np.unique(masks.reshape(20, 64), axis=0)) == 20


@pytest.mark.parametrize(
    ("hold", "kinds"), mostly_full([(1, 7), (3, 3), (7, 1), (0, 1)], (3, 3), (0, 1))
)
def test_a_variational_mask_is_held(hold, kinds):
    """Each example has its own, and a new one every `hold` time steps."""
    cell = variational_dropout(0.5, hold)
    masks = np.asarray(of_ones(cell, batch_size=4, num_steps=7, size=64) != 0)
    assert len(np.unique(masks.reshape(28, 64), axis=0)) == 4 * kinds
    for t in range(1, 7):
        same = (masks[t] == masks[t - 1]).all(1)
        assert same.all() if not hold or t % hold else not same.any()


def test_dropout_at_rate_0_and_in_evaluation_leaves_x_alone():
    def model(drop):
        return chain(gru(3, 4), drop, linear(4, 2))

    training = model(dropout(0.5))
    params = training.init(KEY)
    carry = training.init_carry(params, KEY)
    without = model(pointwise(lambda x: x))
    _, expected = without.step(params, carry | {"1": ()}, jnp.ones(3))
    for drop in (
        dropout(0.0),
        dropout(0.5, training=False),
        variational_dropout(0.0, 3),
        variational_dropout(0.5, 3, training=False),
    ):
        new, y = model(drop).step(params, carry, jnp.ones(3))
        np.testing.assert_array_equal(y, expected)
        assert new["1"]["step"] == carry["1"]["step"] + 1


@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "elman"))
def test_zoneout_keeps_or_takes_each_number(name):
    """Step by step: each number of the carry is the old or the cell's new one, at the rate; what
    the cell gives out of its carry is as the carry has it."""
    rate, size, num_steps = 0.3, 50, 20
    inner = CELLS[name](3, size)
    cell = zoneout(inner, rate)
    params, xs = cell.init(KEY), jax.random.normal(KEY, (num_steps, 3))
    carry = cell.init_carry(params, KEY)
    steps = jax.jit(
        lambda carry, x: (cell.step(params, carry, x), inner.step(params, carry["cell"], x))
    )
    kept = []
    for x in xs:
        (new, y), (usual, of_usual) = steps(carry, x)
        triples = zip(*map(jax.tree.leaves, (carry["cell"], usual, new["cell"])), strict=True)
        for old, fresh, after in triples:
            np.testing.assert_allclose(after, np.where(after == old, old, fresh), atol=1e-6)
            kept.append(np.asarray(after == old)[np.asarray(fresh != old)])
        in_carry = [np.array_equal(of_usual, a) for a in jax.tree.leaves(usual)]
        if any(in_carry):
            leaf = jax.tree.leaves(new["cell"])[in_carry.index(True)]
            np.testing.assert_array_equal(y, leaf)
        carry = new
    kept = np.concatenate(kept)
    four_deviations = 4 * (rate * (1 - rate) / kept.size) ** 0.5
    assert abs(kept.mean() - rate) < four_deviations


def test_the_evaluation_of_zoneout_is_the_mean_of_its_training():
    """Of one time step, whose carry is linear in the masks."""
    inner, rate = lstm(3, 4), 0.4
    params = inner.init(KEY)
    before = LSTMCarry(*jax.random.normal(KEY, (2, 4)))
    x, draws = jnp.ones(3), 4096

    def stepped(key, training):
        cell = zoneout(inner, rate, training=training)
        new, y = cell.step(params, cell.init_carry(params, key) | {"cell": before}, x)
        return new["cell"], y

    drawn = jax.jit(jax.vmap(lambda key: stepped(key, True)))(jax.random.split(KEY, draws))
    for found, right in zip(*map(jax.tree.leaves, (drawn, stepped(KEY, False))), strict=True):
        error = found.std(0) / draws**0.5
        assert (jnp.abs(found.mean(0) - right) < 5 * error).all()
        assert (found.std(0) > 0).all()


def test_zoneout_at_rates_of_their_own():
    cell = zoneout(lstm(3, 4), {"c": 0.9})
    params = cell.init(KEY)
    keys = jax.random.split(KEY, 50)

    @jax.jit
    @jax.vmap
    def stepped(key):
        return cell.step(params, cell.init_carry(params, key), jnp.ones(3))[0]

    new = stepped(keys)
    assert (new["cell"].h != 0).all()
    assert 0.02 < float((new["cell"].c != 0).mean()) < 0.3


def test_zoneout_of_a_leaf_that_is_not_there():
    cell = zoneout(lstm(3, 4), {"z": 0.5})
    with pytest.raises(ValueError, match="rate names 'z', and the leaves of the carry are"):
        cell.init_carry(cell.init(KEY), KEY)


def test_zoneout_counts_on():
    """Integers are not kept, and y that only looks like the carry is not touched."""
    cell = zoneout(
        Cell(
            init=lambda key: (),
            init_carry=lambda params, key: {"n": jnp.int32(0), "h": jnp.zeros(4)},
            step=lambda params, carry, x: (
                {"n": carry["n"] + 1, "h": carry["h"] + x},
                carry["h"] + x,
            ),
        ),
        0.5,
    )
    carry = cell.init_carry((), KEY)
    for t in range(1, 6):
        before = carry["cell"]["h"]
        carry, y = cell.step((), carry, jnp.ones(4))
        assert int(carry["cell"]["n"]) == int(carry["step"]) == t
        np.testing.assert_array_equal(y, before + 1)
    assert (carry["cell"]["h"] < 5).any()


def test_what_draws_is_the_same_for_the_same_key_and_not_in_two_places():
    """A chain of two dropouts, and of two zoneouts, that get keys of their own."""
    cell = chain(dropout(0.5), dropout(0.5))
    first, second = (cell.init_carry({"0": (), "1": ()}, KEY) for _ in range(2))
    keys = [jax.random.key_data(carry[name]["key"]) for carry in (first, second) for name in "01"]
    np.testing.assert_array_equal(keys[:2], keys[2:])
    assert not (keys[0] == keys[1]).all()
    both = zoneout(zoneout(elman(3, 4), 0.5), 0.5)
    carry = both.init_carry(both.init(KEY), KEY)
    assert carry["key"] != carry["cell"]["key"]


def noisy(training, bias=0.0, counts=True):
    """A factory of cells that add what they draw, if `training`."""

    def factory(input_size, hidden_size):
        drop = dropout(0.5, training=training)
        if not counts:
            drop = Cell(drop.init, lambda params, key: key, lambda params, carry, x: (carry, x))
        start = {"b": jnp.full(input_size, bias)}
        add = Cell(lambda key: start, lambda params, key: (), lambda p, c, x: (c, x + p["b"]))
        return chain(add=add, drop=drop)

    return factory


@pytest.mark.parametrize(
    ("training", "evaluation", "message"),
    [
        (noisy(True), noisy(True), "evaluation gives .* with another key gives"),
        (noisy(False), noisy(False), "it draws nothing"),
        (noisy(True), noisy(False, bias=1.0), r"params\['add'\]\['b'\] differs"),
        (noisy(True), elman, "params has another structure"),
        (noisy(True), noisy(False, counts=False), "carry enters as"),
    ],
)
def test_the_law_of_evaluation_catches(training, evaluation, message):
    with pytest.raises(LawBroken, match=message):
        draws_only_in_training(training, evaluation)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dropout(1.0), "rate is 1.0; give the probability of a zero"),
        (lambda: dropout(-0.1), "rate is -0.1"),
        (lambda: variational_dropout(float("nan")), "rate is nan"),
        (lambda: variational_dropout(0.5, -1), "hold is -1; give a number of time steps"),
        (lambda: zoneout(elman(3, 4), 1.0), "rate is 1.0; give the probability that a number"),
        (lambda: zoneout(lstm(3, 4), {"h": 0.5, "c": -0.5}), "rate is -0.5"),
    ],
)
def test_nonsense_rates(build, message):
    with pytest.raises(ValueError, match=message):
        build()
