"""Every primitive that JAX has a derivative rule of, in a step."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.interpreters import ad
from primitive_steps import FUNCTIONS, REASONS
from tiers import mostly_full

from jaxrnn import Cell, explain, unroll
from jaxrnn.jaxprs.equations import flatten
from jaxrnn.laws.comparing import require_close

B, H, T = 2, 3, 9
XS = jax.random.normal(jax.random.key(1), (T, B, H))
CARRY = jnp.zeros((B, H)), jnp.zeros((B, H))
W = jax.random.normal(jax.random.key(2), (H, H))
SCHEDULES = ("distributed", "checkpointed", "associative")

KNOWN = sorted({primitive.name for primitive in ad.primitive_jvps})
# JAX takes no error back through them: what stands beside the way of the derivative may hold them.
ONE_WAY = ("reduce_window", "while")
# One of each kind of equation that the scheduler has something to do with.
CHOSEN = ("tanh", "max", "pad", "rev", "gather", "scatter-add", "dynamic_update_slice", "cumsum")
CHOSEN += ("reduce_window_max", "sort", "cond", "triangular_solve")


def tried(names):
    return [name for name in names if name in KNOWN and name not in ONE_WAY]


def groups(names, size):
    return [tuple(names[i : i + size]) for i in range(0, len(names), size)]


GROUPS = groups([name for name in tried(sorted(FUNCTIONS)) if name not in CHOSEN], 12)


def as_three(made):
    """Three floats that all numbers of `made` influence."""
    numbers = made.ravel()
    if jnp.iscomplexobj(numbers):
        numbers = jnp.concatenate([numbers.real, numbers.imag])
    mixing = np.cos(np.add.outer(np.arange(numbers.size), 2.0 * np.arange(H)))
    return numbers.astype(jnp.float32) @ mixing.astype(np.float32)


def cell_of(*functions):
    """h' of z = tanh(h W + x) and of the functions of z; and a linear recurrence of it."""

    def step(w, carry, x):
        h, c = carry
        z = jnp.tanh(h @ w + x)
        h = (z + jnp.tanh(sum(as_three(function(z)) for function in functions))) / 2
        return (h, c / 2 + h), h

    return Cell(lambda key: W, lambda params, key: (jnp.zeros(H), jnp.zeros(H)), step)


def require_the_plain_loop(cell, wanted, schedules=SCHEDULES):
    """In one program: to compile takes most of the time."""

    def of(schedule, arguments):
        def loss(arguments):
            given = {"w": W, "carry": CARRY, "xs": XS} | arguments
            carry, ys = unroll(cell, *given.values(), schedule=schedule)
            weights = np.cos(np.arange(T * B * H, dtype=np.float32)).reshape(T, B, H)
            return (ys * weights).sum() + carry[1].sum(), (carry, ys)

        return jax.value_and_grad(loss, has_aux=True)(arguments)

    def of_each(arguments):
        return {schedule: of(schedule, arguments) for schedule in ("scan", *schedules)}

    found = jax.jit(of_each)(wanted)
    for schedule in schedules:
        require_close("", (schedule, found[schedule]), ("scan", found["scan"]), 1e-4)


def test_every_primitive_has_a_function_or_a_reason():
    """Of JAX itself, as a new process has them: what a test imports may bring others."""
    source = (
        "import jax; from jax.interpreters import ad; print(*{p.name for p in ad.primitive_jvps})"
    )
    found = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, check=True, text=True
    )
    known = found.stdout.split()
    assert {"tanh", "dot_general"} <= {*known}
    assert sorted({*known} - {*FUNCTIONS} - {*REASONS}) == []


@pytest.mark.full
@pytest.mark.parametrize("name", [*tried(sorted(FUNCTIONS)), *ONE_WAY])
def test_a_function_holds_its_primitive(name):
    z = jax.ShapeDtypeStruct((H,), jnp.float32)
    closed = jax.make_jaxpr(FUNCTIONS[name])(z)
    names = {e.primitive.name for e in closed.jaxpr.eqns}
    assert name in names | {e.primitive.name for e in flatten(closed).equations}


@pytest.mark.parametrize(
    ("names", "schedules"),
    # "associative" has the other recurrence in parallel, and the loop of these by "distributed"
    [pytest.param(g, ("associative",), marks=pytest.mark.full, id=g[0]) for g in GROUPS]
    + [pytest.param(CHOSEN, SCHEDULES, marks=pytest.mark.full), (CHOSEN, ("distributed",))],
)
def test_values_and_gradients(names, schedules):
    functions = [FUNCTIONS[name] for name in tried(names)]
    for name, function in zip(tried(names), functions, strict=True):
        report = explain(cell_of(function), W, CARRY, XS, schedule="distributed")
        assert report.schedule == "distributed", (name, report.reason)
    require_the_plain_loop(cell_of(*functions), {"w": W, "carry": CARRY, "xs": XS}, schedules)


def window(x):
    lowest, nothing = jnp.asarray(-jnp.inf, x.dtype), jnp.asarray(0, x.dtype)
    padded = lax.pad(x, nothing, [(1, 1, 0)])
    return lax.rev(lax.reduce_window(padded, lowest, lax.max, (3,), (1,), "VALID"), (0,))


@pytest.mark.parametrize(
    "name", mostly_full(["window", "regularized_incomplete_beta", *ONE_WAY], "window")
)
def test_no_backward_pass_beside_the_way_of_the_derivative(name):
    """A window's maximum of what is padded and turned round, with initial values that are arrays,
    and other functions that JAX has no backward pass of."""
    function = FUNCTIONS.get(name, window)

    def step(w, carry, x):
        h, c = carry
        h = jnp.tanh(h @ w + jnp.ravel(function(jnp.tanh(x)))[0])
        return (h, c / 2 + h), h

    cell = cell_of()._replace(step=step)
    if name == "window":
        report = explain(cell, W, CARRY, XS, schedule="distributed")
        assert report.schedule == "scan"
        assert report.reason.startswith("no backward pass: JAX has none of reduce_window")
    require_the_plain_loop(cell, {"w": W})


@pytest.mark.full
def test_a_constant_of_the_step_gets_no_tangent():
    """JAX has no derivative by two of this function's arguments, not by one that is zero either."""
    cell = cell_of(FUNCTIONS["regularized_incomplete_beta"])

    def tangent(schedule):
        def last(w):
            return unroll(cell, w, CARRY, XS, schedule=schedule)[0]

        return jax.jvp(last, (W,), (W,)), jax.linearize(last, W)[1](W)

    found = jax.jit(lambda: {schedule: tangent(schedule) for schedule in ("scan", "distributed")})()
    require_close("", ("distributed", found["distributed"]), ("scan", found["scan"]), 1e-4)
