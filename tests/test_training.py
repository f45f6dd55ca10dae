"""Optimizers, training steps, epochs and evaluation."""

import functools
from typing import get_args

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import example, given, settings
from tiers import mostly_full

from jaxrnn import (
    OPTIMIZERS,
    STYLES,
    Batch,
    bptt,
    chain,
    clipped_adagrad,
    clipped_adam,
    clipped_adamw,
    clipped_momentum,
    decaying,
    dynamic_evaluate,
    elman,
    evaluate,
    gru,
    init_state,
    linear,
    make_train_step,
    one_hot,
    reinitialised,
    unroll,
)
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import Decay, current_learning_rate
from jaxrnn.training import epoch_chunk

BATCH_SIZE, NUM_STEPS = 4, 6
# orthogonal first weights take longer to compile than all the rest
CELL = reinitialised(
    chain(one_hot=one_hot(3), layer=elman(3, 4), head=linear(4, 3)), jax.nn.initializers.normal()
)
KEY = jax.random.key(0)


def random_batch(key) -> Batch:
    tokens = jax.random.randint(key, (NUM_STEPS + 1, BATCH_SIZE), 0, 3)
    return Batch(tokens[:-1], tokens[1:])


def assert_close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


assert_same = functools.partial(assert_close, tolerance=0)


# Optimizers


def adam_by_hand(gradients, learning_rate):
    w, m, v = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - learning_rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w


def adamw_by_hand(gradients, learning_rate):
    """Of a matrix."""
    w, m, v = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - learning_rate * (step + 0.01 * w)
    return w


def adagrad_by_hand(gradients, learning_rate):
    w, total = 0.0, 0.1
    for g in gradients:
        total = total + g**2
        w = w - learning_rate * g / np.sqrt(total)
    return w


def momentum_by_hand(gradients, learning_rate):
    w, v = 0.0, 0.0
    for g in gradients:
        v = 0.8 * v + g
        w = w - learning_rate * v
    return w


def rmsprop_by_hand(gradients, learning_rate):
    w, square = 0.0, 0.0
    for g in gradients:
        square = 0.9 * square + 0.1 * g**2
        w = w - learning_rate * g / np.sqrt(square + 1e-8)
    return w


BY_HAND = {
    "adam": adam_by_hand,
    "adamw": adamw_by_hand,
    "adagrad": adagrad_by_hand,
    "momentum": momentum_by_hand,
    "rmsprop": rmsprop_by_hand,
}


def test_every_optimizer_has_its_formula():
    assert BY_HAND.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_updates_by_hand(name):
    gradients = np.random.default_rng(0).standard_normal((3, 5, 1))
    optimizer = OPTIMIZERS[name](0.3, max_norm=None)
    w = jnp.zeros((5, 1))
    opt_state = optimizer.init(w)
    for g in gradients:
        updates, opt_state = optimizer.update(jnp.asarray(g, jnp.float32), opt_state, w)
        w = optax.apply_updates(w, updates)
    np.testing.assert_allclose(np.asarray(w), BY_HAND[name](gradients, 0.3), rtol=1e-5)


def test_vectors_do_not_decay():
    optimizer = clipped_adamw(0.5, weight_decay=0.1)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates = jax.jit(lambda zeros: optimizer.update(zeros, optimizer.init(params), params)[0])(
        zeros
    )
    vectors, matrices = jax.tree.leaves(updates)  # in the order of their names
    np.testing.assert_allclose(matrices, -0.05)
    np.testing.assert_array_equal(vectors, 0)


FALLS = {
    "none": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + np.cos(np.pi * done)) / 2,
}


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("decay", get_args(Decay))
def test_updates_rise_and_fall(decay, warmup):
    """By gradient descent with a gradient of 1, which shows the scale of each update."""
    optimizer = decaying(clipped_momentum(0.5, None, 0.0), decay, 10, warmup=warmup)
    state, found = optimizer.init(jnp.zeros(())), []
    assert current_learning_rate(state) == 0.5
    for _ in range(10):
        update, state = optimizer.update(jnp.ones(()), state)
        found.append(-2 * np.asarray(update).item())
        assert current_learning_rate(state) == pytest.approx(found[-1] / 2)
    rest = 10 - warmup
    expected = [(step + 1) / (warmup + 1) for step in range(warmup)]
    expected += [FALLS[decay](step / rest) for step in range(rest)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(optax.tree.get(state, "learning_rate")) == 0.5


def test_a_decay_that_cannot_be():
    with pytest.raises(ValueError, match=r"warmup is 10; give 0 to 9"):
        decaying(clipped_adam(), "linear", 10, warmup=10)


gradient_trees = st.fixed_dictionaries(
    {
        name: hnp.arrays(
            np.float32, shape, elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
        )
        for name, shape in (("w", (2, 3)), ("b", (3,)))
    }
)
ZEROS = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}


@pytest.mark.parametrize("name", OPTIMIZERS)
@settings(max_examples=25, derandomize=True)
@example(gradient=ZEROS, max_norm=1.0)
@given(gradient=gradient_trees, max_norm=st.sampled_from([1e-3, 0.5, 1.0, 100.0]))
def test_clipping(name, gradient, max_norm):
    """The clipped optimizer does with a gradient what the free one does with the same gradient,
    shortened to `max_norm` where it is longer."""
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradient.values()))
    factor = np.float32(min(1.0, max_norm / norm) if norm else 1.0)
    gradient = jax.tree.map(jnp.asarray, gradient)
    shortened = jax.tree.map(lambda g: g * factor, gradient)

    def update(max_norm, gradient):
        optimizer = OPTIMIZERS[name](1.0, max_norm=max_norm)
        at = jax.tree.map(jnp.zeros_like, gradient)
        return optimizer.update(gradient, optimizer.init(at), at)[0]

    for a, b in zip(
        jax.tree.leaves(update(max_norm, gradient)),
        jax.tree.leaves(update(None, shortened)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * max_norm)


@settings(max_examples=25, derandomize=True)
@given(gradient=gradient_trees, max_norm=st.sampled_from([1e-3, 0.5, 1.0, 100.0]))
def test_a_clipped_step_is_never_longer_than_allowed(gradient, max_norm):
    gradient = jax.tree.map(jnp.asarray, gradient)
    optimizer = clipped_momentum(1.0, max_norm=max_norm, momentum=0.0)
    updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    assert float(optax.tree.norm(updates)) <= max_norm * (1 + 1e-5)


def test_default_settings():
    for optimizer, learning_rate in (
        (clipped_adam(), 1e-3),
        (clipped_adagrad(), 0.1),
        (clipped_momentum(), 0.05),
    ):
        opt_state = optimizer.init(jnp.zeros(2))
        assert float(optax.tree.get(opt_state, "learning_rate")) == np.float32(learning_rate)


# Training steps


@pytest.mark.parametrize(
    ("style", "optimizer"),
    mostly_full(
        [("bptt", optimizer) for optimizer in OPTIMIZERS] + [(style, "adam") for style in STYLES],
        ("artbp", "adam"),
    ),
)
def test_the_second_call_does_not_compile(style, optimizer, compilations):
    estimator = STYLES[style](CELL, cross_entropy, 3, 3, schedule="scan")
    train_step = jax.jit(make_train_step(estimator, OPTIMIZERS[optimizer]()))
    state = init_state(CELL, estimator, OPTIMIZERS[optimizer](), KEY, BATCH_SIZE)
    for step in range(3):
        state, _ = train_step(state, random_batch(jax.random.key(step)))
    assert compilations("train_step") == 1
    assert int(state.step) == int(state.position) == 3


def test_a_training_step_is_gradient_and_update():
    estimator, optimizer = (
        bptt(CELL, cross_entropy, schedule="scan"),
        clipped_adagrad(0.1, max_norm=0.01),
    )
    state = init_state(CELL, estimator, optimizer, KEY, BATCH_SIZE)
    batch = random_batch(KEY)

    @jax.jit
    def both(state):
        found = estimator.estimate(state.params, state.carry, batch)
        updates, _ = optimizer.update(found[0], state.opt_state, state.params)
        return found, updates, make_train_step(estimator, optimizer)(state, batch)

    (grads, carry, metrics), updates, (after, seen) = both(state)
    assert_close(after.params, jax.tree.map(np.add, state.params, updates))
    assert_close(after.carry, carry)
    squares = sum(float(np.sum(np.square(g))) for g in jax.tree.leaves(grads))
    np.testing.assert_allclose(seen["grad_norm"], squares**0.5, rtol=1e-5)
    np.testing.assert_allclose(seen["loss"], metrics["loss"], rtol=1e-6)


def test_the_learning_rate_of_the_state_counts():
    """It vmaps, and a given one equals an optimizer built with it."""

    def updates(optimizer, learning_rate=None):
        state = init_state(
            CELL,
            bptt(CELL, cross_entropy, schedule="scan"),
            optimizer,
            KEY,
            BATCH_SIZE,
            learning_rate,
        )
        return optimizer.update(state.params, state.opt_state, state.params)[0]

    rates = (0.01, 0.1, 1.0)
    together, alone = jax.jit(
        lambda given: (
            jax.vmap(lambda rate: updates(clipped_adam(), rate))(given),
            [updates(clipped_adam(rate)) for rate in rates],
        )
    )(jnp.array(rates))
    for i, each in enumerate(alone):
        assert_close(jax.tree.map(lambda a, i=i: a[i], together), each)


def test_a_batch_size_of_nothing():
    with pytest.raises(ValueError, match="batch_size is 0"):
        init_state(CELL, bptt(CELL, cross_entropy, schedule="scan"), clipped_adam(), KEY, 0)


# Epochs

STEPS_PER_EPOCH = 5


def epoch_data(key):
    return lambda position: random_batch(jax.random.fold_in(key, position))


@functools.cache
def training(chunks_per_epoch: int):
    """init and chunk of a training whose estimator carries."""
    estimator, optimizer = bptt(CELL, cross_entropy, schedule="scan"), clipped_adam(0.01)
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        epoch_data,
        steps_per_epoch=STEPS_PER_EPOCH,
        batch_size=BATCH_SIZE,
        chunks_per_epoch=chunks_per_epoch,
    )

    def init(key, learning_rate):
        return init_state(CELL, estimator, optimizer, key, BATCH_SIZE, learning_rate)

    return init, jax.jit(chunk)


@functools.cache
def run(chunks_per_epoch: int, epochs: int):
    """The states after each epoch, and all metrics of steps that were taken."""
    init, chunk = training(chunks_per_epoch)
    state = init(KEY, 0.01)
    states, metrics = [], []
    for _ in range(epochs):
        for _ in range(chunks_per_epoch):
            state, seen = chunk(state)
            metrics.append(seen)
        states.append(state)
    stacked = jax.tree.map(lambda *a: np.concatenate(a), *metrics)
    taken = stacked["step"] > 0
    return states, jax.tree.map(lambda a: a[taken], stacked), stacked["step"]


@pytest.mark.parametrize("chunks_per_epoch", mostly_full([2, 3, 5], 3))
def test_how_an_epoch_is_cut_makes_no_difference(chunks_per_epoch):
    whole, cut = run(1, epochs=2), run(chunks_per_epoch, epochs=2)
    assert_same(whole[0], cut[0])
    assert_same(whole[1], cut[1])


def test_slots_beyond_the_epoch_stay_idle():
    states, _, steps = run(3, epochs=2)
    assert steps.tolist() == [1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 0]
    assert [int(state.step) for state in states] == [5, 10]
    assert [int(state.position) for state in states] == [0, 0]


def test_position_within_an_epoch():
    init, chunk = training(3)
    state = init(KEY, 0.01)
    positions = []
    for _ in range(6):
        state, _ = chunk(state)
        positions.append(int(state.position))
    assert positions == [2, 4, 0, 2, 4, 0]


def test_epochs_by_hand():
    """Fresh sequences and fresh data at the start of every epoch, the rest carried on."""
    estimator, optimizer = bptt(CELL, cross_entropy, schedule="scan"), clipped_adam(0.01)
    train_step = jax.jit(make_train_step(estimator, optimizer))
    state = training(1)[0](KEY, 0.01)
    for epoch in range(2):
        key_data, key_carry = jax.random.split(jax.random.fold_in(state.key, epoch))
        state = state._replace(carry=estimator.init(state.params, key_carry, BATCH_SIZE))
        for position in range(STEPS_PER_EPOCH):
            state, _ = train_step(state, epoch_data(key_data)(position))
    expected = state._replace(position=jnp.int32(0))
    assert_close(run(1, epochs=2)[0][-1], expected)


@pytest.mark.full
def test_a_training_vmaps_over_key_and_learning_rate():
    init, chunk = training(1)

    keys, rates = jax.random.split(KEY, 3), jnp.array([0.003, 0.03, 0.3])
    states, metrics = jax.jit(jax.vmap(chunk))(jax.jit(jax.vmap(init))(keys, rates))
    assert metrics["loss"].shape == (3, STEPS_PER_EPOCH)
    for k in range(3):
        member = jax.tree.map(lambda a, k=k: a[k], (states, metrics))
        assert_close(member, chunk(init(keys[k], rates[k])), 1e-4)


# Evaluation


# less than a stretch of 4, whole stretches, and a rest
@pytest.mark.parametrize("length", mostly_full([3, 8, 13], 13))
def test_evaluation_is_the_plain_mean(length):
    tokens = np.random.default_rng(0).integers(0, 3, (length + 1, 2)).astype(np.int32)
    batch = Batch(jnp.asarray(tokens[:-1]), jnp.asarray(tokens[1:]))

    @jax.jit
    def both(params):
        carry = jax.vmap(CELL.init_carry, in_axes=(None, 0))(params, jax.random.split(KEY, 2))
        _, logits = unroll(CELL, params, carry, batch.inputs, schedule="scan")
        expected = cross_entropy(logits, batch.targets).mean()
        return evaluate(CELL, cross_entropy, params, KEY, batch, num_steps=4), expected

    # weights so large that a loss hangs on the carry
    found, expected = both(jax.tree.map(lambda leaf: 100 * leaf, CELL.init(KEY)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_evaluation_in_no_steps():
    batch = random_batch(KEY)
    with pytest.raises(ValueError, match="num_steps is 0"):
        evaluate(CELL, cross_entropy, CELL.init(KEY), KEY, batch, num_steps=0)


@pytest.mark.parametrize("shapes", [((0, 2), (0, 2)), ((3, 0), (3, 0)), ((3, 2), (1, 2))])
def test_evaluation_of_no_batch(shapes):
    batch = Batch(*(jnp.zeros(shape, jnp.int32) for shape in shapes))
    for evaluation in (evaluate, functools.partial(dynamic_evaluate, optimizer=clipped_adam())):
        with pytest.raises(ValueError, match=r"the leaves of batch have \(L, B\)"):
            evaluation(CELL, cross_entropy, params=CELL.init(KEY), key=KEY, batch=batch)


# less than a stretch of 4, whole stretches, and a rest
@pytest.mark.parametrize("length", mostly_full([3, 8, 13], 13))
def test_dynamic_evaluation_tests_each_stretch_and_then_learns_it(length):
    params, optimizer = CELL.init(KEY), clipped_momentum(0.5)
    tokens = np.random.default_rng(0).integers(0, 3, (length + 1, 1)).astype(np.int32)
    inputs, targets = jnp.asarray(tokens[:-1]), jnp.asarray(tokens[1:])
    batch = Batch(inputs, targets)
    found = jax.jit(
        lambda params: dynamic_evaluate(
            CELL, cross_entropy, optimizer, params, KEY, batch, num_steps=4
        )
    )(params)

    @functools.partial(jax.value_and_grad, has_aux=True)
    def mean_loss(params, carry, inputs, targets):
        after, logits = unroll(CELL, params, carry, inputs, schedule="scan")
        return cross_entropy(logits, targets).mean(), after

    @jax.jit
    def tested_and_learnt(params, carry, opt_state, inputs, targets):
        # the next one begins where the params that were tested have come to
        (loss, carry), grads = mean_loss(params, carry, inputs, targets)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return loss * len(inputs), optax.apply_updates(params, updates), carry, opt_state

    carry = jax.tree.map(lambda a: a[None], CELL.init_carry(params, KEY))
    opt_state, total = optimizer.init(params), 0.0
    for start in range(0, length, 4):
        stretch = slice(start, start + 4)
        loss, params, carry, opt_state = tested_and_learnt(
            params, carry, opt_state, inputs[stretch], targets[stretch]
        )
        total += loss
    np.testing.assert_allclose(found, total / length, rtol=1e-5)


@pytest.mark.full
def test_dynamic_evaluation_that_learns_nothing_is_evaluation():
    cell = chain(one_hot=one_hot(3), layer=gru(3, 4), head=linear(4, 3))
    params = cell.init(KEY)
    tokens = jax.random.randint(KEY, (12, 2), 0, 3)
    batch = Batch(tokens[:-1], tokens[1:])
    still = dynamic_evaluate(
        cell, cross_entropy, clipped_adam(0.0), params, KEY, batch, num_steps=4
    )
    np.testing.assert_allclose(still, evaluate(cell, cross_entropy, params, KEY, batch), rtol=1e-6)
