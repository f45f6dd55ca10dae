"""Weights dropped for a training step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    STYLES,
    Batch,
    GradientEstimator,
    bptt,
    chain,
    elman,
    linear,
    stateless,
    tbptt,
    weight_drop,
)
from jaxrnn.laws.comparing import require_close
from jaxrnn.laws.styles import Case, as_declared
from jaxrnn.parallel import batch_parallel
from jaxrnn.runs.configured import configured_weight_drop

RATE, B, T = 0.4, 4, 6
CELL = chain(layer_1=elman(3, 4), layer_2=elman(4, 4), head=linear(4, 2))
PARAMS = CELL.init(jax.random.key(0))


def squares(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


def batch(seed=1):
    key_inputs, key_targets = jax.random.split(jax.random.key(seed))
    return Batch(
        jax.random.normal(key_inputs, (T, B, 3)), jax.random.normal(key_targets, (T, B, 2))
    )


# An estimator that says with which params it was called, and has them for a gradient.
ECHO = GradientEstimator(
    init=lambda params, key, batch_size: jnp.zeros(batch_size),
    estimate=lambda params, carry, batch: (params, carry, {"params": params}),
)


def masks(estimator, carry, names=("w_hh",)):
    """What the estimator is about to multiply PARAMS by: its draws do not depend on them."""
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    again = weight_drop(ECHO, RATE, names)
    start = carry._replace(sequences=jnp.zeros(B))
    return again.estimate(ones, start, batch())[2]["params"]


def times(params, masks):
    return jax.tree.map(jnp.multiply, params, masks)


def test_the_mask():
    """Of the leaves named, zeros at the rate, the others scaled; drawn anew at each step and for
    each leaf, and alike for all sequences."""
    estimator = weight_drop(ECHO, RATE)
    carry = estimator.init(PARAMS, jax.random.key(3), B)
    drawn, draw = [], jax.jit(lambda carry: masks(estimator, carry))
    advance = jax.jit(lambda carry: estimator.estimate(PARAMS, carry, batch())[1])
    for _ in range(50):
        drawn.append(jax.device_get(draw(carry)))
        carry = advance(carry)
    assert carry.step.tolist() == [50] * B
    for layer in ("layer_1", "layer_2"):
        for name in ("w_ih", "b"):
            assert all((getattr(each[layer], name) == 1).all() for each in drawn)
    found = np.stack([np.stack([each[f"layer_{n}"].w_hh for n in (1, 2)]) for each in drawn])
    kept = found != 0
    np.testing.assert_allclose(found[kept], 1 / (1 - RATE), rtol=1e-6)
    four_deviations = 4 * (RATE * (1 - RATE) / found.size) ** 0.5
    assert abs(float(kept.mean()) - (1 - RATE)) < four_deviations
    assert len(np.unique(kept.reshape(100, -1), axis=0)) == 100


def test_names_of_one_layer():
    names = ("layer_2.w_hh", "head.w")
    estimator = weight_drop(ECHO, RATE, names)
    carry = estimator.init(PARAMS, jax.random.key(3), B)
    drawn = jax.jit(lambda carry: masks(estimator, carry, names))(carry)
    touched = {
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in jax.tree.leaves_with_path(drawn)
        if (leaf != 1).any()
    }
    assert touched == set(names)


def test_the_gradient_is_that_of_the_masked_model():
    """Over several batches: loss, carry and gradient of a plain loop whose params are masked inside
    what is differentiated."""
    estimator = weight_drop(bptt(CELL, squares), RATE)
    carry = estimator.init(PARAMS, jax.random.key(3), B)
    position, estimate = carry.sequences.carry, jax.jit(estimator.estimate)
    mask_of = jax.jit(lambda carry: masks(estimator, carry))

    @jax.jit
    def by_hand(params, mask, position, batch):
        def loss(params):
            carry, losses = position, []
            for x, target in zip(*batch, strict=True):
                carry, y = jax.vmap(CELL.step, in_axes=(None, 0, 0))(times(params, mask), carry, x)
                losses.append(squares(y, target).mean())
            return sum(losses) / T, carry

        return jax.value_and_grad(loss, has_aux=True)(params)

    for seed in range(3):
        mask = mask_of(carry)
        (loss, position), expected = by_hand(PARAMS, mask, position, batch(seed))
        grads, carry, metrics = estimate(PARAMS, carry, batch(seed))
        found = (metrics["loss"], carry.sequences.carry, grads)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
            found,
            (loss, position, expected),
        )


# an unrolled gradient, one of drawn lengths, an influence, and a draw of it
@pytest.mark.full
@pytest.mark.parametrize("name", ["tbptt", "random_length", "rtrl", "uoro"])
def test_around_any_style(name):
    """One batch is the style's own on masked params; the carry is a `lax.scan` carry."""
    case = as_declared(STYLES[name], Case(3, 3, T, 0))
    style = STYLES[name](CELL, squares, case.window, case.stride)
    estimator = weight_drop(style, RATE)
    carry = estimator.init(PARAMS, jax.random.key(3), B)

    @jax.jit
    def compared(params, carry, batch):
        mask = masks(estimator, carry)
        own, *rest = style.estimate(times(params, mask), carry.sequences, batch)
        return estimator.estimate(params, carry, batch), (times(own, mask), *rest)

    (grads, after, metrics), (own, end, told) = compared(PARAMS, carry, batch())
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(
        lambda a: (a.shape, a.dtype), carry
    )
    found = (grads, after.sequences, metrics["loss"])
    expected = (own, end, told["loss"])
    require_close("(grads, carry, loss)", ("around", found), ("the style", expected), 1e-6)


@pytest.mark.full
@pytest.mark.parametrize("batch_size", [4, 3])
def test_devices_have_one_mask(batch_size):
    estimator = weight_drop(stateless(tbptt(CELL, squares, window=3, stride=3)), RATE)
    divided = batch_parallel(estimator, jax.devices()[:2])
    some = jax.tree.map(lambda a: a[:, :batch_size], batch())
    carry = estimator.init(PARAMS, jax.random.key(3), batch_size)
    grads, _, _ = jax.jit(estimator.estimate)(PARAMS, carry, some)
    found, _, _ = jax.jit(divided.estimate)(PARAMS, carry, some)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, grads)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_out_of_range(rate):
    with pytest.raises(ValueError, match=f"rate is {rate}"):
        weight_drop(ECHO, rate)
    with pytest.raises(ValueError, match=f"--weight-drop is {rate}"):
        configured_weight_drop(ECHO, rate, CELL)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"no leaf called 'u_hh'; name some of head.b, head.w, la"):
        weight_drop(ECHO, RATE, ("w_hh", "u_hh")).init(PARAMS, jax.random.key(0), B)


def test_at_rate_0_a_config_leaves_the_estimator_alone():
    assert configured_weight_drop(ECHO, 0.0, CELL) is ECHO
    assert configured_weight_drop(ECHO, 0.1, CELL) is not ECHO
