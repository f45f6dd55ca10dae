"""What the factories of cells take, and what their docstrings say of first weights and limits."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.cells import (
    elman,
    feed_forward,
    gru,
    gru_reset_before,
    indrnn,
    lru,
    lstm,
    min_lstm,
    mixture_gru,
    mogrifier_lstm,
    nested_lstm,
    peephole_lstm,
)
from jaxrnn.models import parameter_bytes

KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (5, 3))


def outputs(cell, params):
    return jax.lax.scan(lambda h, x: cell.step(params, h, x), cell.init_carry(params, KEY), XS)[1]


@pytest.mark.parametrize(
    ("cell", "with_params_of_lstm"),
    [
        (mogrifier_lstm(3, 4, rounds=0), lambda cell, p: cell.init(KEY)._replace(lstm=p)),
        (nested_lstm(3, 4, depth=1), lambda cell, p: (p,)),
        (peephole_lstm(3, 4), lambda cell, p: cell.init(KEY)._replace(**p._asdict())),
    ],
    ids=["no round", "depth 1", "peepholes as they begin"],
)
def test_what_is_the_plain_lstm(cell, with_params_of_lstm):
    plain = lstm(3, 4)
    params = plain.init(jax.random.key(2))
    expected = outputs(plain, params)
    found = outputs(cell, with_params_of_lstm(cell, params))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_every_round_of_the_mogrifier_counts(rounds):
    fewer, more = mogrifier_lstm(3, 4, rounds=rounds), mogrifier_lstm(3, 4, rounds=rounds + 1)
    params = more.init(KEY)
    # the last round reads the last of q or of r, which the one with fewer rounds has not
    assert len(params.q) + len(params.r) == rounds + 1
    assert float(jnp.abs(outputs(fewer, params) - outputs(more, params)).max()) > 1e-4


@pytest.mark.parametrize("context", [1, 2, 4])
def test_feed_forward_sees_its_context_and_no_more(context):
    cell = feed_forward(3, 4, context)
    params = cell.init(KEY)
    last = jax.jacobian(
        lambda xs: jax.lax.scan(
            lambda carry, x: cell.step(params, carry, x), cell.init_carry(params, KEY), xs
        )[1][-1]
    )(XS)
    seen = jnp.abs(last).max((0, 2)) > 0
    assert seen.tolist() == [i >= len(XS) - context for i in range(len(XS))]


def test_a_variant_is_its_keyword():
    by_keyword, by_name = gru(3, 4, reset="before"), gru_reset_before(3, 4)
    params = by_name.init(KEY)
    jax.tree.map(np.testing.assert_array_equal, params, by_keyword.init(KEY))
    np.testing.assert_array_equal(outputs(by_keyword, params), outputs(by_name, params))


def test_the_nested_lstm_of_the_article():
    """Distill's Visualizing memorization in RNNs counts 5,764,800 numbers."""
    assert parameter_bytes(nested_lstm(600, 600)) == 4 * 5_764_800


def test_eigenvalues_begin_on_their_ring():
    params = lru(3, 500, r_min=0.4, r_max=0.9, max_phase=1.0).init(KEY)
    radius, phase = np.exp(-np.exp(params.nu)), np.exp(params.theta)
    assert 0.4 <= radius.min() < 0.45
    assert 0.85 < radius.max() <= 0.9
    assert 0 < phase.min() < 0.1
    assert 0.9 < phase.max() <= 1
    np.testing.assert_allclose(np.exp(params.gamma), np.sqrt(1 - radius**2), rtol=1e-4)
    # evenly over the area: half of it is outside of the radius that halves it
    assert abs(np.mean(radius > math.sqrt((0.4**2 + 0.9**2) / 2)) - 0.5) < 0.1


def test_shut_gates_of_the_min_lstm():
    """Where f and i are both 0 in 32 bits, their ratio is that of their logarithms."""
    cell = min_lstm(1, 1)
    params = cell.init(KEY)._replace(
        w_ih=jnp.array([[-200.0, -201.0, 0.0]]), b=jnp.array([0.0, 0.0, 1.0])
    )

    def after(params):
        return cell.step(params, jnp.zeros(1), jnp.ones(1))[1][0]

    h, grads = jax.value_and_grad(after)(params)
    np.testing.assert_allclose(h, 1 / (1 + math.e), rtol=1e-5)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_independent_units_begin_with_memories_of_every_length():
    u = indrnn(3, 200).init(KEY).u
    assert 0 <= u.min() < 0.1
    assert 0.9 < u.max() < 1


@pytest.mark.parametrize(
    ("factory", "given", "message"),
    [
        (elman, {"activation": "sine"}, "activation is 'sine'; give one of tanh, relu"),
        (indrnn, {"activation": "sine"}, "'sine'; give one of relu, tanh, linear"),
        (gru, {"reset": "never"}, "reset is 'never'; give one of after, before"),
        (mogrifier_lstm, {"rounds": -1}, "rounds is -1; give a whole number of at"),
        (nested_lstm, {"depth": 0}, "depth is 0"),
        (mixture_gru, {"matrices": 0}, "matrices is 0"),
        (lru, {"r_min": 0.9, "r_max": 0.5}, "r_min is 0.9 and r_max 0.5; give 0 <= r_min"),
        (lru, {"max_phase": 0.0}, "max_phase is 0.0; give an angle above 0, in radians"),
    ],
)
def test_refusals(factory, given, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(factory)(3, 4, **given)  # as without jaxtyping, which refuses some first
