"""Cells whose recurrence is carry' = a * carry + b: found by analysis, worked out in parallel."""

import functools

import jax
import jax.numpy as jnp
import pytest
from tiers import mostly_full

from jaxrnn import explain, unroll
from jaxrnn.cells import CELLS, indrnn
from jaxrnn.laws.comparing import named_floats, random_projection, require_close
from jaxrnn.laws.derivatives import Point
from jaxrnn.laws.subject import subject

LINEAR = {name: CELLS[name] for name in ("min_gru", "min_lstm", "lru")}
LINEAR["indrnn, linear"] = functools.partial(indrnn, activation="linear")
NUM_STEPS = 500


def long_point(factory):
    made = subject(factory)
    xs = jax.random.normal(jax.random.key(1), (NUM_STEPS, len(made.keys), made.input_size))
    return made.cell, Point(made.params, made.carry, xs)


@pytest.mark.parametrize("name", LINEAR)
def test_every_recurrence_is_made_parallel(name):
    cell, point = long_point(LINEAR[name])
    stages = explain(cell, *point, schedule="associative").stages
    assert [stage for stage in stages if stage.startswith("made parallel")]
    assert not [stage for stage in stages if stage.startswith("loop")]


@pytest.mark.parametrize("name", ["indrnn", "gru"])
def test_a_recurrence_that_is_not_linear_stays_a_loop(name):
    cell, point = long_point(CELLS[name])
    stages = explain(cell, *point, schedule="associative").stages
    assert [stage for stage in stages if stage.startswith("loop")]


@pytest.mark.parametrize("name", mostly_full(LINEAR, "min_gru"))
def test_in_parallel_is_the_plain_scan(name):
    """Over many time steps, in value and gradient; some units remember all of them."""
    cell, point = long_point(LINEAR[name])
    floats, rebuild = named_floats(point)

    def found(schedule):
        def projected(floats):
            result = unroll(cell, *rebuild(floats), schedule=schedule)
            return random_projection(result, seed=1), result

        return jax.jit(jax.value_and_grad(projected, has_aux=True))(floats)

    (_, results), grads = found("associative")
    (_, plain), plain_grads = found("scan")
    assert jnp.isfinite(results[1]).all()
    require_close("(carry, ys)", ("associative", results), ("scan", plain), 1e-5)
    require_close("gradient ", ("associative", grads), ("scan", plain_grads), 1e-4)
