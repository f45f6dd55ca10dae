"""Leaves without numbers in params, carry, xs and y change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import mostly_full

from jaxrnn import STYLES, Batch, Cell, eprop, rflo, rtrl, snap, stateless, tbptt, uoro

T, B, H = 6, 2, 3
KEY = jax.random.key(0)
W = 0.5 * jax.random.normal(KEY, (H, H))
XS = jax.random.normal(jax.random.key(1), (T, B, H))


def bare_step(w, h, x):
    h = jnp.tanh(h @ w + x)
    return h, h


BARE = Cell(lambda key: W, lambda w, key: jnp.zeros(H), bare_step)


def step(params, carry, x):
    h, y = bare_step(params["w"], carry["h"], x["x"] + params["none"].sum() + (2 * x["none"]).sum())
    none = 2 * carry["none"] + jnp.tanh(params["none"]) + jnp.zeros((0, 2)) @ h[:2] + h[:0]
    return {"h": h, "none": none}, {"y": y, "none": y[:0] * none}


NONE = jnp.zeros(0)
CELL = Cell(
    lambda key: {"w": W, "none": NONE},
    lambda params, key: {"h": jnp.zeros(H), "none": NONE},
    step,
)


def of_bare(style):
    return style(BARE, lambda y, target: jnp.square(y - target).sum(-1), jnp.ones(H))


def of_filled(style):
    def objective(y, target):
        return jnp.square(y["y"] - target).sum(-1)

    return style(CELL, objective, {"x": jnp.ones(H), "none": NONE})


ESTIMATORS = {
    "bptt": lambda cell, objective, x: STYLES["bptt"](cell, objective, T, T),
    "artbp": lambda cell, objective, x: STYLES["artbp"](cell, objective, 3, T),
    "windows that touch": lambda cell, objective, x: tbptt(cell, objective, window=3, stride=3),
    "overlapping": lambda cell, objective, x: tbptt(cell, objective, window=4, stride=2),
    "stateless": lambda cell, objective, x: stateless(
        tbptt(cell, objective, window=4, stride=2, schedule="scan")
    ),
    "rtrl": lambda cell, objective, x: rtrl(cell, objective, x=x, schedule="scan"),
    "snap": lambda cell, objective, x: snap(cell, objective, x=x, schedule="scan"),
    "rflo": lambda cell, objective, x: rflo(cell, objective, x=x, schedule="scan"),
    "eprop": lambda cell, objective, x: eprop(cell, objective, x=x, schedule="scan"),
    "uoro": lambda cell, objective, x: uoro(cell, objective, x=x, schedule="scan"),
}


@pytest.mark.parametrize("name", mostly_full(ESTIMATORS, "overlapping", "rtrl"))
def test_gradients_are_those_of_the_cell_without_them(name):
    bare, filled = of_bare(ESTIMATORS[name]), of_filled(ESTIMATORS[name])
    targets = jnp.zeros((T, B, H))

    @jax.jit
    def both():
        params = CELL.init(KEY)
        batch = Batch({"x": XS, "none": jnp.zeros((T, B, 0))}, targets)
        expected, _, told = bare.estimate(W, bare.init(W, KEY, B), Batch(XS, targets))
        found, _, metrics = filled.estimate(params, filled.init(params, KEY, B), batch)
        return (found["w"], metrics["loss"]), (expected, told["loss"]), found["none"]

    found, expected, none = both()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)
    assert none.shape == (0,)
