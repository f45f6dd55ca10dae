"""Matrices of the carry worked out chunk by chunk, beside the plain loop."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import plain_loop
import pytest
from affine_steps import INPUTS, cell_of, random_step
from bulky_steps import STEPS, inputs
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from plain_loop import require_close, require_the_plain_loop, start_of, total
from tiers import WIDE, mostly_full, some

from jaxrnn import Cell, chain, embed, linear, lstm, unroll
from jaxrnn.cells import CELLS
from jaxrnn.laws.comparing import widened
from jaxrnn.schedule.choosing import Chunks
from jaxrnn.schedule.matrix.chunked import size_of
from jaxrnn.schedule.matrix.chunks import Steps, by_halves, by_quotients, is_mild
from jaxrnn.unroll import Schedule, explain

T, B = 11, 2
SCHEDULES: tuple[Schedule, ...] = ("scan", "chunked")


@pytest.fixture(autouse=True)
def of_four_time_steps(monkeypatch):
    """A chunk is halved twice, and not four times: its program is compiled sooner."""
    monkeypatch.setattr("jaxrnn.schedule.choosing.ON_A_CPU", Chunks(4, 4))


def made(cell, batch_size=B, num_steps=T, size=INPUTS):
    xs = jax.random.normal(jax.random.key(2), (num_steps, batch_size, size))
    return *start_of(cell, batch_size), xs


def require_gradients(cell, params, carry, xs):
    report = str(explain(cell, params, carry, xs, schedule="chunked"))
    assert "chunked: carry" in report, report
    plain_loop.require_gradients(cell, params, carry, xs, "chunked")


def affine_step(seed):
    matrices = random_step(seed)
    cell = cell_of(matrices)
    given = made(cell)
    report = str(explain(cell, *given, schedule="chunked"))
    assert report.count("chunked: carry") == len(matrices), (matrices, report)
    return cell, *given


@pytest.mark.full
@pytest.mark.parametrize("seed", some(range(100), 20))  # all with JAXRNN_TEST_WIDE=1
def test_affine_steps(seed):
    """With tangents, and several members at once."""
    require_the_plain_loop(*affine_step(seed), "chunked")


# Decay, what is written and what reads are the same at every time step.
ALL_THE_SAME = Cell(
    lambda key: {"k": jnp.arange(5.0) / 5, "v": jnp.arange(3.0), "q": jnp.ones(5)},
    lambda params, key: jnp.ones((3, 5)),
    lambda w, s, x: (0.5 * s + jnp.outer(w["v"], w["k"]), s @ w["q"]),
)


@pytest.mark.full
def test_a_matrix_that_nothing_comes_in_to():
    require_gradients(ALL_THE_SAME, *made(ALL_THE_SAME))


@pytest.mark.parametrize(
    ("schedule", "says"), [("chunked", "chunked: carry"), ("associative", "made parallel")]
)
def test_a_matrix_that_nothing_comes_in_to_is_what_it_decays_to(schedule, says):
    """W + (S - W) / 2^t for S at first and W, twice what is written."""
    params, carry, xs = made(ALL_THE_SAME, num_steps=6)
    assert says in str(explain(ALL_THE_SAME, params, carry, xs, schedule=schedule))
    found = jax.jit(lambda: unroll(ALL_THE_SAME, params, carry, xs, schedule=schedule))()
    limit = 2 * np.outer(params["v"], params["k"])
    expected = limit + (1 - limit) / 2.0 ** np.arange(7)[:, None, None]
    ys = np.repeat(expected[:-1].sum(2)[:, None], B, 1)
    require_close(found, (np.stack([expected[-1]] * B), ys))


# What falls back, and why


def step_of(function, given=lambda x: x):
    """A cell over a matrix [3, 5]; the function makes of S and x [4] the new S and y."""
    shapes = {"k": 5, "q": 5, "v": 3, "p": 3, "w": 15}
    return Cell(
        lambda key: {
            name: jax.random.normal(jax.random.fold_in(key, i), (INPUTS, size)) / 2
            for i, (name, size) in enumerate(shapes.items())
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
        written(decayed := s * jax.nn.sigmoid(x["w"].reshape(3, 5)), x),
        decayed @ x["q"],
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
    "a product with a matrix": lambda s, x: (
        written(s, x),
        s @ jnp.tile(x["w"].reshape(5, 3), (1, 6)),
    ),
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
    "it is multiplied by a whole matrix, or one not seen to be a diagonal": lambda s, x: (
        written(s @ jnp.exp(jnp.outer(x["k"], x["q"])), x),
        s @ x["q"],
    ),
    "logaddexp of it": lambda s, x: (jnp.logaddexp(s, x["p"][:, None]), s @ x["q"]),
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


def descent(s, x):
    """Sun et al. (2024): a step down the gradient of what S makes of a key."""

    def loss(s):
        return 0.5 * ((s @ (x["k"] / jnp.linalg.norm(x["k"])) - x["v"]) ** 2).sum()

    s = s - jax.nn.sigmoid(x["w"][0]) * jax.grad(loss)(s)
    return s, s @ x["q"]


def householder(s, x):
    """DeltaNet as its paper has it: S (1 - b k k^T), and a decay."""
    k, b = x["k"] / jnp.linalg.norm(x["k"]), jax.nn.sigmoid(x["w"][0])
    forget = jax.nn.sigmoid(x["w"][1])
    s = forget * s @ (jnp.eye(5, dtype=k.dtype) - b * jnp.outer(k, k))
    return s + written(0, x), s @ x["q"]


def diagonal_and_low_rank(s, x):
    """RWKV-7's transition as one matrix, from the other side; the state is [keys, values]."""
    a = jax.nn.sigmoid(x["q"])
    transition = jnp.diag(jnp.exp(-a)) - 0.3 * jnp.outer(a * x["k"], x["k"])
    s = transition @ s + jnp.outer(x["k"], x["v"])
    return s, x["q"] @ s


PUBLISHED = {
    "decay scalar, rank 1": (householder, lambda s: s),
    "decay of each key, rank 1 ": (diagonal_and_low_rank, lambda s: s.T),
    "decay scalar, rank 0": (mlstm, lambda s: (s, s[0], jnp.float32(0))),
    "decay of each key, rank 1": (rwkv7, lambda s: s),
    "decay scalar, rank 0 ": (mamba2, lambda s: s),
    "decay none, rank 2": (product_of_two, lambda s: s),
    "decay none, rank 1": (descent, lambda s: s),
}


@pytest.mark.parametrize("says", mostly_full(PUBLISHED, "decay scalar, rank 0 "))
def test_published_steps(says):
    cell = step_of(*PUBLISHED[says])
    params, carry, xs = made(cell)
    require_gradients(cell, params, carry, xs / 2)


@pytest.mark.parametrize("says", PUBLISHED)
def test_published_steps_are_found(says):
    cell = step_of(*PUBLISHED[says])
    report = str(explain(cell, *made(cell), schedule="chunked"))
    assert "chunked: carry" in report
    assert f"{says.strip()}, chunks" in report


# Around the matrix


def turned(s, x):
    """A matrix of complex numbers: a turn and a decay, and a gate of real ones."""
    k, q = jax.lax.complex(x["k"], x["q"]), jax.lax.complex(x["q"], x["k"])
    turn = jnp.exp(jax.lax.complex(-jnp.abs(x["p"][0]), x["p"][1]))
    gate = jnp.sqrt(jnp.maximum(x["v"] ** 2, 0.25))[:, None]
    s = turn * s + gate.astype(s.dtype) * jnp.outer(x["v"].astype(s.dtype), k)
    z = s @ q
    return s, jnp.real(z) * jnp.abs(z)


@pytest.mark.full
def test_a_complex_matrix():
    cell = step_of(turned, lambda s: s.astype(jnp.complex64))
    with jax.enable_x64(True):
        require_gradients(cell, *widened(made(cell)))


@pytest.mark.full
def test_in_a_model():
    """A matrix between layers, read by tokens."""
    inner = step_of(rwkv7)
    cell = chain(embed=embed(7, INPUTS), matrix=inner, layer=lstm(3, 4), head=linear(4, 2))
    params, carry, _ = made(cell)
    require_gradients(cell, params, carry, jax.random.randint(jax.random.key(3), (T, B), 0, 7))


@pytest.mark.full
def test_no_params_and_a_decay_of_any_sign():
    def step(params, s, x):
        s = s * x["d"][None] + jnp.outer(x["v"], x["k"])
        return s, x["k"] @ s.T

    cell = Cell(lambda key: (), lambda params, key: jnp.ones((3, 5)), step)
    decays = jnp.tile(jnp.array([0.0, -0.7, 1.2, 1.0, 0.2]), (T, B, 1))
    xs = {"d": decays, "k": made(cell, size=5)[2], "v": made(cell, size=3)[2]}
    require_gradients(cell, *made(cell)[:2], xs)


@pytest.mark.full
@pytest.mark.parametrize("length", [1, 3, 8, 9])  # of chunks of 4
def test_any_number_of_time_steps(length):
    cell = step_of(rwkv7)
    require_gradients(cell, *made(cell, batch_size=1, num_steps=length))


def test_what_many_heads_read_of_an_input_is_one_product_for_all_time_steps():
    """Of 5 heads of 3 x 5 numbers the keys are more than a matrix has."""
    heads, keys, values = 5, 5, 3
    sizes = {"k": heads * keys, "q": heads * keys, "v": heads * values}

    def step(params, s, x):
        k, q, v = ((x @ params[name]).reshape(heads, -1) for name in "kqv")
        s = 0.9 * s + v[:, :, None] * k[:, None]
        return s, jnp.einsum("hvk,hk->hv", s, q)

    cell = Cell(
        lambda key: {name: jnp.ones((INPUTS, size)) for name, size in sizes.items()},
        lambda params, key: jnp.zeros((heads, values, keys)),
        step,
    )
    report = str(explain(cell, *made(cell), schedule="chunked"))
    assert "chunked: carry" in report
    for name, size in sizes.items():
        assert f"params['{name}'] [4, {size}]" in report


def heads_of_one_key(s, x):
    """Each of its own decay and its own share of the delta rule."""
    decay, share = jax.nn.sigmoid(x["p"][:2]), jax.nn.sigmoid(x["v"][:2])
    k = x["k"] / jnp.linalg.norm(x["k"])
    s = jnp.einsum("h,hvk->hvk", decay, s)
    s += jnp.einsum("h,hv,k->hvk", share, x["v"][None] - s @ k, k)
    return s, s @ x["q"]


def test_heads_that_share_their_keys():
    cell = step_of(heads_of_one_key, lambda s: jnp.stack([s, -s]))
    require_gradients(cell, *made(cell))


def gradient_of(cell, schedule):
    def loss(params, carry, xs):
        return total(unroll(cell, params, carry, xs, schedule=schedule))

    return jax.grad(loss, (0, 1, 2))


# what is read of it feeds back, or does not
@pytest.mark.full
@pytest.mark.parametrize("seed", range(4) if WIDE else (1, 2))
def test_second_derivatives(seed):
    cell = cell_of(random_step(seed))
    given = made(cell)

    def second(schedule):
        return jax.jvp(gradient_of(cell, schedule), given, jax.tree.map(jnp.cos, given))[1]

    plain, ours = jax.jit(lambda: [second(schedule) for schedule in SCHEDULES])()
    require_close(ours, plain, 1e-4)


@pytest.mark.full
def test_over_two_devices():
    """A batch that `jit` divides, and one in `jax.shard_map`."""
    cell = step_of(rwkv7)
    params, carry, xs = made(cell)
    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    specs = (P(), P("batch"), P(None, "batch"))
    there = jax.device_put((params, carry, xs), tuple(NamedSharding(mesh, s) for s in specs))
    plain = jax.jit(gradient_of(cell, "scan"))(params, carry, xs)
    ours = gradient_of(cell, "chunked")
    require_close(jax.jit(ours)(*there), plain)
    mapped = jax.shard_map(ours, mesh=mesh, in_specs=specs, out_specs=specs)
    require_close(jax.jit(mapped)(params, carry, xs), plain)


MATRICES = ("gla", "delta_net", "gated_delta_net", "mamba2", "mlstm", "hgrn2", "rwkv7")


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("name", MATRICES)
def test_cells_that_carry_a_matrix_are_found(name, heads):
    """A single head is an axis of size 1."""
    factory: Any = CELLS[name]
    cell = factory(INPUTS, 6, heads=heads)
    assert "chunked: carry" in str(explain(cell, *made(cell), schedule="chunked"))


@pytest.mark.full
@pytest.mark.parametrize("name", MATRICES)
def test_a_single_head_is_the_plain_loop(name):
    cell = CELLS[name](INPUTS, 6)
    with jax.enable_x64(True):
        params, carry, xs = widened(made(cell))
        plain_loop.require_gradients(cell, params, carry, xs, "chunked", 1e-9)


# Numbers that a quotient of products, or a logarithm, would not stand


WILD = 0.5, 0.0, 1e-30, 3.0, -0.9, 0.5, 3.0, 1.0
MILD = 0.5, 0.07, 0.9, 3.0, -0.9, 0.5, 15.0, 1.0


@pytest.mark.parametrize(
    ("kind", "way", "decays"),
    mostly_full(
        [
            ("scalar", by_halves, WILD),
            ("key", by_halves, WILD),
            ("value", by_halves, WILD),
            ("scalar", by_quotients, MILD),
            ("key", by_quotients, MILD),
            ("value", by_quotients, MILD),
        ],
        ("key", by_halves, WILD),
        ("value", by_quotients, MILD),
    ),
)
def test_any_decay_is_right(kind, way, decays):
    size, key = 16, jax.random.key(0)
    w, k, v = (jax.random.normal(jax.random.fold_in(key, i), (size, 1, 4)) for i in range(3))
    decays = jnp.tile(jnp.array(decays), size // 8)
    decays = {"scalar": decays, "key": None, "value": None} | (
        {}
        if kind == "scalar"
        else {"scalar": None, kind: jnp.stack([decays, jnp.flip(decays)] * 2, 1)}
    )

    def ours(decays, w, k, v):
        steps = Steps(**decays, read=w, keys=k, values=v, fed=jnp.zeros((len(w), k.shape[1], 0)))
        return way(jnp.ones((4, 4)), steps)

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


def test_second_derivatives_are_finite_where_mild_decays_come_to_much():
    """To 2^-48, of which the third power of the inverse is more than float32 has."""
    size, key = 16, jax.random.key(0)
    w, k, v = (jax.random.normal(jax.random.fold_in(key, i), (size, 1, 4)) for i in range(3))
    decays = jnp.full((size, 4), 0.125)

    def steps(decays):
        return Steps(None, decays, None, w, k, v, jnp.zeros((size, 1, 0)))

    def second(way):
        def loss(decays):
            return total(way(jnp.ones((4, 4)), steps(decays)))

        return jax.grad(lambda decays: total(jax.grad(loss)(decays)))(decays)

    assert is_mild(steps(decays))
    halves, quotients = jax.jit(lambda: (second(by_halves), second(by_quotients)))()
    require_close(quotients, halves, 1e-4)


@pytest.mark.parametrize("kind", ["key", "value"])
def test_decays_are_mild_where_those_of_each_head_are(kind):
    """As many heads as keys, which a broadcast along the wrong axis would not show."""
    scalar = jnp.ones((4, 2)).at[:, 0].set(0.1)
    for far, mild in ((0.9, True), (0.07, False)):  # beside 0.1, 0.07 is too far from 1
        each = jnp.ones((4, 2, 2)).at[:, 0].set(far)
        decays = {"scalar": scalar, "key": None, "value": None, kind: each}
        assert is_mild(Steps(**decays, read=each, keys=each, values=each, fed=each)) == mild
        swapped = decays | {kind: each[:, ::-1]}  # the 0.07 is another head's
        assert is_mild(Steps(**swapped, read=each, keys=each, values=each, fed=each))


def several(function, vectors=3):
    """A step whose S [3, 5] is read and written by several vectors in one array."""
    sizes = {"keys": (vectors, 5), "values": (vectors, 3), "k": (5,)}
    return Cell(
        lambda key: {
            name: jax.random.normal(jax.random.fold_in(key, i), (INPUTS, math.prod(shape))) / 3
            for i, (name, shape) in enumerate(sizes.items())
        },
        lambda params, key: jnp.ones((3, 5)),
        lambda params, s, x: function(
            s, *((x @ params[name]).reshape(shape) for name, shape in sizes.items())
        ),
    )


def queries_of_a_group(s, keys, values, k):
    s = 0.9 * s + jnp.outer(values[0], k)
    return s, jnp.einsum("vk,gk->gv", s, keys)


def several_deltas(s, keys, values, k):
    s += (values - keys @ s.T).T @ keys / 9
    return s, s @ k


def several_written(s, keys, values, k):
    return 0.9 * s + jnp.einsum("gv,gk->vk", values, keys), s @ k


@pytest.mark.parametrize(
    "function", mostly_full([several_deltas, queries_of_a_group, several_written], several_deltas)
)
def test_several_vectors_in_one_array(function):
    cell = several(function)
    require_gradients(cell, *made(cell))


def test_many_that_feed_back_take_the_loop(monkeypatch):
    def all_of(step):
        return frozenset(leaf.old for leaf in step.carry)

    cell = several(several_deltas, 5)
    monkeypatch.setattr("jaxrnn.schedule.planning.bulky_variables", lambda step, *_: all_of(step))
    report = str(explain(cell, *made(cell)))
    assert "not chunked: it feeds back through 5 vectors: a loop is quicker" in report


def test_outer_products_that_a_mask_leaves_out():
    """A time step that is padding writes nothing."""

    def masked(s, x):
        s = 0.9 * s + jnp.where(x["w"][0] > 0, jnp.outer(x["v"], x["k"]), 0)
        return s + jnp.where((x["p"] > 0)[:, None], 0, jnp.outer(x["p"], x["q"])), s @ x["q"]

    cell = step_of(masked)
    require_gradients(cell, *made(cell))


def crossed(s, x):
    """Two keys, under each of which both readings are written, under one of them one twice."""
    one, other = s @ x["k"], s @ x["q"]
    s = 0.5 * s + jnp.outer(x["v"] - one + 0.3 * other, x["k"]) / 9
    return s + jnp.outer(0.5 * one - other - x["p"][0] * one, x["q"]) / 9, s @ x["q"]


@pytest.mark.parametrize(
    ("function", "keys"),
    [
        (lambda s, x: (s + jnp.outer(x["v"] - s @ x["k"], x["k"]), s @ x["q"]), 1),
        (lambda s, x: (written(s, x) - jnp.outer(s @ x["k"], x["k"]), s @ x["q"]), 1),
        (crossed, 2),
    ],
)
def test_what_stands_under_one_key_is_written_once(function, keys, monkeypatch):
    """Another key is another product in each chunk, of all its time steps with themselves."""
    seen = set()

    def recorded(matrix, steps):
        seen.add(steps.keys.shape[1])
        return by_halves(matrix, steps)

    monkeypatch.setattr("jaxrnn.schedule.matrix.chunked.by_halves", recorded)
    cell = step_of(function)
    if function is crossed:
        require_gradients(cell, *made(cell))
    else:
        jax.eval_shape(lambda *given: unroll(cell, *given, schedule="chunked"), *made(cell))
    assert seen == {keys}


@pytest.mark.parametrize(
    ("decays", "mild"),
    [(MILD, True), (WILD, False), ([0.03, *MILD], False), ([0.07] * 14, False)],
)
def test_which_decays_are_mild(decays, mild):
    decays = jnp.array(decays)[:, None]
    one = jnp.ones((len(decays), 1, 1))
    assert is_mild(Steps(None, decays, None, one, one, one, one)) == mild


def test_a_reset_cuts_off_what_is_not_finite():
    """And nothing of it gets to the time steps before."""

    def step(s, x):
        s = jnp.where(x["w"][0] > 1.5, 0, s) * jax.nn.sigmoid(x["k"])[None]
        return written(s, x), s @ x["q"]

    cell = step_of(step)
    params, carry, xs = made(cell)
    params = params | {"w": jnp.ones_like(params["w"])}
    reset, wrong = T - 2, 5
    xs = (jnp.tanh(xs) / 4).at[reset].set(1)

    def run(schedule, *given):
        def later(params, carry, xs):
            ys = unroll(cell, params, carry, xs, schedule=schedule)[1]
            return jnp.sin(ys[reset + 1 :]).sum(), ys

        return jax.grad(later, 2, has_aux=True)(*given)

    both = jax.jit(lambda *given: [run(schedule, *given) for schedule in SCHEDULES])
    for given in (
        (params, carry, xs.at[wrong, 0].set(jnp.nan)),
        (params, carry.at[0].set(jnp.inf), xs),
        (params, carry, xs.at[wrong, 0].set(1e25)),  # what is written overflows
    ):
        (d_plain, plain), (d_ours, ours) = both(*given)
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(plain))
        assert np.isfinite(plain).all((1, 2)).sum() - (T - reset) in (0, wrong, wrong + 1)
        require_close(*(np.nan_to_num(a, posinf=0, neginf=0) for a in (ours, plain)))
        assert np.isfinite(d_plain[reset:]).all()
        require_close(d_ours[reset:], d_plain[reset:])


def test_an_infinite_cotangent_gets_to_no_later_time_step():
    """Nor to what was before a reset: a root at 0 has one."""
    reset, root = 2, 5

    def step(s, x):
        return written(jnp.where(x["w"][0] > 1.5, 0, 0.9 * s), x), s @ x["q"]

    cell = step_of(step)
    params, carry, xs = made(cell)
    params = params | {"w": jnp.ones_like(params["w"])}
    xs = (jnp.tanh(xs) / 4).at[reset].set(1)

    def loss(schedule, *given):
        last, ys = unroll(cell, *given, schedule=schedule)
        return total((last, ys)) + jnp.sqrt(0 * ys[root]).sum()

    gradients = jax.grad(loss, (2, 3))
    both = jax.jit(lambda *given: [gradients(schedule, *given) for schedule in SCHEDULES])
    (d_carry, d_xs), ours = both(params, carry, xs)
    assert np.isfinite(d_carry).all()
    assert list(np.isfinite(d_xs).all((1, 2))) == [not reset <= t <= root for t in range(T)]
    np.testing.assert_array_equal(np.isfinite(ours[1]), np.isfinite(d_xs))
    require_close(*(np.nan_to_num(a, posinf=0, neginf=0) for a in (ours[1], d_xs)))
    require_close(ours[0], d_carry)


@pytest.mark.full
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


@pytest.mark.parametrize(
    ("length", "size"), [(1, 1), (5, 8), (17, 32), (33, 16), (64, 32), (80, 16), (2049, 32)]
)
def test_few_time_steps_of_the_last_chunk_are_for_nothing(length, size):
    assert size_of(32, length) == size


def test_auto_takes_it_of_large_matrices_and_many_time_steps():
    cell = STEPS["decayed matrix"]
    for length, taken in ((4, True), (3, False)):
        xs = jax.tree.map(jnp.zeros_like, inputs(1, 1))
        xs = {n: jnp.zeros((length, 4096, *a.shape[2:]), a.dtype) for n, a in xs.items()}
        params, carry = start_of(cell, 1)
        carry = jnp.zeros((4096, *carry.shape[1:]))
        report = str(explain(cell, params, carry, xs))
        assert ("chunked: carry" in report) == taken
        assert report.startswith("schedule chunked") == taken
