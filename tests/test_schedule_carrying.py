"""A carry that the step takes apart is carried in those parts, and comes out whole."""

import jax
import jax.numpy as jnp
import plain_loop
import pytest
from tiers import mostly_full

from jaxrnn import Cell, unroll
from jaxrnn.unroll import Schedule, explain

T, B, UNITS = 9, 2, 6


def cell_of(step, *shape):
    """Of a step over numbers of that shape, a gate in (0, 1) and an input [units]."""
    return Cell(
        lambda key: {
            "w": jax.random.normal(key, (2, 3, UNITS)) / 2,
            "r": jax.random.normal(key, (UNITS, UNITS)) / 3,
        },
        lambda params, key: jax.random.normal(key, shape),
        lambda params, h, x: step(
            h, jax.nn.sigmoid(x @ params["w"][0]), x @ params["w"][1], params["r"]
        ),
    )


def given(cell):
    xs = jax.random.normal(jax.random.key(2), (T, B, 3))
    return *plain_loop.start_of(cell, B), xs


def turned(a, b, gate, x):
    return gate * (0.8 * a - 0.6 * b) + x, gate * (0.6 * a + 0.8 * b)


def stacked(h, gate, x, r):
    h = jnp.stack(turned(h[0], h[1], gate, x))
    return h, h[0]


def in_columns(h, gate, x, r):
    a, b = turned(h[..., 0], h[..., 1], gate, x)
    return jnp.stack([a, b], -1), a * b


def joined(h, gate, x, r):
    a, b = jnp.split(h, 2)
    h = jnp.concatenate(turned(a, b, gate, x))
    return h, h


def by_matrices(h, gate, x, r):
    """A matrix of each unit."""
    turn = jnp.array([[0.8 * gate, -0.6 * gate], [0.6 * gate, 0.8 * gate]])
    h = (turn * h[None]).sum(1) + x[None]
    return h, h[0]


def added_to(h, gate, x, r):
    """What is put together is not what is carried on."""
    h = jnp.stack(turned(h[0], h[1], gate, 0)) + x[None]
    return h, h[1]


def columns_of_matrices(h, gate, x, r):
    turn = jnp.moveaxis(jnp.array([[gate, 1 - gate], [x, 0 * x]]), -1, 0)
    h = jnp.einsum("dij,dj->di", turn, h) + x[:, None]
    return h, h.sum(1)


def queue(h, gate, x, r):
    """The last inputs, begun anew now and then."""
    h = jnp.where(x[0] > 0.5, 0, h)
    h = jnp.concatenate([h[1:], x[None]])
    return h, h.mean(0)


def in_columns_first(h, gate, x, r):
    """Its numbers change places as they are put together."""
    h = h.reshape(2, UNITS) * gate[None] + x[None]
    return jnp.reshape(h, -1, order="F"), h[0]


def swapped(h, gate, x, r):
    """Two parts that change places, and one that nothing is read of."""
    a, b = h[:UNITS], h[UNITS : 2 * UNITS]
    return jnp.concatenate([b * gate, a, x]), a


def lstm(h, gate, x, r):
    """h and c in one array; what feeds them back is no matter."""
    h, c = h.reshape(2, UNITS)
    c = gate * c + jnp.tanh(x + h @ r)
    h = jnp.tanh(c)
    return jnp.stack([h, c]).reshape(-1), h


def rows(h, gate, x, r):
    """A matrix as a vector."""
    s = h.reshape(UNITS, UNITS) * gate[:, None] + jnp.outer(x, gate)
    return s.ravel(), s @ x


def heads(h, gate, x, r):
    """Matrices by a Python loop, of other sizes along an axis in the middle."""
    parts = [h[:, :2], h[:, 2:]]
    parts = [gate[0] * s + jnp.einsum("a,b,c->abc", x[:2], x[: s.shape[1]], x) for s in parts]
    return jnp.concatenate(parts, 1), jnp.concatenate([s.sum(0) @ x for s in parts])


PARTS = {
    "stack": (stacked, (2, UNITS), "associative", "2 x 2 numbers a unit"),
    "columns": (in_columns, (UNITS, 2), "associative", "2 x 2 numbers a unit"),
    "concatenate": (joined, (2 * UNITS,), "associative", "2 x 2 numbers a unit"),
    "matrices": (by_matrices, (2, UNITS), "associative", "feeds itself affinely, 2 x 2 numbers"),
    "columns of matrices": (
        columns_of_matrices,
        (UNITS, 2),
        "associative",
        "feeds itself affinely, 2 x 2",
    ),
    "added to": (added_to, (2, UNITS), "associative", "feeds itself affinely, 2 x 2"),
    "queue": (queue, (3, UNITS), "associative", "feeds itself affinely, 3 x 3"),
    "Fortran": (in_columns_first, (2 * UNITS,), "associative", "reshape of the carry"),
    "swap": (swapped, (3 * UNITS,), "associative", "part 3 of 3"),
    "lstm": (lstm, (2 * UNITS,), "distributed", "as [2, 6] part 1 of 2"),
    "rows": (rows, (UNITS * UNITS,), "chunked", "chunked: carry [36] as [6, 6]"),
    "heads": (heads, (2, 5, UNITS), "chunked", "carry [2, 5, 6] part 2 of 2"),
}


@pytest.mark.parametrize("name", PARTS)
def test_it_is_carried_in_parts(name):
    step, shape, schedule, says = PARTS[name]
    cell = cell_of(step, *shape)
    report = str(explain(cell, *given(cell), schedule=schedule))
    assert says in report


@pytest.mark.parametrize(
    "name", mostly_full(PARTS, "columns of matrices", "Fortran", "swap", "heads")
)
def test_it_is_right(name):
    step, shape, schedule, _ = PARTS[name]
    cell = cell_of(step, *shape)
    plain_loop.require_gradients(cell, *given(cell), schedule)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("stack", "newton"),
        ("lstm", "newton"),
        ("queue", "associative"),
        ("columns of matrices", "associative"),
    ],
)
def test_every_transformation_is_right(name, schedule: Schedule):
    step, shape, *_ = PARTS[name]
    cell = cell_of(step, *shape)
    plain_loop.require_the_plain_loop(cell, *given(cell), schedule)


@pytest.mark.parametrize("schedule", ["associative", "newton"])
def test_a_leaf_of_no_numbers(schedule: Schedule):
    def step(params, carry, x):
        h, nothing = carry
        return (0.9 * h + x, jnp.concatenate([nothing[:0], nothing]) * 2), h

    cell = Cell(lambda key: (), lambda params, key: (jnp.zeros(3), jnp.zeros(0)), step)
    given = (), (jnp.ones((B, 3)), jnp.zeros((B, 0))), jnp.ones((T, B, 3))
    ours, plain = (unroll(cell, *given, schedule=each) for each in (schedule, "scan"))
    plain_loop.require_close((ours[0][0], ours[1]), (plain[0][0], plain[1]))


def overlapping(h, gate, x, r):
    return jnp.concatenate([h[1:], h[:1] * gate[0]]), h[:2]


def given_out(h, gate, x, r):
    return joined(h, gate, x, r)[0], h


def put_elsewhere(h, gate, x, r):
    """Cut where it is not put together."""
    return jnp.concatenate([h[:2] * gate[0], h[2:] * gate[1]]), h[:3] + h[3:]


WHOLE = {"overlapping": overlapping, "given out": given_out, "put elsewhere": put_elsewhere}


@pytest.mark.parametrize("name", WHOLE)
def test_what_something_is_done_with_as_a_whole_stays_whole(name):
    cell = cell_of(WHOLE[name], 12 if name == "given out" else 6)
    report = str(explain(cell, *given(cell), schedule="distributed"))
    assert "loop over carry [" in report
    assert "part 1 of" not in report
