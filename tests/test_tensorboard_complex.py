"""Histograms of complex numbers: magnitude and phase."""

import jax.numpy as jnp
import numpy as np

from jaxrnn.runs.tensorboard.observing import parts_of


def test_complex_leaves_have_two_histograms():
    leaf = jnp.array([1j, -2.0 + 0j, 3.0 + 0j])
    found = parts_of("layer/h", leaf)
    assert list(found) == ["layer/h/magnitude", "layer/h/phase"]
    np.testing.assert_allclose(found["layer/h/magnitude"], [1, 2, 3])
    np.testing.assert_allclose(found["layer/h/phase"], [np.pi / 2, np.pi, 0], rtol=1e-6)
    assert parts_of("w", leaf.real).keys() == {"w"}
