"""Gradient flow and Lyapunov exponents of cells whose derivative is known."""

import analysis_support as support
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full, of_kinds

from jaxrnn import CELLS
from jaxrnn.analysis.flow import gradient_flow, lyapunov_exponents
from jaxrnn.analysis.vectors import from_vector, to_vector
from jaxrnn.laws.comparing import widened

KEY = jax.random.key(0)
MATRIX = jnp.array([[0.9, 0.3, 0.0], [0.0, 0.5, 0.2], [0.0, 0.0, 1.1]])


def test_the_flow_of_a_linear_cell_is_a_power_of_its_matrix():
    cell = support.linear_cell(MATRIX)
    xs = jax.random.normal(KEY, (9, 3))
    flow = gradient_flow(cell, (), jnp.zeros(3), xs, ends=[5, 8], lags=6, singular_values=2)
    powers = [np.linalg.matrix_power(np.asarray(MATRIX, float), k) for k in range(7)]
    values = np.array([np.linalg.svd(power, compute_uv=False) for power in powers])
    for n in range(2):
        np.testing.assert_allclose(flow.norm[n], [np.linalg.norm(p) for p in powers], rtol=1e-5)
        np.testing.assert_allclose(flow.singular_values[n], values[:, :2], rtol=1e-5)


def test_nothing_vanishes_in_a_counter():
    cell = support.counter()
    params = cell.init(KEY)
    flow = gradient_flow(cell, params, jnp.float32(0), jnp.ones(6), ends=[5], lags=6)
    np.testing.assert_array_equal(flow.norm, np.ones((1, 7)))
    assert flow.singular_values.shape == (1, 7, 0)
    (exponent,) = lyapunov_exponents(cell, params, jnp.float32(0), jnp.ones(6), KEY)
    assert exponent == 0


def test_exponents_of_a_linear_cell_are_the_logarithms_of_its_eigenvalues():
    cell = support.linear_cell(MATRIX)
    found = lyapunov_exponents(
        cell, (), jnp.zeros(3), jnp.zeros((400, 3)), KEY, count=3, warm_up=100
    )
    np.testing.assert_allclose(found, np.log([1.1, 0.9, 0.5]), atol=1e-4)
    (largest,) = lyapunov_exponents(cell, (), jnp.zeros(3), jnp.zeros((400, 3)), KEY, warm_up=100)
    np.testing.assert_allclose(largest, np.log(1.1), atol=1e-4)


def test_a_rotation_neither_grows_nor_shrinks():
    turn = 0.7 * jnp.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    found = lyapunov_exponents(
        support.linear_cell(turn), (), jnp.zeros(2), jnp.zeros((30, 2)), KEY, count=2
    )
    np.testing.assert_allclose(found, np.log(0.7), rtol=1e-4)


def test_a_lost_direction_is_minus_infinity():
    cell = support.delay(1)  # the carry is the last input: nothing of the one before is left
    found = lyapunov_exponents(cell, cell.init(KEY), jnp.zeros((1, 3)), jnp.ones((4, 3)), KEY)
    assert found == -jnp.inf


@pytest.mark.parametrize("name", mostly_full(of_kinds(CELLS), "gru"))
def test_the_flow_of_every_cell_is_its_jacobian(name):
    cell, xs = CELLS[name](3, 4), np.random.default_rng(0).normal(size=(4, 3))
    with jax.enable_x64(True):
        params = widened(cell.init(KEY))
        carry = widened(cell.init_carry(params, KEY))
        flow = jax.jit(lambda xs: gradient_flow(cell, params, carry, xs, ends=[3], lags=3))
        norms = np.asarray(flow(jnp.asarray(xs)).norm)[0]
    carry, step = support.transcription(name, params)
    for lag in (3, 2, 1):
        carry, _ = step(carry, xs[3 - lag])
        leaves, tree = jax.tree.flatten(carry)
        numbers = [leaf.ravel().view(float) for leaf in leaves]

        def last(vector, leaves=leaves, tree=tree, numbers=numbers, lag=lag):
            """From the numbers of the carry, `lag` time steps before, to those of the last one."""
            parts = np.split(vector, np.cumsum([part.size for part in numbers])[:-1])
            pairs = zip(parts, leaves, strict=True)
            now = tree.unflatten(
                [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in pairs]
            )
            for x in xs[4 - lag :]:
                now, _ = step(now, x)
            return np.concatenate([leaf.ravel().view(float) for leaf in jax.tree.leaves(now)])

        jacobian = support.differences(last, np.concatenate(numbers))
        np.testing.assert_allclose(norms[lag], np.linalg.norm(jacobian), rtol=1e-6)
    assert norms[1] > 0


def test_what_is_refused():
    cell = support.linear_cell(MATRIX)

    def flow(**options):
        return gradient_flow(
            cell, (), jnp.zeros(3), jnp.zeros((9, 3)), **({"ends": [5], "lags": 2} | options)
        )

    with pytest.raises(ValueError, match=r"ends is \[9\]; give time steps from 0 to 8"):
        flow(ends=[9])
    with pytest.raises(ValueError, match="ends is"):
        flow(ends=[])
    with pytest.raises(ValueError, match="lags is 7, the first of ends 5; give at most 6"):
        flow(lags=7)
    with pytest.raises(ValueError, match="singular_values is 4; give 0 to 3"):
        flow(singular_values=4)
    with pytest.raises(ValueError, match="count is 4; give 1 to 3"):
        lyapunov_exponents(cell, (), jnp.zeros(3), jnp.zeros((9, 3)), KEY, count=4)
    with pytest.raises(ValueError, match="warm_up is 9; give 0 to 8"):
        lyapunov_exponents(cell, (), jnp.zeros(3), jnp.zeros((9, 3)), KEY, warm_up=9)


def test_vectors_and_back():
    tree = {
        "complex": jnp.array([1 + 2j, 3 - 4j]),
        "narrow": jnp.ones(2, jnp.bfloat16),
        "key": jax.random.key(1),
        "step": jnp.int32(7),
    }
    vector = to_vector(tree)
    assert vector.tolist() == [1, 3, 2, -4, 1, 1]
    back = from_vector(2 * vector, tree)
    assert back["complex"].tolist() == [2 + 4j, 6 - 8j]
    assert back["narrow"].dtype == jnp.bfloat16
    assert back["step"] == 7
    assert to_vector(tree["step"]).shape == (0,)
