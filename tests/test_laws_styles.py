"""Every gradient style under every law."""

import importlib
from pathlib import Path
from typing import get_args

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from tiers import mostly_full, some

from jaxrnn import Batch, Cell, chain, elman, gradients, one_hot
from jaxrnn.gradients import STYLES
from jaxrnn.laws import STYLE_LAWS
from jaxrnn.laws.style_cases import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    OVERLAPPING,
    Case,
    as_declared,
)
from jaxrnn.laws.styles import equals_by_hand, schedules_are_the_plain_scan
from jaxrnn.models import cross_entropy
from jaxrnn.unroll import Schedule, unroll

SCHEDULES = "every schedule = plain scan"
assert gradients.__file__ is not None
HERE = Path(gradients.__file__).parent
MODULES = [
    importlib.import_module(
        ".".join(["jaxrnn.gradients", *path.relative_to(HERE).with_suffix("").parts])
    )
    for path in HERE.rglob("[!_]*.py")
]


# "stateless" is "tbptt" from a fresh start, "random_length" cuts as "artbp" does, and "snap" is
# exact where "rflo" is.
KINDS = ("bptt", "tbptt", "artbp", "rtrl", "uoro", "rflo")
# Laws of what the others have of their own.
STARTING = ("carry type preserved", "carry continues", "fresh starts draw anew")


@pytest.mark.parametrize("name", mostly_full(STYLES, *KINDS))
def test_laws(name, subtests):
    """One test a style: laws share what they compile."""
    for law, holds in STYLE_LAWS.items():
        if law != SCHEDULES:
            with subtests.test(law):
                holds(STYLES[name])


@pytest.mark.parametrize(
    "name",
    mostly_full(
        [name for name in STYLES if name not in KINDS],
        "stateless",
        "random_length",
        "snap",
        "eprop",
    ),
)
def test_how_a_style_starts(name, subtests):
    for law in STARTING:
        with subtests.test(law):
            STYLE_LAWS[law](STYLES[name])


# With windows, and with influences, which unroll a step of their own.
@pytest.mark.parametrize("name", mostly_full(STYLES, "tbptt", "rtrl"))
def test_the_schedule_that_is_chosen(name):
    schedules_are_the_plain_scan(STYLES[name], ["auto"])


@pytest.mark.full
@pytest.mark.parametrize("name", STYLES)
def test_every_schedule(name):
    STYLE_LAWS[SCHEDULES](STYLES[name])


@pytest.mark.parametrize("schedule", mostly_full(get_args(Schedule), "checkpointed"))
@pytest.mark.parametrize("name", STYLES)
def test_the_schedule_reaches_every_unroll(name, schedule, monkeypatch):
    used = []

    def noting(*arguments, schedule):
        used.append(schedule)
        return unroll(*arguments, schedule=schedule)

    for module in MODULES:
        if hasattr(module, "unroll"):
            monkeypatch.setattr(module, "unroll", noting)
    cell, tokens = chain(one_hot(3), elman(3, 4)), jnp.zeros((6, 2), jnp.int32)
    params = cell.init(jax.random.key(0))
    cases = [Case(window, 2, 4, history) for window, history in ((2, 0), (4, 0), (4, 2))]
    for case in dict.fromkeys(as_declared(STYLES[name], case) for case in cases):
        estimator = STYLES[name](cell, cross_entropy, case.window, case.stride, schedule=schedule)
        carry = estimator.init(params, jax.random.key(0), 2)
        inputs = tokens[: case.history + case.scored]
        jax.eval_shape(estimator.estimate, params, carry, Batch(inputs, inputs[case.history :]))
    assert set(used) == {schedule}


@st.composite
def cases(draw):
    stride = draw(st.integers(1, 4))
    window = draw(st.integers(stride, stride + 5))
    scored = stride * draw(st.integers(1, 4))
    return Case(window, stride, scored, draw(st.integers(0, window - stride)))


TRUNCATING = [name for name in STYLES if STYLES[name].truncates]


@pytest.mark.full
@pytest.mark.parametrize("name", TRUNCATING)
@settings(max_examples=8, derandomize=True)
@given(case=cases())
def test_any_window_and_stride(name, case):
    equals_by_hand(STYLES[name], case)


@pytest.mark.full
@pytest.mark.parametrize("case", [Case(1, 1, 1, 0), Case(2, 1, 5, 0), Case(6, 1, 12, 0)])
@pytest.mark.parametrize("name", some([name for name in STYLES if name not in TRUNCATING], 2))
def test_any_length(name, case):
    """A batch is one window to these, or as many as are drawn of a mean length."""
    equals_by_hand(STYLES[name], case)


def spirals() -> Cell:
    """c' = exp(-exp(nu) + i theta) c + w x, complex numbers that turn; y = Re(u c)."""

    def step(params, c, x):
        turn = jax.lax.complex(-jnp.exp(params["nu"]), params["theta"])
        c = jnp.exp(turn) * c + (x.astype(c.dtype) @ params["w"])
        return c, jnp.tanh((params["u"] * c).real)

    def init(key):
        return {
            "nu": jnp.linspace(-2.0, 0.0, HIDDEN_SIZE),
            "theta": jnp.linspace(0.0, 3.0, HIDDEN_SIZE),
            "w": jax.random.normal(key, (INPUT_SIZE, HIDDEN_SIZE), jnp.complex64),
            "u": jnp.linspace(0.5 + 1j, 1 - 1j, HIDDEN_SIZE, dtype=jnp.complex64),
            "c0": jnp.full(HIDDEN_SIZE, 0.5 - 0.2j, jnp.complex64),
        }

    return Cell(init, lambda params, key: params["c0"], step)


SPIRALS = spirals()


@pytest.mark.parametrize(
    "name",
    mostly_full([name for name in STYLES if not STYLES[name].carries_credit], "tbptt"),
)
def test_a_cell_of_complex_numbers(name):
    equals_by_hand(STYLES[name], OVERLAPPING, SPIRALS)


@pytest.mark.parametrize("name", STYLES)
def test_params_without_a_gradient_are_named(name):
    cell = Cell(
        init=lambda key: {"w": jnp.ones(()), "table": jnp.arange(3)},
        init_carry=lambda params, key: jnp.zeros(()),
        step=lambda params, c, x: (c * params["w"] + x, c),
    )
    estimator = STYLES[name](cell, lambda outputs, targets: outputs, 4, 4)

    def begin_and_estimate():
        params, ones = cell.init(jax.random.key(0)), jnp.ones((4, 2))
        carry = estimator.init(params, jax.random.key(0), 2)
        estimator.estimate(params, carry, Batch(ones, ones))

    with pytest.raises(ValueError, match=r"params\['table'\] of the cell is int32.*close over it"):
        begin_and_estimate()


@pytest.mark.parametrize("carry", [(), jnp.int32(0)], ids=["nothing", "a counter"])
@pytest.mark.parametrize("name", mostly_full(STYLES, "bptt", "uoro", "snap"))
def test_a_carry_that_no_error_goes_through(name, carry):
    """Every style gives the gradient of the time steps by themselves."""
    cell = Cell(
        init=lambda key: jnp.ones((2, 3)),
        init_carry=lambda params, key: carry,
        step=lambda params, carry, x: (jax.tree.map(lambda n: n + 1, carry), jnp.tanh(x @ params)),
    )

    estimator = STYLES[name](cell, lambda y, target: jnp.square(y - target).sum(-1), 4, 1)
    inputs = np.random.default_rng(1).standard_normal((4, 2, 2)).astype(np.float32)
    batch = Batch(jnp.asarray(inputs), jnp.zeros((4, 2, 3)))
    params = cell.init(jax.random.key(0))
    state = estimator.init(params, jax.random.key(0), 2)
    grads, _, _ = estimator.estimate(params, state, batch)
    y = np.tanh(inputs @ np.ones((2, 3)))
    alone = np.einsum("tbi,tbo->io", inputs, 2 * y * (1 - y**2)) / (4 * 2)
    np.testing.assert_allclose(grads, alone, rtol=1e-5)
