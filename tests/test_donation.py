"""What the library makes can be donated to a compiled function: no array is in it twice."""

import jax
import jax.numpy as jnp
import pytest

from jaxrnn import (
    CELLS,
    STYLES,
    Cell,
    bptt,
    chain,
    clipped_adam,
    elman,
    embed,
    init_state,
    learnt_carry,
    linear,
    lstm,
    stateless,
    weight_drop,
)
from jaxrnn.base import distinct, named_leaves
from jaxrnn.models import cross_entropy

KEY = jax.random.key(0)


def twins(tree):
    """The names of leaves that share their memory with another."""
    places = {}
    for name, leaf in named_leaves(tree).items():
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        data = jax.random.key_data(leaf) if is_key else leaf
        if data.size:
            places.setdefault(data.unsafe_buffer_pointer(), []).append(name)
    return [names for names in places.values() if len(names) > 1]


@pytest.mark.parametrize("name", CELLS)
def test_no_array_is_twice_in_what_a_cell_begins_with(name):
    cell = CELLS[name](3, 4)
    params = cell.init(KEY)
    assert not twins(params)
    assert not twins(cell.init_carry(params, KEY))


def careless(input_size, hidden_size):
    """Of somebody who writes one array into several places."""
    plain = elman(input_size, hidden_size)

    def init(key):
        params = plain.init(key)
        return {"plain": params, "scale": params.b}

    def init_carry(params, key):
        h = plain.init_carry(params["plain"], key)
        return {"h": h, "before": h, "key": key, "again": key}

    def step(params, carry, x):
        h, y = plain.step(params["plain"], carry["h"], x)
        return carry | {"h": h, "before": carry["h"] + params["scale"]}, y

    return Cell(init, init_carry, step)


MODEL = chain(embed=embed(5, 3), layer=learnt_carry(lstm(3, 4)), head=linear(4, 5))


def test_no_array_is_twice_in_a_fresh_state_of_any_style():
    styles = {name: style(MODEL, cross_entropy, 4, 4) for name, style in STYLES.items()}
    for name, estimator in styles.items():
        assert not twins(init_state(MODEL, estimator, clipped_adam(), KEY, 2)), name


@pytest.mark.parametrize("cell", [careless(3, 4), learnt_carry(careless(3, 4))])
@pytest.mark.parametrize(
    "wrapped", [lambda e: e, stateless, lambda e: weight_drop(e, 0.5, ("w_hh",))]
)
def test_a_fresh_state_is_donated_whatever_the_cell_begins_with(cell, wrapped):
    estimator = wrapped(bptt(cell, cross_entropy))
    state = init_state(cell, estimator, clipped_adam(), KEY, 2)
    assert not twins(state)
    assert not twins(estimator.init(state.params, KEY, 2))
    advance = jax.jit(lambda state: state._replace(step=state.step + 1), donate_argnums=0)
    assert advance(state).step == 1


def test_a_copy_stands_where_an_array_comes_again():
    a, key = jnp.arange(3), jax.random.key(1)
    found = distinct({"first": a, "again": (a, key), "key": key, "number": 1.5})
    assert not twins({name: leaf for name, leaf in found.items() if name != "number"})
    assert found["again"][0] is a
    assert (found["first"] == a).all()
    assert found["number"] == 1.5
