"""Steps that nobody would write, under every schedule."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, seed, settings
from random_steps import VOCAB_SIZE, RandomStep, as_cell, random_steps, weights_read
from tiers import WIDE, mostly_full

from jaxrnn import unroll
from jaxrnn.laws.comparing import named_floats, random_projection, require_close
from jaxrnn.laws.derivatives import Point
from jaxrnn.unroll import explain

# How many steps each part draws, the least step there is among them; in parts for as many workers,
# of which the plain command tries the first.
PARTS = {0: 2} | dict.fromkeys(range(1, 6), 12)
TRIED = PARTS if WIDE else {part: min(count, 4) for part, count in PARTS.items()}
NUM_STEPS, BATCH_SIZE = 9, 2
# In double precision: what differs by more is not rounding.
TOLERANCE = 1e-9


def point(cell) -> Point:
    """Of numpy's draws: to compile JAX's of every shape takes as long as a schedule."""
    generator, axes = np.random.default_rng(0), (NUM_STEPS, BATCH_SIZE)
    keys = jax.random.split(jax.random.key(0), (NUM_STEPS + 1, BATCH_SIZE))

    def normal(*shape):
        return jnp.asarray(generator.standard_normal(shape))

    params = {
        name: normal(*like.shape) / max(1, like.ndim)
        for name, like in jax.eval_shape(cell.init, jax.random.key(0)).items()
    }
    like = jax.eval_shape(cell.init_carry, params, jax.random.key(0))["floats"]
    carry = {
        "floats": [normal(BATCH_SIZE, *each.shape) for each in like],
        "count": jnp.zeros(BATCH_SIZE, jnp.int32),
        "key": keys[0],
    }
    xs = {
        "x": normal(*axes, 3),
        "token": jnp.asarray(generator.integers(0, VOCAB_SIZE, axes), jnp.int32),
        "noise": keys[1:],
        "unused": jnp.ones((*axes, 2)),
    }
    return Point(params, carry, xs)


def of_each(part: int, count: int, hold: Callable[[RandomStep], None]) -> None:
    """`hold` of so many steps of this part, the same ones at every call."""

    @seed(part)
    @settings(max_examples=count, database=None)
    @given(random_steps())
    def of_one(step):
        hold(step)

    of_one()


@pytest.mark.parametrize("part", mostly_full(PARTS, 0))
def test_every_schedule_is_the_plain_scan(part):
    of_each(part, TRIED[part], every_schedule_is_the_plain_scan)


def every_schedule_is_the_plain_scan(step: RandomStep) -> None:
    """In values and in gradients to params, carry and inputs; and each is scheduled as asked."""
    cell = as_cell(step)
    with jax.enable_x64(True):
        here = point(cell)
        floats, rebuild = named_floats(here)
        explanation = explain(cell, *here, schedule="associative")
        assert explanation.schedule == "associative"
        schedules = ["scan", "distributed", "checkpointed"]
        # without a linear recurrence it is the same as "distributed"
        if "made parallel" in str(explanation):
            schedules.append("associative")

        def run(schedule, floats):
            def projected(floats):
                result = unroll(cell, *rebuild(floats), schedule=schedule)
                return random_projection(result, seed=1), result

            return jax.value_and_grad(projected, has_aux=True)(floats)

        # one program: to compile takes most of the time
        found = jax.jit(lambda floats: [run(schedule, floats) for schedule in schedules])(floats)
        (_, plain), plain_grads = found[0]
        for schedule, ((_, result), grads) in zip(schedules[1:], found[1:], strict=True):
            require_close("(carry, ys)", (schedule, result), ("scan", plain), TOLERANCE)
            require_close("gradient ", (schedule, grads), ("scan", plain_grads), TOLERANCE)


@pytest.mark.full
def test_the_steps_hold_what_they_should():
    """Weights in loops, recurrences of several leaves and linear ones."""
    steps: list[RandomStep] = []
    for part in PARTS:
        of_each(part, PARTS[part], steps.append)
    assert len(set(steps)) >= 50
    assert sum(bool(weights_read(step)) for step in steps) >= 45
    assert len({operation.name for step in steps for operation in step.operations}) > 40
    cells = [as_cell(step) for step in steps[1::2]]
    reports = [str(explain(cell, *point(cell), schedule="associative")) for cell in cells]
    for words in ("one product", "one sum", "several leaves of the carry", "made parallel"):
        assert sum(words in report for report in reports) >= 2, words
    assert explain(cells[-1], *point(cells[-1])).schedule in ("distributed", "associative")
