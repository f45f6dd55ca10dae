"""What is seen of a cell's inside, and when a unit counts as saturated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from analysis_support import TOKENS, given

from jaxrnn import chain, dropout, embed, linear, lstm, unroll
from jaxrnn.analysis.activations import activations
from jaxrnn.analysis.named import name_values
from jaxrnn.analysis.saturation import TENTHS, saturation, saturations


def test_activations_are_those_of_unroll():
    model = chain(embed=embed(5, 3), layer=lstm(3, 4), drop=dropout(0.5), head=linear(4, 5))
    params, carry = given(model)

    @jax.jit
    def both(params, carry):
        alone = jax.tree.map(lambda a: a[None], carry)
        unrolled = unroll(model, params, alone, TOKENS[:, None])
        return activations(model, params, carry, TOKENS), unrolled

    found, (last, ys) = both(params, carry)
    np.testing.assert_allclose(found.ys, ys[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.named["embed"], params["embed"]["w"][TOKENS])
    np.testing.assert_array_equal(found.named["head"], found.ys)
    np.testing.assert_allclose(found.carry["layer"].c[-1], last["layer"].c[0], rtol=1e-5)
    drop, h = found.named["drop"], found.carry["layer"].h
    np.testing.assert_array_equal(drop, jnp.where(drop == 0, 0, 2 * h))


def test_saturation_counts_what_is_beyond_the_limits():
    values = jnp.array([[0.05, 0.5], [0.95, 0.5], [0.97, 0.05], [0.5, 0.2]])
    found = saturation(values, TENTHS.gate)
    np.testing.assert_allclose(found.low, [0.25, 0.25])
    np.testing.assert_allclose(found.high, [0.5, 0.0])
    np.testing.assert_allclose(found.share, 0.5)
    wide = saturation(2 * values - 1, (-0.5, 0.5))
    np.testing.assert_allclose(wide.low, [0.25, 0.5])
    np.testing.assert_allclose(wide.high, [0.5, 0.0])


def test_every_gate_of_a_model_has_its_saturation():
    model = chain(embed=embed(5, 3), layer=lstm(3, 4), head=linear(4, 5))
    params, carry = given(model)
    open_all = params | {"layer": params["layer"]._replace(b=jnp.full(16, 50.0))}
    units = name_values(model, params, carry, TOKENS[0]).units
    found = saturations(activations(model, open_all, carry, TOKENS).named, units, TENTHS)
    gates, tanhs = [f"layer/gate_{i}" for i in (1, 2, 3)], ["layer/tanh_1", "layer/tanh_2"]
    assert list(found) == [*gates, *tanhs]
    for name in [*gates, "layer/tanh_1"]:
        np.testing.assert_array_equal(found[name].high, np.ones(4))
        np.testing.assert_array_equal(found[name].low, np.zeros(4))
    # h begins at tanh(1) = 0.76 and then holds more and more
    np.testing.assert_allclose(found["layer/tanh_2"].high, np.full(4, 5 / 6), rtol=1e-6)


def test_what_is_refused():
    model = chain(embed=embed(5, 3))
    params, carry = given(model)
    with pytest.raises(ValueError, match=r"xs has leaves of shapes \[\(0,\)\]"):
        activations(model, params, carry, TOKENS[:0])
    with pytest.raises(ValueError, match=r"limits are \(1\.0, 0\.0\)"):
        saturation(jnp.zeros(3), (1.0, 0.0))
