"""Leaves of the carry that feed each other affinely, unit by unit, worked out in parallel."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_loop import require_close, require_the_plain_loop, start_of
from tiers import mostly_full

from jaxrnn import Cell
from jaxrnn.cells import lstm
from jaxrnn.schedule.linear.blocks import recurrence
from jaxrnn.unroll import explain

T, B, I, H = 13, 2, 3, 4  # noqa: E741


def cell_of(step, leaves=2, dtype=jnp.float32):
    """A cell over so many leaves; its step is given sigmoids a, b and any numbers u, v."""

    def init(key):
        return {
            name: jax.random.normal(jax.random.fold_in(key, i), (I, H))
            for i, name in enumerate("abuv")
        }

    def whole(params, carry, x):
        z = {name: x @ w for name, w in params.items()}
        z |= {name: jax.nn.sigmoid(z[name]) for name in "ab"}
        (kind,) = {leaf.dtype for leaf in jax.tree.leaves(carry)}
        z = {name: a.astype(kind) for name, a in z.items()}
        return step(carry, z)

    names = "pqrs"[:leaves]
    return Cell(
        init,
        lambda params, key: {
            n: jax.random.normal(jax.random.fold_in(key, ord(n)), (H,), dtype) for n in names
        },
        whole,
    )


def linoss(carry, z):
    """Rusch and Rus (2024), implicit: a forced oscillator of each unit."""
    dt = 0.3
    velocity = (carry["p"] - dt * z["a"] * carry["q"] + dt * z["u"]) / (1 + dt**2 * z["a"])
    place = carry["q"] + dt * velocity
    return {"p": velocity, "q": place}, place


def rtu(carry, z):
    """Elelimy et al. (2024): a rotation of two real numbers, and a decay."""
    p, q = carry["p"], carry["q"]
    c, s = z["a"] * jnp.cos(3 * z["b"]), z["a"] * jnp.sin(3 * z["b"])
    p, q = c * p - s * q + z["u"], s * p + c * q + z["v"]
    return {"p": p, "q": q}, jnp.maximum(p, q) * carry["p"]


def momentum(carry, z):
    """A momentum that is pulled back by what it moves."""
    p = z["a"] * carry["p"] + 0.3 * (z["u"] - carry["q"])
    return {"p": p, "q": carry["q"] + z["b"] * p}, p


def ring(carry, z):
    p, q, r = (carry[n] for n in "pqr")
    return {"p": z["a"] * q + z["u"], "q": -r * z["b"], "r": 0.5 * p + z["v"]}, q * r


def reset(carry, z):
    """Four, all begun anew now and then."""
    p, q, r, s = (jnp.where(z["v"] > 1, 0, carry[n]) for n in "pqrs")
    new = {
        "p": (q - r) * z["a"] + z["u"],
        "q": (r - s) / 2 + p / 3,
        "r": s - z["b"] * p,
        "s": p / 4,
    }
    return new, sum(new.values())


def turned(carry, z):
    """Two complex numbers."""
    p, q = carry["p"], carry["q"]
    turn = jnp.exp(1j * z["b"])
    return {"p": z["a"] * turn * q + z["u"], "q": 0.5 * p - 0.4 * q}, jnp.abs(p + q)


CELLS = {
    "LinOSS": cell_of(linoss),
    "RTU": cell_of(rtu),
    "momentum": cell_of(momentum),
    "ring": cell_of(ring, 3),
    "reset": cell_of(reset, 4),
    "turned": cell_of(turned, 2, jnp.complex64),
}


def given_to(cell):
    return *start_of(cell, B), jax.random.normal(jax.random.key(2), (T, B, I))


@pytest.mark.parametrize("name", CELLS)
def test_it_is_found(name):
    cell = CELLS[name]
    given = given_to(cell)
    leaves = len(given[1])
    report = str(explain(cell, *given, schedule="associative"))
    assert f"feed each other affinely, {leaves} x {leaves} numbers a unit" in report
    assert "loop over" not in report
    assert "linear, kept as a loop" in str(explain(cell, *given, schedule="distributed"))


@pytest.mark.parametrize("name", mostly_full(CELLS, "LinOSS"))
def test_in_parallel_is_the_plain_loop(name):
    require_the_plain_loop(CELLS[name], *given_to(CELLS[name]), "associative")


@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradient_of_the_recurrence_is_that_of_the_loop(reverse):
    """Which goes back through the transposed matrices."""
    rng = np.random.default_rng(0)
    a, b = (jnp.float32(rng.normal(size=size)) for size in ((3, B, 2, 2), (3, B, 2)))

    def loop(a, b):
        hs = {-1: jnp.zeros((B, 2))}
        for i, t in enumerate(range(2, -1, -1) if reverse else range(3)):
            hs[i] = (a[t] * hs[i - 1][:, None]).sum(-1) + b[t]
        return jnp.stack([hs[2 - t if reverse else t] for t in range(3)])

    def gradient(function):
        return jax.value_and_grad(lambda *given: jnp.sin(function(*given)).sum(), (0, 1))(a, b)

    ours = functools.partial(recurrence, reverse=reverse)
    require_close(*jax.jit(lambda: [gradient(function) for function in (ours, loop)])())


def squared(carry, z):
    return {"p": carry["p"] * carry["q"] + z["u"], "q": carry["p"]}, carry["q"]


def scaled(carry, z):
    """All units feed each other."""
    p = carry["p"] * z["a"] + carry["q"].mean()
    return {"p": p, "q": p - carry["q"]}, carry["q"]


CAUSES = {
    "several leaves of the carry feed each other: mul of the carry": cell_of(squared),
    "several leaves of the carry feed each other: reduce_sum of the carry": cell_of(scaled),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_is_not_says_why(cause):
    cell = CAUSES[cause]
    report = str(explain(cell, *given_to(cell), schedule="associative"))
    assert f"not parallel: {cause}\n" in f"{report}\n"


def test_an_lstm_is_not():
    cell = lstm(I, H)
    given = *start_of(cell, B), jnp.zeros((T, B, I))
    report = str(explain(cell, *given, schedule="associative"))
    assert "not parallel: several leaves of the carry feed each other: " in report


def gated(w, carry, x):
    """An LSTM whose gates read the input alone."""
    c, _ = carry
    i, f, g, o = jnp.split(x @ w, 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def stabilised(w, carry, x):
    """An sLSTM of that kind: its stabiliser m is a maximum, its normaliser n is linear given m."""
    c, n, m, _ = carry
    i, f, g, o = jnp.split(x @ w, 4)
    new = jnp.maximum(f + m, i)
    i, f = jnp.exp(i - new), jnp.exp(f + m - new)
    c, n = f * c + i * jnp.tanh(g), f * n + i
    h = jax.nn.sigmoid(o) * c / n
    return (c, n, new, h), h


@pytest.mark.parametrize(("step", "leaves", "linear"), [(gated, 2, (0,)), (stabilised, 4, (0, 1))])
def test_the_linear_part_of_gated_cells_is_found(step, leaves, linear):
    cell = Cell(lambda key: jnp.ones((3, 16)), lambda w, key: (jnp.zeros(4),) * leaves, step)
    w, carry = start_of(cell, 2)
    report = str(explain(cell, w, carry, jnp.zeros((5, 2, 3)), schedule="associative"))
    assert report.count("made parallel") == len(linear)
    assert all(f"made parallel: carry[{place}] [4] = a * " in report for place in linear)
