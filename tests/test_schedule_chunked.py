"""Matrices of the carry worked out chunk by chunk, beside the plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from affine_steps import INPUTS, cell_of, random_step
from bulky_steps import STEPS, inputs

from jaxrnn import Cell, unroll
from jaxrnn.schedule import choosing
from jaxrnn.schedule.chunks import Steps, chunk
from jaxrnn.unroll import Schedule, explain

T, B = 37, 2  # the chunks are of 16 time steps
SCHEDULES: tuple[Schedule, ...] = ("scan", "chunked")


def made(cell, batch_size=B, num_steps=T, size=INPUTS):
    params = cell.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), batch_size)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
    return params, carry, jax.random.normal(jax.random.key(2), (num_steps, batch_size, size))


def require_close(ours, plain, tolerance=1e-5):
    for a, b in zip(*map(jax.tree.leaves, (ours, plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


def require_the_plain_loop(cell, params, carry, xs):
    """In values, gradients, tangents, and for several members at once."""

    def run(schedule):
        def both(*given):
            return unroll(cell, *given, schedule=schedule)

        def loss(*given):
            out = both(*given)
            return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(out)), out

        given = (params, carry, xs)
        members = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a]), params)
        gradient = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
        tangents = jax.tree.map(jnp.cos, given)
        return (
            jax.vmap(gradient, (0, None, None))(members, carry, xs),
            jax.jvp(both, given, tangents),
        )

    found = jax.jit(lambda: [run(schedule) for schedule in SCHEDULES])()
    require_close(found[1], found[0])


def require_affine_step(seed):
    matrices = random_step(seed)
    cell = cell_of(matrices)
    given = made(cell)
    report = str(explain(cell, *given, schedule="chunked"))
    assert report.count("chunked: carry") == len(matrices), (matrices, report)
    require_the_plain_loop(cell, *given)


@pytest.mark.parametrize("seed", range(6))
def test_affine_steps(seed):
    require_affine_step(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6, 106))
def test_more_affine_steps(seed):
    require_affine_step(seed)


# What falls back, and why


def step_of(function, given=lambda x: x):
    """A cell over a matrix [3, 5]; the function makes of S and x [4] the new S and y."""
    shapes = {"k": 5, "q": 5, "v": 3, "p": 3, "w": 15}
    return Cell(
        lambda key: {
            name: jax.random.normal(jax.random.fold_in(key, size), (INPUTS, size))
            for name, size in shapes.items()
        },
        lambda params, key: given(jnp.ones((3, 5))),
        lambda params, s, x: function(s, {name: x @ w for name, w in params.items()}),
    )


def written(s, x):
    return s + jnp.outer(x["v"], x["k"])


CAUSES = {
    "tanh of it": lambda s, x: (jnp.tanh(written(s, x)), s @ x["q"]),
    "it is given out at every time step": lambda s, x: (written(s, x), s),
    "its decay is of each element of the whole matrix": lambda s, x: (
        written(s * jax.nn.sigmoid(x["w"].reshape(3, 5)), x),
        s @ x["q"],
    ),
    "what is added is no sum of outer products": lambda s, x: (
        0.5 * s + x["w"].reshape(3, 5),
        s @ x["q"],
    ),
    "tanh of what is read of it": lambda s, x: (
        s + jnp.outer(jnp.tanh(s @ x["k"]), x["k"]),
        s @ x["q"],
    ),
    "a product of two values that read it": lambda s, x: (written(s, x), (s * s) @ x["q"]),
    "reduce_max of it": lambda s, x: (written(s, x), s.max(0)),
    "slice of it": lambda s, x: (written(s, x), s[0]),
    "a product with a matrix": lambda s, x: (written(s, x), s @ x["w"].reshape(5, 3)),
    "what feeds back is scaled along the axis that is not read along": lambda s, x: (
        written(s, x) - jnp.outer(x["p"] * (s @ x["q"]), x["k"]),
        s @ x["q"],
    ),
    "it feeds back, and decays along the axis that is not read along": lambda s, x: (
        x["p"][:, None] * s - jnp.outer(s @ x["q"], x["k"]),
        s @ x["q"],
    ),
    "what is read of it feeds back, and it is read along several axes": lambda s, x: (
        s - jnp.outer(s @ x["q"], x["k"]),
        x["p"] @ s,
    ),
    "its carry does not read itself": lambda s, x: (jnp.outer(x["v"], x["k"]), s @ x["q"]),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_falls_back_says_why(cause):
    cell = step_of(CAUSES[cause])
    report = str(explain(cell, *made(cell), schedule="chunked"))
    assert f"not chunked: {cause}\n" in f"{report}\n"


def test_leaves_that_feed_each_other_fall_back():
    cell = step_of(
        lambda carry, x: (
            (written(carry[0], x) * carry[1][0], carry[0] @ x["q"]),
            carry[1],
        ),
        lambda s: (s, s[:, 0]),
    )
    report = str(explain(cell, *made(cell), schedule="chunked"))
    assert "not chunked: several leaves of the carry feed each other" in report


def test_a_matrix_that_is_read_with_what_comes_after_it_falls_back():
    def function(carry, x):
        s, h = carry
        new = jnp.tanh(h + (s @ x["q"]).sum())
        return (written(s, x), new), s @ (x["k"] + new)

    cell = step_of(function, lambda s: (s, jnp.float32(0)))
    report = str(explain(cell, *made(cell), schedule="chunked"))
    assert "not chunked: it is read with what a later loop makes" in report


# Steps from the literature


def mlstm(carry, x):
    """Beck et al. (2024): a matrix, its normaliser and its stabiliser."""
    s, n, m = carry
    i, f = x["w"][0], jax.nn.log_sigmoid(x["w"][1] + 2)
    new = jnp.maximum(f + m, i)
    forget, write = jnp.exp(f + m - new), jnp.exp(i - new)
    s = forget * s + write * jnp.outer(x["v"], x["k"])
    n = forget * n + write * x["k"]
    h = s @ x["q"] / jnp.maximum(jnp.abs(n @ x["q"]), jnp.exp(-new))
    return (s, n, new), jax.nn.sigmoid(x["p"]) * h


def rwkv7(s, x):
    """Peng et al. (2025): a decay of each key, and a removal of rank 1."""
    decay, a = jnp.exp(-jax.nn.sigmoid(x["w"][:5])), jax.nn.sigmoid(x["w"][5:10])
    k = x["k"] / jnp.linalg.norm(x["k"])
    s = s * decay[None] - (s @ k)[:, None] * (a * k)[None] + written(0, x)
    return s, s @ x["q"]


def mamba2(s, x):
    """Dao and Gu (2024): a scalar decay."""
    step = jax.nn.softplus(x["w"][0])
    s = jnp.exp(-step) * s + step * jnp.einsum("v,k->vk", x["v"], x["k"])
    return s, jnp.einsum("vk,k->v", s, x["q"]) + 0.5 * x["v"]


def product_of_two(s, x):
    """Siems et al. (2025): two steps of the delta rule."""
    for k, v in ((x["k"], x["v"]), (x["q"], x["p"])):
        k = k / jnp.linalg.norm(k)
        s = s + jnp.outer(v - s @ k, k)
    return s, s @ x["q"]


PUBLISHED = {
    "decay scalar, rank 0": (mlstm, lambda s: (s, s[0], jnp.float32(0))),
    "decay of each key, rank 1": (rwkv7, lambda s: s),
    "decay scalar, rank 0 ": (mamba2, lambda s: s),
    "decay none, rank 2": (product_of_two, lambda s: s),
}


@pytest.mark.parametrize("says", PUBLISHED)
def test_published_steps(says):
    cell = step_of(*PUBLISHED[says])
    params, carry, xs = made(cell)
    xs = xs / 2
    report = str(explain(cell, params, carry, xs, schedule="chunked"))
    assert says.strip() in report

    def run(schedule):
        def loss(params):
            return jnp.sin(unroll(cell, params, carry, xs, schedule=schedule)[1]).sum()

        return jax.value_and_grad(loss)(params)

    plain, ours = jax.jit(lambda: [run(schedule) for schedule in SCHEDULES])()
    require_close(ours, plain)


# Numbers that a quotient of products, or a logarithm, would not stand


@pytest.mark.parametrize("kind", ["scalar", "key", "value"])
def test_any_decay_is_right(kind):
    size, key = 16, jax.random.key(0)
    w, k, v = (jax.random.normal(jax.random.fold_in(key, i), (size, 1, 4)) for i in range(3))
    decays = jnp.tile(jnp.array([0.5, 0.0, 1e-30, 3.0, -0.9, 0.5, 3.0, 1.0]), size // 8)
    decays = {"scalar": decays, "key": None, "value": None} | (
        {} if kind == "scalar" else {"scalar": None, kind: jnp.stack([decays, decays**2] * 2, 1)}
    )

    def ours(decays, w, k, v):
        return chunk(jnp.ones((4, 4)), Steps(**decays, read=w, fed=w[:, :0], keys=k, values=v))

    def plain(decays, w, k, v):
        def step(s, now):
            decays, w, k, v = now
            z = s @ w[0]
            for name, shape in (("scalar", ()), ("key", (1, 4)), ("value", (4, 1))):
                s = s if decays[name] is None else s * decays[name].reshape(shape)
            return s + jnp.outer(v[0], k[0]), z[None]

        return jax.lax.scan(step, jnp.ones((4, 4)), (decays, w, k, v))

    def gradient(function):
        def loss(*given):
            return sum(jnp.sin(leaf).sum() for leaf in function(*given))

        return jax.grad(loss, (0, 1, 2, 3))(decays, w, k, v)

    both = jax.jit(lambda f: (f(decays, w, k, v), gradient(f)), static_argnums=0)
    require_close(both(ours), both(plain), 1e-4)


def test_bfloat16_is_summed_in_float32():
    cell = STEPS["delta rule"]
    params, carry, _ = made(cell)
    xs = inputs(200, B)
    expected = unroll(cell, params, carry, xs, schedule="scan")[1]
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, carry))
    narrow = {n: a.astype(jnp.bfloat16) if n != "token" else a for n, a in xs.items()}
    apart = []
    for schedule in SCHEDULES:
        found = jax.jit(unroll, static_argnums=0, static_argnames="schedule")(
            cell, *half, narrow, schedule=schedule
        )[1]
        assert found.dtype == jnp.bfloat16
        apart.append(float(jnp.abs(found.astype(jnp.float32) - expected).max()))
    assert apart[1] < apart[0]


def test_auto_takes_it_of_large_matrices_and_many_time_steps():
    cell = STEPS["decayed matrix"]
    for length, taken in ((choosing.LONG, True), (choosing.LONG - 1, False)):
        xs = inputs(length, 64)
        params, carry, _ = made(cell, 64)
        report = str(explain(cell, params, carry, xs))
        assert ("chunked: carry" in report) == taken
        assert report.startswith("schedule chunked") == taken
