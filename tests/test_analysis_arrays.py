"""What is written is what is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import chain, dropout, embed, lstm
from jaxrnn.analysis.activations import activations
from jaxrnn.analysis.arrays import write_arrays


def test_names_are_places_in_the_tree(tmp_path):
    model = chain(embed=embed(5, 3), drop=dropout(0.5), layer_1=lstm(3, 4))
    params = model.init(jax.random.key(0))
    carry = model.init_carry(params, jax.random.key(1))
    found = activations(model, params, carry, jnp.array([0, 4, 2]))
    path = tmp_path / "new" / "arrays.npz"
    write_arrays(path, found._asdict())
    with np.load(path, allow_pickle=False) as there:
        assert {"ys", "carry/layer_1/h", "named/layer_1/gate_1", "carry/drop/key"} <= {*there}
        np.testing.assert_array_equal(there["carry/layer_1/c"], found.carry["layer_1"].c)
        keys = jax.random.key_data(found.carry["drop"]["key"])
        np.testing.assert_array_equal(there["carry/drop/key"], keys)


def test_floats_that_numpy_has_not(tmp_path):
    write_arrays(tmp_path / "a.npz", {"narrow": jnp.array([1.5, 2], jnp.bfloat16)})
    with np.load(tmp_path / "a.npz") as there:
        assert there["narrow"].dtype == np.float32
        assert there["narrow"].tolist() == [1.5, 2]


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"give one that ends in \.npz"):
        write_arrays(tmp_path / "a.txt", {"a": jnp.ones(2)})
    with pytest.raises(ValueError, match="give it a name"):
        write_arrays(tmp_path / "a.npz", jnp.ones(2))
