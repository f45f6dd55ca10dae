"""Which steps are scheduled, what the report says of them, and what keeps the plain loop."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.custom_batching import custom_vmap
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from tiers import mostly_full

from jaxrnn import Cell, lstm, unroll
from jaxrnn.jaxprs.equations import flatten
from jaxrnn.laws.comparing import random_projection, require_close
from jaxrnn.schedule import SHORT, rule
from jaxrnn.unroll import Schedule, explain

NUM_STEPS, BATCH_SIZE, SIZE = SHORT + 1, 2, 3
KEYS = jax.random.split(jax.random.key(0), 4)
GENERATOR = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(GENERATOR.standard_normal(shape), jnp.float32)


PARAMS = {"w": normal(SIZE, SIZE) / 2, "b": normal(SIZE)}
CARRY, XS = normal(BATCH_SIZE, SIZE), normal(NUM_STEPS, BATCH_SIZE, SIZE)
TABLE = np.linspace(-1, 1, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)


def cell_of(step) -> Cell:
    return Cell(lambda key: PARAMS, lambda params, key: jnp.zeros(SIZE), step)


def recurrent(function):
    """A step whose h goes through `function(params, h, x)` before its weight."""
    return lambda params, h, x: 2 * (jnp.tanh(function(params, h, x) @ params["w"]),)


def require_same(cell, carry=CARRY, xs=XS):
    """Values and gradients of each schedule are those of the plain loop."""
    schedules: list[Schedule] = ["scan", "distributed", "checkpointed"]
    # without a linear recurrence it is "distributed"
    if "made parallel" in str(explain(cell, PARAMS, carry, xs, schedule="associative")):
        schedules.append("associative")

    @jax.jit
    def found(*given):
        def gradient(schedule):
            def projected(params, carry, xs):
                result = unroll(cell, params, carry, xs, schedule=schedule)
                return random_projection(result, seed=1), result

            return jax.value_and_grad(projected, argnums=(0, 1, 2), has_aux=True)(*given)

        return {schedule: gradient(schedule) for schedule in schedules}

    plain, *others = (dict.fromkeys(schedules) | found(PARAMS, carry, xs)).items()
    for other in others:
        require_close("", other, plain, 1e-5)


@jax.custom_vjp
def halved_backwards(a):
    return jnp.sin(a)


halved_backwards.defvjp(lambda a: (jnp.sin(a), a), lambda a, d: (0.5 * d * jnp.cos(a),))


@jax.custom_vjp
def scaled(a, w):
    return a * w


scaled.defvjp(lambda a, w: (a * w, (a, w)), lambda r, d: (d * r[1], 2 * d * r[0]))


def until_small(a):
    return lax.while_loop(lambda a: jnp.abs(a).max() > 0.1, lambda a: a / 2, a)


READABLE = {
    "relu": recurrent(lambda params, h, x: jax.nn.relu(h + x)),
    "product over nothing": recurrent(lambda params, h, x: h + x + h[:0] @ params["w"][:0]),
    "softmax": recurrent(lambda params, h, x: jax.nn.softmax(h + x)),
    "a strided part": recurrent(
        lambda params, h, x: h + jnp.pad(lax.slice(jnp.tanh(h + x), (0,), (2,), (2,)), (1, 1))
    ),
    "a square of the carry": lambda params, h, x: 2 * (0.3 * h * h + x * params["b"],),
    "logsumexp": recurrent(lambda params, h, x: h - jax.nn.logsumexp(x + h)),
    "custom_vjp": recurrent(lambda params, h, x: halved_backwards(h + x)),
    "custom_vjp of a weight": recurrent(lambda params, h, x: scaled(h + x, params["b"])),
    "jit": recurrent(lambda params, h, x: jax.jit(jnp.tanh)(h) + jax.jit(jnp.tanh)(x)),
    "checkpoint": recurrent(
        lambda params, h, x: jax.checkpoint(lambda a, w: jnp.sin(a @ w))(h + x, params["w"])
    ),
    "cond without a weight": recurrent(
        lambda params, h, x: lax.cond(x[0] > 0, jnp.tanh, jnp.sin, h + x)
    ),
    "branches around a weight": recurrent(
        lambda params, h, x: lax.switch(
            jnp.int32(5 * x[0]),
            [
                lambda h: jnp.tanh(h @ params["w"]),
                lambda h: lax.cond(h[0] > 0, lambda h: h * params["b"], jnp.cos, h),
                lambda h: x,
            ],
            h,
        )
    ),
    "branches and rounds within rounds": recurrent(
        lambda params, h, x: lax.scan(
            lambda c, a: (
                lax.scan(
                    lambda c, b: (
                        lax.cond(b > 0, jnp.sin, lambda c: c @ params["w"], c + a),
                        None,
                    ),
                    c,
                    x[:2],
                )[0],
                None,
            ),
            h,
            x,
        )[0]
    ),
    "rounds around a weight": recurrent(
        lambda params, h, x: lax.scan(
            lambda c, a: (jnp.tanh(c @ params["w"] + a), c * a),
            h,
            jnp.outer(x, params["b"]),
            reverse=True,
        )[1].sum(0)
    ),
    "scan without a weight": recurrent(
        lambda params, h, x: (
            lax.scan(lambda c, a: (jnp.sin(c + a), None), jnp.zeros(()), h + x)[0] + h
        )
    ),
    "cond of a constant": recurrent(
        lambda params, h, x: lax.cond(x[0] > 0, lambda a: a @ jnp.asarray(TABLE), jnp.sin, h + x)
    ),
    "numpy constant": recurrent(lambda params, h, x: h @ TABLE + x),
    "jax constant": recurrent(lambda params, h, x: h @ jnp.asarray(TABLE) + jnp.arange(3.0)),
    "while behind stop_gradient": recurrent(
        lambda params, h, x: h + until_small(lax.stop_gradient(h + x))
    ),
    "argmax": recurrent(lambda params, h, x: x * jax.nn.one_hot(jnp.argmax(h), SIZE)),
    "sorted": recurrent(lambda params, h, x: jnp.sort(h + x)),
    "slices side by side": recurrent(
        lambda params, h, x: jnp.concatenate([jnp.sin(h[:1]), jnp.cos((h + x)[1:])])
    ),
    "slices with gaps, overlaps and strides": recurrent(
        lambda params, h, x: x * h[1:2] + h[0] * h[:2].sum() + h[1:].sum() + h[::2].prod()
    ),
    "slices of several axes": recurrent(
        lambda params, h, x: (jnp.outer(h, x)[:2] @ x)[:1] * jnp.outer(x, h)[1:, :2].sum() + h
    ),
    "sigmoid of all, then parts": recurrent(
        lambda params, h, x: jnp.prod(jnp.array(jnp.split(jax.nn.sigmoid(h + x), 3))) * x
    ),
    "sigmoid of a part, then overlapping parts": recurrent(
        lambda params, h, x: (lambda s: x * s[:1] - x[::-1] * s[:2].sum())(jnp.tanh((h + x)[1:]))
    ),
    "sigmoid of all, then parts and all": recurrent(
        lambda params, h, x: (lambda s: x * s[:1] + s)(jax.nn.sigmoid(h + x))
    ),
    "scale": recurrent(lambda params, h, x: h * params["b"] + x),
    "scale and shift alike": recurrent(
        lambda params, h, x: jnp.sin(h + x) * params["b"] + params["b"]
    ),
    "scale of a weight that is worked out": recurrent(
        lambda params, h, x: x + jax.nn.sigmoid(params["b"]) * (h - x)
    ),
    "divided by a weight": recurrent(lambda params, h, x: (h + x) / (2 + params["b"] ** 2)),
    "larger weight, number by number": recurrent(
        lambda params, h, x: ((h + x)[0] * params["w"])[1] + x
    ),
    "weight from both sides": recurrent(lambda params, h, x: params["w"] @ (h + x)),
}


# Those whose rules in the scheduler are their own.
BY_DEFAULT = (
    *(
        "a strided part",
        "custom_vjp of a weight",
        "cond of a constant",
        "while behind stop_gradient",
    ),
    *("slices with gaps, overlaps and strides", "weight from both sides"),
)


def require_scheduled_and_right(step):
    cell = cell_of(step)
    assert explain(cell, PARAMS, CARRY, XS, schedule="distributed").schedule == "distributed"
    require_same(cell)


def test_all_of_these_are_scheduled_and_right():
    """In one step, which compiles once."""

    def step(params, h, x):
        h = sum(READABLE[name](params, h, x)[0] for name in BY_DEFAULT) / len(BY_DEFAULT)
        return h, h

    require_scheduled_and_right(step)


BY_DEFAULT = "a square of the carry", "rounds around a weight"
BY_DEFAULT += "branches around a weight", "branches and rounds within rounds"


@pytest.mark.parametrize("name", mostly_full(READABLE, *BY_DEFAULT))
def test_scheduled_and_right(name):
    require_scheduled_and_right(READABLE[name])


def test_gradients_of_slices_are_put_side_by_side():
    """Zeros around each of them and a sum cost the reverse loop of an LSTM a quarter of its time
    (jaxlib 0.10.2, CPU)."""
    cell = lstm(3, 4)
    params = cell.init(KEYS[0])
    carry = jax.tree.map(lambda a: jnp.stack([a, a]), cell.init_carry(params, KEYS[1]))

    def last(params):
        return unroll(cell, params, carry, XS, schedule="distributed")[0].c.sum()

    program = str(jax.make_jaxpr(jax.grad(last))(params))
    assert f"f32[{BATCH_SIZE},16] = concatenate" in program
    assert " pad[" not in program


def test_a_number_that_is_written_in_two_types_is_two():
    """0.5 of float32 and of float16 look alike in the equations of a step."""

    def step(params, h, x):
        h = jnp.tanh(h * jnp.full(SIZE, 0.5, jnp.float32) + x @ params["w"])
        return h, (h + x).astype(jnp.float16) * jnp.full(SIZE, 0.5, jnp.float16)

    ys = unroll(cell_of(step), PARAMS, CARRY, XS, schedule="distributed")[1]
    np.testing.assert_array_equal(ys, unroll(cell_of(step), PARAMS, CARRY, XS, schedule="scan")[1])


def test_what_only_puts_together_waits_for_the_end_of_the_reverse_loop():
    """A gate's product with the carry, and the cotangents of both halves of x @ w side by side."""

    def step(params, h, x):
        for_gate, for_h = jnp.split(x @ jnp.tile(params["w"], 2) + jnp.tile(params["b"], 2), 2)
        gate = jax.nn.sigmoid(for_gate + h @ params["w"])
        h = jnp.tanh(for_h + (gate * h) @ params["w"].T)
        return h, h

    cell = cell_of(step)
    require_same(cell)

    def total(params):
        return unroll(cell, params, CARRY, XS, schedule="distributed")[1].sum()

    program = flatten(jax.make_jaxpr(jax.grad(total))(PARAMS))
    (loop,) = [e for e in program.equations if e.params.get("reverse")]
    assert sum(v.aval.shape[:1] == (NUM_STEPS,) for v in loop.outvars) == 2
    assert "concatenate" not in str(loop.params["jaxpr"])


def test_costly_functions_are_taken_of_the_parts_that_are_read():
    """Through several slices of one kept array XLA on a CPU works number by number (jaxlib
    0.10.2)."""
    cell = lstm(3, 4)
    params = cell.init(KEYS[0])
    carry = jax.tree.map(lambda a: jnp.stack([a, a]), cell.init_carry(params, KEYS[1]))
    report = str(explain(cell, params, carry, XS, schedule="distributed"))
    assert "logistic [4], logistic [4], logistic [4], tanh [4], tanh [4]" in report


def test_a_scale_writes_nothing_out_for_its_gradient():
    """Neither rows nor cotangents: its gradient is summed up in the reverse loop."""

    def arrays_over_time(function):
        cell = cell_of(recurrent(function))

        def total(params):
            return unroll(cell, params, CARRY, XS, schedule="distributed")[0].sum()

        program = jax.make_jaxpr(jax.grad(total))(PARAMS)
        loops = [e for e in program.eqns if e.primitive.name == "scan"]
        return [[v.aval.shape for v in e.outvars].count(XS.shape) for e in loops]

    plain = arrays_over_time(lambda params, h, x: jnp.sin(h * 2) + x)
    scaled = arrays_over_time(lambda params, h, x: jnp.sin(h * params["b"]) + x)
    assert scaled == plain


def test_a_gradient_that_is_summed_up_in_narrow_floats():
    """A sum of 300 ones in bfloat16 stops at 256."""
    num_steps = 300
    params = {"b": jnp.ones(SIZE, jnp.bfloat16)}

    def step(params, h, x):
        h = 0 * h + x * params["b"] * jnp.exp(h * 0)
        return h, h

    cell = Cell(lambda key: params, lambda params, key: jnp.zeros(SIZE, jnp.bfloat16), step)
    carry = jnp.zeros((1, SIZE), jnp.bfloat16)
    xs = jnp.ones((num_steps, 1, SIZE), jnp.bfloat16)

    def total(params):
        _, ys = unroll(cell, params, carry, xs, schedule="distributed")
        return ys.astype(jnp.float32).sum()

    found = jax.jit(jax.grad(total))(params)["b"].astype(jnp.float32)
    np.testing.assert_allclose(found, num_steps, rtol=0.01)


def test_a_gradient_that_is_summed_up_beyond_the_range_of_narrow_floats():
    """Each time step's is a float16, and their sum is a float32, as the params are."""

    def step(params, h, x):
        h = x @ params["w"].astype(h.dtype) + params["b"].astype(h.dtype)
        return h, h

    cell, xs = cell_of(step), jnp.ones((NUM_STEPS, 2, SIZE), jnp.float16)
    report = explain(cell, PARAMS, CARRY.astype(jnp.float16), xs)
    assert (report.schedule, report.reason.split(":")[0]) == ("scan", "narrow range")

    def total(params):
        _, ys = unroll(cell, params, CARRY.astype(jnp.float16), xs)
        return 20_000 * ys.astype(jnp.float32).sum()

    found = jax.jit(jax.grad(total))(PARAMS)
    for leaf in found.values():
        np.testing.assert_allclose(leaf, 20_000 * NUM_STEPS * 2, rtol=0.01)


def test_a_loss_that_reads_less_than_all_outputs():
    """The way back then reads a part of what the forward pass saved whole for the others."""

    def step(params, h, x):
        z = jnp.tanh(h) @ params["w"]
        squares = z * z
        powers = jnp.concatenate([z[:2] ** 2, z[2:] ** 3])
        return jnp.tanh(powers + 0 * lax.stop_gradient(squares) + x), squares

    cell = cell_of(step)

    def gradient(params, schedule):
        def last(params):
            return unroll(cell, params, CARRY, XS, schedule=schedule)[0].sum()

        return jax.grad(last)(params)

    schedules = ("scan", "distributed", "checkpointed")
    found = jax.jit(lambda params: {s: gradient(params, s) for s in schedules})(PARAMS)
    for schedule in schedules[1:]:
        require_close("params", (schedule, found[schedule]), ("scan", found["scan"]), 1e-5)


def printing(params, h, x):
    jax.debug.callback(lambda h: None, h)
    h = jnp.tanh(h @ params["w"] + x)
    return h, h


def branching(params, h, x):
    """All examples take the same branch."""
    h = lax.cond(params["b"][0] > 0, lambda h: jnp.tanh(h @ params["w"]), lambda h: h + x, h)
    return h, h


def scanning(params, h, x):
    h, _ = lax.scan(lambda h, _: (jnp.tanh(h @ params["w"] + x), None), h, None, length=9)
    return h, h


@custom_vmap
def tanh_by_batch(h):
    return jnp.tanh(h)


@tanh_by_batch.def_vmap
def _(axis_size, in_batched, h):
    return jnp.tanh(h), in_batched[0]


def batching_itself(params, h, x):
    h = tanh_by_batch(h @ params["w"] + x)
    return h, h


UNREADABLE = {
    "custom batching": batching_itself,
    "effects": printing,
    "control flow around a weight: cond": branching,
    "control flow around a weight: scan": scanning,
}


@pytest.mark.parametrize(
    "cause",
    mostly_full(UNREADABLE, "custom batching", "effects", "control flow around a weight: scan"),
)
def test_the_cause_is_named(cause):
    """And the plain loop is taken, but for bounded memory, which needs no analysis."""
    cell = cell_of(UNREADABLE[cause])
    for schedule in ("auto", "distributed", "associative"):
        explanation = explain(cell, PARAMS, CARRY, XS, schedule=schedule)
        assert explanation.schedule == "scan"
        assert explanation.reason.startswith(cause)
        assert cause in str(explanation)
    assert explain(cell, PARAMS, CARRY, XS, schedule="checkpointed").schedule == "checkpointed"
    require_same(cell)


def test_a_while_around_a_weight():
    """Which has no reverse derivative in any schedule."""

    def step(params, h, x):
        h = lax.while_loop(
            lambda h: jnp.abs(h).max() > 0.5, lambda h: h * jax.nn.sigmoid(params["b"]), h + x
        )
        return h, h

    cell = cell_of(step)
    reason = explain(cell, PARAMS, CARRY, XS).reason
    assert reason.startswith("control flow around a weight: while")
    require_close(
        "",
        ("auto", unroll(cell, PARAMS, CARRY, XS)),
        ("scan", unroll(cell, PARAMS, CARRY, XS, schedule="scan")),
        1e-5,
    )


def test_a_closed_over_tracer():
    """A gain that the step reads from the function around it keeps its gradient."""
    reasons = []

    def run(gain, schedule):
        def step(params, h, x):
            h = jnp.tanh(h @ params["w"] * gain + x)
            return h, h

        cell = cell_of(step)
        reasons.append(explain(cell, PARAMS, CARRY, XS, schedule=schedule).reason)
        return random_projection(unroll(cell, PARAMS, CARRY, XS, schedule=schedule), seed=1)

    found = jax.jit(lambda gain: {s: jax.grad(run)(gain, s) for s in ("scan", "distributed")})(
        jnp.float32(0.5)
    )
    assert reasons[1] == "as asked"  # it is an input like params
    assert found["scan"] != 0
    require_close("gain", ("distributed", found["distributed"]), ("scan", found["scan"]), 1e-5)


def test_a_carry_that_changes_its_type():
    """Is refused by the plain loop, whose message names the leaf."""
    cell = cell_of(lambda params, h, x: (h.astype(jnp.float16), h))
    assert explain(cell, PARAMS, CARRY, XS).reason.startswith("carry type")
    with pytest.raises(TypeError, match="float16"):
        unroll(cell, PARAMS, CARRY, XS)


LITTLE = [(0, 2), (1, 2), (2, 2), (9, 0), (9, 1), (0, 0)]


@pytest.mark.parametrize(("num_steps", "batch_size"), mostly_full(LITTLE, (0, 2), (1, 2), (9, 0)))
def test_little_or_nothing_to_do(num_steps, batch_size):
    cell = cell_of(recurrent(lambda params, h, x: h + x))
    require_same(cell, CARRY[:batch_size], XS[:num_steps, :batch_size])


def diagonal(params, h, x):
    """A linear recurrence of complex numbers that turn and shrink."""
    h = jnp.exp(lax.complex(-jnp.abs(params["b"]), params["b"])) * h
    h = h + lax.complex(x @ params["w"], x)
    return h, h.real


@pytest.mark.full
def test_a_complex_diagonal_recurrence_is_made_parallel():
    cell = cell_of(diagonal)
    carry = lax.complex(CARRY, CARRY[::-1])
    explanation = explain(cell, PARAMS, carry, XS, schedule="associative")
    assert "made parallel: carry [3] = a * carry [3] + b" in str(explanation)

    require_same(cell, carry)


@pytest.mark.parametrize("schedule", mostly_full(["distributed", "checkpointed"], "distributed"))
def test_over_two_devices(schedule):
    """The batch divided, params alike everywhere, an integer and a key in carry and inputs."""

    def step(params, carry, x):
        noise = jax.random.uniform(jax.random.fold_in(carry["key"], carry["n"]), (SIZE,))
        h = jnp.tanh(carry["h"] @ params["w"] + x["x"] + noise * params["b"])
        new = {"h": h, "n": carry["n"] + x["n"], "key": carry["key"]}
        return new, h + jax.random.uniform(x["key"], (SIZE,))

    cell = cell_of(step)
    carry = {
        "h": CARRY,
        "n": jnp.zeros(BATCH_SIZE, jnp.int32),
        "key": jax.random.split(KEYS[0], BATCH_SIZE),
    }
    axes = NUM_STEPS, BATCH_SIZE
    xs = {"x": XS, "n": jnp.ones(axes, jnp.int32), "key": jax.random.split(KEYS[1], axes)}
    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))

    def run(schedule, around=lambda function: function):
        def total(params, carry, xs):
            end, ys = unroll(cell, params, carry, xs, schedule=schedule)
            return (ys**2).sum() + end["h"].sum()

        return jax.jit(around(jax.grad(total)))(PARAMS, carry, xs)

    def divided(gradient):
        # params are alike on all devices, so that JAX adds their gradients up over them
        specs = (P(), P("batch"), P(None, "batch"))
        return jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=P())

    require_close("", (schedule, run(schedule, divided)), ("scan", run("scan")), 1e-4)


@pytest.mark.parametrize(
    ("platform", "length", "schedule"),
    [
        *((platform, 1, "scan") for platform in ("cpu", "gpu", "tpu")),
        ("cpu", 2, "distributed"),
        ("cpu", 10_000, "distributed"),
        ("gpu", 2, "associative"),
        ("tpu", 2, "associative"),
    ],
)
def test_the_rule_of_auto(platform, length, schedule):
    assert rule(platform, length)[0] == schedule


def test_the_report_of_an_lstm():
    cell = lstm(3, 4)
    params = cell.init(KEYS[0])
    carry = jax.tree.map(lambda a: jnp.stack([a, a]), cell.init_carry(params, KEYS[1]))
    report = str(explain(cell, params, carry, XS, schedule="distributed"))
    hoisted, loop, deferred, kept = (
        next(line for line in report.splitlines() if words in line)
        for words in ("hoisted, all time steps at once", "loop over", "deferred gradient", "kept")
    )
    assert "dot_general with params.w_ih [3, 16], x [3]" in hoisted.replace(
        "x [3], params.w_ih [3, 16]", "params.w_ih [3, 16], x [3]"
    )
    assert "several leaves of the carry feed each other" in loop
    assert "params.w_hh [4, 16]" in deferred
    assert "one product over time and batch" in deferred
    assert "logistic" in kept
    assert "tanh" in kept


SIZE_ON_THE_LEFT = 512  # of a weight, on a CPU


def precisions(schedule, asked, platform) -> list[tuple[str, str]]:
    """What each product of a gradient is lowered with: the operands, and the precision of both."""

    def step(params, h, x):
        moved = jnp.dot(h, params, precision=asked)
        return 2 * (jnp.tanh(moved + jnp.dot(x, params, precision=asked)),)

    def total(params, carry, xs):
        return unroll(cell_of(step), params, carry, xs, schedule=schedule)[1].sum()

    size = SIZE_ON_THE_LEFT
    shapes = ((size, size), (8, size), (NUM_STEPS, 8, size))
    given = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    text = export.export(jax.jit(jax.grad(total)), platforms=[platform])(*given).mlir_module()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) >= 5
    found = [re.search(r"precision = \[(.+?)\] : (.+) ->", line) for line in products]
    return [(each[2], each[1]) if each else ("", "DEFAULT, DEFAULT") for each in found]


@pytest.mark.parametrize("schedule", ["scan", "distributed", "checkpointed"])
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_products_are_as_precise_as_the_step_asks(schedule, platform):
    """Of the way back too; on a CPU no number would show it."""
    for asked, expected in ((None, "DEFAULT, DEFAULT"), ("highest", "HIGHEST, HIGHEST")):
        assert {each for _, each in precisions(schedule, asked, platform)} == {expected}


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_pair_of_precisions_keeps_to_its_factors(platform):
    """The first is the rows' or their cotangents', the second the weight's or, in its gradient, the
    rows', as JAX has it in the plain loop; whichever stands on the left."""
    size = SIZE_ON_THE_LEFT
    for operands, found in precisions("distributed", ("highest", "high"), platform):
        # a weight, or rows that are transposed to the weight's gradient
        second = operands.startswith(f"(tensor<{size}x")
        assert found == ("HIGH, HIGHEST" if second else "HIGHEST, HIGH"), operands
