"""One recurrence over matrices, written in many ways: each is found chunk by chunk, and right."""

import jax
import jax.numpy as jnp
import plain_loop
import pytest
from tiers import mostly_full

from jaxrnn import Cell
from jaxrnn.schedule.choosing import Chunks
from jaxrnn.unroll import explain

T, B, INPUTS = 11, 2, 4
HEADS, KEYS, VALUES = 4, 4, 3
SIZES = {"k": KEYS, "q": KEYS, "w": KEYS, "v": VALUES}
EYE = jnp.eye(KEYS, dtype=bool)
EYES = jax.nn.one_hot(jnp.arange(KEYS), KEYS)[None]


@pytest.fixture(autouse=True)
def of_four_time_steps(monkeypatch):
    monkeypatch.setattr("jaxrnn.schedule.choosing.ON_A_CPU", Chunks(4, 4))


def cell_of(step, *shape):
    """Of a step over S of that shape and vectors of all heads: k, q and w in (0, 1) [heads, keys],
    v [heads, values]."""

    def stepped(params, s, x):
        vectors = {name: (x @ w).reshape(HEADS, -1) for name, w in params.items()}
        s, y = step(s, **vectors | {"w": jax.nn.sigmoid(vectors["w"])})
        return s, y.reshape(-1)

    return Cell(
        lambda key: {
            name: jax.random.normal(jax.random.fold_in(key, i), (INPUTS, HEADS * size)) / 2
            for i, (name, size) in enumerate(SIZES.items())
        },
        lambda params, key: 0.3 * jax.random.normal(key, shape),
        stepped,
    )


def given(cell):
    xs = jax.random.normal(jax.random.key(2), (T, B, INPUTS)) / 2
    return *plain_loop.start_of(cell, B), xs


def decayed_by(turned):
    """A decay of each key as a product with a matrix that is diagonal."""

    def step(s, k, q, w, v):
        s = turned(s, w) + v[:, :, None] * k[:, None]
        return s, jnp.einsum("hvk,hk->hv", s, q)

    return step, (HEADS, VALUES, KEYS)


def delta_rule_of_one(s, k, q, w, v):
    """As it stands in ports, an axis of one example in front, and all by matmul."""
    k, q, v = (a[None, :, None] for a in (k, q, v))
    s = w.mean() * s + jnp.swapaxes(k, -1, -2) @ (v - k @ s)
    return s, (q @ s)[0, :, 0]


def columns(s, k, q, w, v):
    """Vectors are matrices of one column, and so is the state's last axis."""
    now = s[..., 0] * w[:, None] + v[:, :, None] * k[:, None]
    return now[..., None], (now @ q[..., None])[..., 0]


def reset_by_a_branch(s, k, q, w, v):
    """Sequences that begin anew."""
    s = jax.lax.cond(v[0, 0] > 0.3, jnp.zeros_like, lambda s: s, s)
    s = w[:, None] * s + v[:, :, None] * k[:, None]
    return s, jnp.einsum("hvk,hk->hv", s, q)


def read_at_once(s, k, q, w, v):
    """A delta rule whose key and query are read in one product."""
    s = s * w[:, None]
    read = s @ jnp.stack([k, q], -1)
    new = v - read[..., 0]
    y = read[..., 1] + new * jnp.einsum("hk,hk->h", k, q)[:, None]
    return s + new[:, :, None] * k[:, None], y


def products_in_a_loop(s, k, q, w, v):
    """Several steps of the delta rule within one time step."""

    def one(s, key):
        key = key / jnp.linalg.norm(key, axis=-1, keepdims=True)
        read = jnp.einsum("hvk,hk->hv", s, key)
        return s + (v - read)[:, :, None] * key[:, None], None

    s, _ = jax.lax.scan(one, s, jnp.stack([k, w]))
    return s, jnp.einsum("hvk,hk->hv", s, q)


def turned_by_a_reshape(s, k, q, w, v):
    """In Fortran order, of each head."""
    s = s * w[:, None] + v[:, :, None] * k[:, None]
    turned = jax.lax.reshape(s, (HEADS, KEYS, VALUES), (0, 2, 1))
    return s, jnp.einsum("hkv,hk->hv", turned, q)


# How each is written, and what is found
WRITINGS = {
    "a diagonal matrix of each head": (
        decayed_by(lambda s, w: 0.3 * s + 0.5 * s @ jax.vmap(jnp.diag)(w)),
        "decay of each key, rank 0",
    ),
    "a diagonal matrix within each head": (
        decayed_by(jax.vmap(lambda s, w: s @ jnp.where(EYE, w, 0))),
        "decay of each key, rank 0",
    ),
    "a diagonal chosen of all heads": (
        decayed_by(lambda s, w: s + s @ jnp.where(EYE[None], -w[:, :, None], 0)),
        "decay of each key, rank 0",
    ),
    "a diagonal of places that agree": (
        decayed_by(
            lambda s, w: jnp.einsum(
                "hvk,hkj->hvj",
                s,
                jnp.where(jnp.arange(KEYS)[:, None] == jnp.arange(KEYS)[None], w[:, None], 0),
            )
        ),
        "decay of each key, rank 0",
    ),
    "an identity for each head, and a place above 0": (
        decayed_by(lambda s, w: s @ jnp.where(jnp.tile(EYES, (HEADS, 1, 1)) > 0, w[:, None], 0)),
        "decay of each key, rank 0",
    ),
    "a reset by a branch": (
        (reset_by_a_branch, (HEADS, VALUES, KEYS)),
        "decay of each key, rank 0",
    ),
    "a key and a query read at once": (
        (read_at_once, (HEADS, VALUES, KEYS)),
        "decay of each key, rank 1",
    ),
    "products in a loop": (
        (products_in_a_loop, (HEADS, VALUES, KEYS)),
        "decay none, rank 2",
    ),
    "a matrix turned by a reshape": (
        (turned_by_a_reshape, (HEADS, VALUES, KEYS)),
        "decay of each key, rank 0",
    ),
    "an axis of one example": (
        (delta_rule_of_one, (1, HEADS, KEYS, VALUES)),
        "decay scalar, rank 1",
    ),
    "an axis of one at the end": (
        (columns, (HEADS, VALUES, KEYS, 1)),
        "decay of each key, rank 0",
    ),
}


@pytest.mark.parametrize("name", WRITINGS)
def test_it_is_found(name):
    (step, shape), says = WRITINGS[name]
    cell = cell_of(step, *shape)
    report = str(explain(cell, *given(cell), schedule="chunked"))
    assert "chunked: carry" in report, report
    assert f"{says}, chunks" in report


@pytest.mark.parametrize(
    "name",
    mostly_full(WRITINGS, "a diagonal matrix of each head", "a key and a query read at once"),
)
def test_it_is_right(name):
    (step, shape), _ = WRITINGS[name]
    cell = cell_of(step, *shape)
    plain_loop.require_gradients(cell, *given(cell), "chunked")
