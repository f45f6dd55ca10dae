"""Recurrences solved for all time steps at once, beside the plain loop."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import plain_loop
import pytest
from chains import longest_chain
from jax import lax
from plain_loop import require_close, require_the_plain_loop, start_of, total
from tiers import mostly_full

from jaxrnn import Cell, chain, dropout, elman, gru, linear, resettable, unroll
from jaxrnn.analysis.newton import newton_report, predict_iterations
from jaxrnn.cells import CELLS
from jaxrnn.laws import subject
from jaxrnn.laws.schedules import newton_is_the_plain_scan
from jaxrnn.schedule import choosing, rule
from jaxrnn.schedule.newton import solving
from jaxrnn.unroll import explain, unroll_last

T, B, I, H = 4, 2, 3, 4  # noqa: E741
"""T is short: each of its halvings is compiled."""


def made(cell, num_steps=T, batch_size=B, size=I):
    xs = jax.random.normal(jax.random.key(2), (num_steps, batch_size, size))
    return *start_of(cell, batch_size), xs


def says(cell, *given):
    return str(explain(cell, *(given or made(cell)), schedule="newton"))


def cell_of(step, carry, **shapes):
    """A cell that reads weights of these shapes."""

    def init(key):
        return {
            name: jax.random.normal(jax.random.fold_in(key, i), shape) / 2
            for i, (name, shape) in enumerate(shapes.items())
        }

    return Cell(init, lambda params, key: carry, step)


def diagonal_gru(params, h, x):
    z, r, n = jnp.split(x @ params["w"], 3)
    u, v, k = params["u"]
    z, r = jax.nn.sigmoid(z + u * h), jax.nn.sigmoid(r + v * h)
    h = (1 - z) * jnp.tanh(n + r * (k * h)) + z * h
    return h, h


def diagonal_lstm(params, carry, x):
    c, h = carry
    i, f, g, o = jnp.split(x @ params["w"] + jnp.concatenate([h] * 4) * params["u"], 4)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def narrow(params, h, x):
    h = jnp.tanh((h @ params["v"]) @ params["u"] + x @ params["w"])
    return h, h


def turning(params, h, x):
    """Complex numbers whose size is kept below 1, each by itself."""
    angle = params["angle"]
    h = h * lax.complex(jnp.cos(angle), jnp.sin(angle))
    h = h + lax.complex(x @ params["w"], angle)
    size = 1 + jnp.abs(h)
    h = lax.complex(h.real / size, h.imag / size)
    return h, h.real


@jax.custom_vjp
def backwards(a):
    return jnp.tanh(a)


backwards.defvjp(lambda a: (jnp.tanh(a), a), lambda a, d: (0.5 * d,))


def with_its_own_backward_pass(params, h, x):
    h = backwards(h @ params["v"] + x @ params["w"])
    return h, h


def stored(params, carry, x):
    """What was put in last, and a network that reads it."""
    last, h = carry
    h = jnp.tanh(h @ params["v"] + last @ params["w"])
    return (x, h), h


WEIGHTS = {"w": (I, H)}
MADE = {
    "diagonal gru": cell_of(diagonal_gru, jnp.zeros(H), w=(I, 3 * H), u=(3, H)),
    "diagonal lstm": cell_of(diagonal_lstm, (jnp.zeros(H), jnp.zeros(H)), w=(I, 4 * H), u=(4 * H,)),
    "narrow": cell_of(narrow, jnp.zeros(8), w=(I, 8), v=(8, 2), u=(2, 8)),
    "turning": cell_of(turning, jnp.zeros(H, jnp.complex64), angle=(H,), **WEIGHTS),
    "backwards": cell_of(with_its_own_backward_pass, jnp.zeros(H), v=(H, H), **WEIGHTS),
    "stored": cell_of(stored, (jnp.zeros(I), jnp.zeros(H)), v=(H, H), **WEIGHTS),
    "gru": gru(I, H),
    "layers": chain(first=gru(I, H), second=CELLS["lru"](H, H), head=linear(H, 2)),
    "resets": resettable(gru(I, H)),
}
STRUCTURES = {
    "diagonal gru": "elementwise",
    "diagonal lstm": "blocks, 4 of 2 x 2 numbers",
    "narrow": "low rank, 2 numbers through which all 8 are read",
    "turning": "blocks, 4 of 2 x 2 numbers",
    "backwards": "dense, 4 x 4 numbers",
    "gru": "dense, 4 x 4 numbers",
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_read_from_the_step(name):
    assert f"its derivative {STRUCTURES[name]}, " in says(MADE[name])


def test_linear_recurrences_and_what_is_only_stored_are_not_iterated():
    report = says(MADE["layers"])
    assert "made parallel: carry['second']" in report
    assert report.count("by Newton's method") == 1
    assert "all time steps at once: carry[0] [3], which no carry feeds" in says(MADE["stored"])


# What has to come out


@pytest.mark.parametrize(
    "name", mostly_full([n for n in MADE if n not in ("resets", "backwards")], "narrow")
)
def test_values_gradients_tangents_and_members(name):
    require_the_plain_loop(MADE[name], *made(MADE[name]), "newton")


@pytest.mark.full
@pytest.mark.parametrize("shape", [(1, 2), (6, 1), (5, 3)])
def test_any_number_of_time_steps_and_examples(shape):
    cell = MADE["diagonal lstm"]
    plain_loop.require_gradients(cell, *made(cell, *shape), "newton")


@pytest.mark.full
def test_a_derivative_that_only_goes_backwards():
    plain_loop.require_gradients(MADE["backwards"], *made(MADE["backwards"]), "newton")


@pytest.mark.full
def test_resets():
    cell = MADE["resets"]
    params, carry = start_of(cell, B)
    xs = jax.random.normal(jax.random.key(2), (T, B, I))
    resets = jax.random.bernoulli(jax.random.key(3), 0.3, (T, B))
    assert says(cell, params, carry, (xs, resets)).count("by Newton's method") == 1

    def run(schedule):
        def loss(params, xs):
            return total(unroll(cell, params, carry, (xs, resets), schedule=schedule)[1])

        return jax.value_and_grad(loss, (0, 1))(params, xs)

    ours, plain = jax.jit(lambda: [run(each) for each in ("newton", "scan")])()
    require_close(ours, plain)


@pytest.mark.full
def test_noise_is_drawn_as_in_the_loop():
    cell = chain(first=elman(I, H), drop=dropout(0.5), second=elman(H, H))
    given = made(cell)
    ours, plain = (unroll(cell, *given, schedule=each)[1] for each in ("newton", "scan"))
    require_close(ours, plain)


def test_no_time_step_and_no_example():
    cell = MADE["gru"]
    for shape in ((0, 2), (3, 0)):
        _, ys = unroll(cell, *made(cell, *shape), schedule="newton")
        assert ys.shape == (*shape, H)


@pytest.mark.full
@pytest.mark.parametrize("name", ["narrow"])
def test_second_derivatives(name):
    cell = MADE[name]
    given = made(cell)

    def all_of(schedule):
        def loss(params, xs):
            return total(unroll(cell, params, given[1], xs, schedule=schedule))

        def slope(params, xs):
            return total(jax.grad(loss, (0, 1))(params, xs))

        def tangent(params, xs):
            return jax.jvp(loss, (params, xs), jax.tree.map(jnp.cos, (params, xs)))[1]

        where = given[0], given[2]
        return (
            jax.grad(slope, (0, 1))(*where),
            jax.jvp(jax.grad(loss), where, jax.tree.map(jnp.sin, where)),
            jax.grad(tangent)(*where),
            jax.jvp(tangent, where, where),
        )

    ours, plain = jax.jit(lambda: [all_of(each) for each in ("newton", "scan")])()
    require_close(ours, plain, 1e-4)


@pytest.mark.full
def test_later_outputs_alone():
    cell = MADE["diagonal gru"]
    given = made(cell)
    ours, plain = (unroll_last(cell, *given, 2, schedule=each) for each in ("newton", "scan"))
    require_close(ours, plain)


# those whose recurrences differ in kind: four leaves, max, beside matrices, stored alone
@pytest.mark.full
@pytest.mark.parametrize("name", ["slstm", "mlstm", "delta_net", "feed_forward"])
def test_cells(name):
    newton_is_the_plain_scan(subject(CELLS[name]))


LONG = {name: CELLS[name](I, 16) for name in ("gru", "indrnn")}
LONG["diagonal gru"] = MADE["diagonal gru"]


@pytest.mark.full
@pytest.mark.parametrize("name", LONG)
def test_long_sequences(name):
    given = made(LONG[name], 4096)
    report = newton_report(LONG[name], *given)
    assert report.converged, report
    plain_loop.require_gradients(LONG[name], *given, "newton")


# What does not converge


def wild(radius, size=16):
    cell = elman(I, size)
    params, carry, xs = made(cell, 300)
    largest = jnp.abs(jnp.linalg.eigvals(params.w_hh)).max()
    return cell, params._replace(w_hh=params.w_hh * radius / largest), carry, xs


@pytest.mark.parametrize("radius", mostly_full([1.0, 3.0, 6.0], 1.0))
def test_what_does_not_converge_is_the_plain_loop(radius, monkeypatch):
    cell, params, carry, xs = wild(radius)
    if radius == 1:  # one iteration never is enough, and 4 time steps are compiled sooner
        monkeypatch.setattr(solving, "MOST_ITERATIONS", 1)
        xs = xs[:4]

    def run(schedule):
        def loss(params, carry, xs):
            out = unroll(cell, params, carry, xs, schedule=schedule)
            return out[1][-3:].sum(), out

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, carry, xs)

    ours, plain = run("newton"), run("scan")
    for a, b in zip(*map(jax.tree.leaves, (ours, plain)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.full
def test_the_report_of_chaos():
    cell, *given = wild(3.0)
    report = newton_report(cell, *given)
    assert not report.converged
    assert report.exponent > 0
    assert report.predicted > report.limit
    assert "not converged, the plain loop" in str(report)


@pytest.mark.full
def test_one_wild_member_takes_all_to_the_plain_loop():
    cell, params, carry, xs = wild(3.0)
    members = jax.tree.map(lambda a: jnp.stack([0.1 * a, a]), params)

    def run(schedule):
        return jax.jit(
            jax.vmap(lambda params: unroll(cell, params, carry, xs, schedule=schedule)[1])
        )(members)

    np.testing.assert_array_equal(run("newton"), run("scan"))


def test_nothing_but_numbers_is_solved_for():
    def counted(params, carry, x):
        count, h = carry
        h = jnp.tanh(h + x + count.astype(h.dtype))
        return (count + (h[0] > 0).astype(jnp.int32), h), h

    mixed = cell_of(counted, (jnp.int32(0), jnp.zeros(I)))
    assert "schedule scan: integers in a recurrence: a int32" in says(mixed)
    halves = cell_of(lambda params, h, x: (jnp.sin(h + h[::-1]), h), jnp.ones(I, jnp.bfloat16))
    assert "schedule scan: narrow floats: a bfloat16" in says(halves)
    for cell in (mixed, halves):
        given = made(cell)
        ours, plain = (unroll(cell, *given, schedule=each) for each in ("newton", "scan"))
        for a, b in zip(*map(jax.tree.leaves, (ours, plain)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_derivatives_that_take_too_much_memory_are_refused(monkeypatch):
    monkeypatch.setattr(choosing, "MOST_BYTES", 500)
    with pytest.raises(ValueError, match=r"4 time steps and 2 examples \(dense, 4 x 4"):
        unroll(MADE["gru"], *made(MADE["gru"]), schedule="newton")
    assert "elementwise" in says(MADE["diagonal gru"])


def test_nobody_gets_it_without_asking():
    for platform in ("cpu", "gpu", "tpu"):
        assert rule(platform, 4096)[0] != "newton"
    given = made(MADE["gru"])
    on_gpu = choosing.choose(MADE["gru"], *given, "newton", "gpu")
    assert on_gpu.reason == "as asked; on a gpu its speed is unmeasured"


# What it is for


def test_what_is_one_behind_another_grows_with_the_logarithm():
    cell, trips = MADE["diagonal gru"], 5

    def chains(schedule, num_steps):
        given = made(cell, num_steps)
        return longest_chain(
            lambda *given: unroll(cell, *given, schedule=schedule), *given, trips=trips
        )

    loops, instructions = zip(*(chains("newton", n) for n in (32, 64, 128)), strict=True)
    assert loops == (trips,) * 3
    more = [b - a for a, b in itertools.pairwise(instructions)]
    assert max(more) < 0.2 * instructions[0], instructions
    loops, instructions = zip(*(chains("distributed", n) for n in (64, 128)), strict=True)
    assert loops == (64, 128)
    assert instructions[1] > 1.8 * instructions[0]


def test_the_report():
    cell = MADE["diagonal gru"]
    report = newton_report(cell, *made(cell))
    assert report.converged
    assert 2 <= report.iterations <= T
    assert report.residual <= 4e-6
    assert report.error <= 8e-6
    assert report.damping == 1
    assert report.structures == ("elementwise",)
    assert report.memory == T * B * H * 4
    assert report.exponent < 0
    assert report.iterations - 3 <= report.predicted <= T + 1
    assert "converged: " in str(report)


def test_predicted_iterations():
    """Few where errors vanish, in proportion to T where they grow, never more than T and one."""
    epsilon = 1e-7
    vanishing = [predict_iterations(-0.5, n, epsilon) for n in (64, 4096)]
    assert vanishing[0] == vanishing[1] <= 8
    growing = [predict_iterations(0.1, n, epsilon) for n in (1000, 2000)]
    assert growing[1] > 1.8 * growing[0] > 200
    assert predict_iterations(50.0, 100, epsilon) == 101
    assert predict_iterations(0.0, 1024, epsilon) == 16
    assert predict_iterations(-jnp.inf, 1024, epsilon) == 6
