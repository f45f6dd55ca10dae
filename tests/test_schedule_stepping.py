"""That weights in another place of their products change nothing else."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from test_schedule import NUM_STEPS, TRANSFORMATIONS, require_transformed_alike
from tiers import mostly_full

from jaxrnn import Cell, elman, lstm, unroll
from jaxrnn.laws import subject
from jaxrnn.laws.comparing import random_projection, require_close
from jaxrnn.laws.derivatives import Point
from jaxrnn.schedule import SHORT, stepping

LARGE_SIZE, FEW = 256, 8

# Several loops; products of one another and of rows that are no carry; keys and integers.
NAMES = ("two layers", "gru", "mogrifier_lstm", "nested_lstm", "dropout")
CASES = [("two layers", each) for each in TRANSFORMATIONS]
CASES += [(name, "curvature_of_seeds") for name in NAMES[1:]]
CASES = [(*each, "left") for each in CASES] + [(*each, "summed") for each in CASES[::3]]
BY_DEFAULT = [("two layers", "members", "left")]


@pytest.mark.parametrize(("name", "transformation", "where"), mostly_full(CASES, *BY_DEFAULT))
def test_transformations(name, transformation, where, monkeypatch):
    """With every weight in that place, whatever its size."""
    seen = []

    def place(weight, batch_size):
        seen.append(weight)
        return where

    monkeypatch.setattr(stepping, "place", place)
    require_transformed_alike(name, transformation)
    assert seen


@functools.cache
def large_layer(batch_size: int) -> tuple[Cell, Point]:
    """A cell, weights and data of numpy's draws: orthogonal weights of this size take seconds."""
    cell, key, generator = lstm(LARGE_SIZE, LARGE_SIZE), jax.random.key(0), np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(generator.standard_normal(shape), jnp.float32)

    params = jax.tree.map(lambda a: normal(*a.shape) / 16, jax.eval_shape(cell.init, key))
    like = jax.eval_shape(cell.init_carry, params, key)
    carry = jax.tree.map(lambda a: normal(batch_size, *a.shape), like)
    return cell, Point(params, carry, normal(NUM_STEPS, batch_size, LARGE_SIZE))


def gradient(cell, schedule):
    def projected(params, carry, xs):
        return random_projection(unroll(cell, params, carry, xs, schedule=schedule), seed=1)

    return jax.jit(jax.grad(projected, argnums=(0, 1, 2)))


# rows of an example as columns, behind the weight of the way on and of the way back
ON_THE_LEFT = (
    "tensor<1024x256xf32>, tensor<256x{}xf32>",
    "tensor<256x1024xf32>, tensor<1024x{}xf32>",
)


@pytest.mark.parametrize(
    ("batch_size", "dtype", "expected"),
    mostly_full(
        [
            (8, "float32", True),
            (64, "float32", True),
            (7, "float32", False),
            (128, "float32", False),
            (8, "bfloat16", False),
        ],
        (64, "float32", True),
        (128, "float32", False),
        (8, "bfloat16", False),
    ),
)
def test_the_rule(batch_size, dtype, expected):
    cell, point = large_layer(batch_size)
    point = jax.tree.map(lambda a: a.astype(dtype), point)
    text = gradient(cell, "distributed").lower(*point).as_text()
    found = [operands.format(batch_size) in text for operands in ON_THE_LEFT]
    assert found == [expected] * 2


def products_compiled(function, given) -> set[str]:
    """The shapes of what products make once XLA has gone over them."""
    text = function.lower(*given).compile().as_text()
    return set(re.findall(r"= f32\[([\d,]+)\]\S* dot\(", text))


@pytest.mark.parametrize("num_steps", mostly_full([SHORT, NUM_STEPS], NUM_STEPS))
def test_xla_leaves_them_there(num_steps):
    cell, point = large_layer(FEW)
    found = products_compiled(
        gradient(cell, "distributed"), point._replace(xs=point.xs[:num_steps])
    )
    assert {f"1024,{FEW}", f"256,{FEW}"} <= found
    assert not {f"{FEW},1024", f"{FEW},256"} & found


def test_only_a_cpu_takes_them_to_the_left():
    cell, point = large_layer(FEW)
    for platform in ("cuda", "tpu"):
        text = export.export(gradient(cell, "distributed"), platforms=[platform])(*point)
        assert not any(each.format(FEW) in text.mlir_module() for each in ON_THE_LEFT)
    both = export.export(gradient(cell, "distributed"), platforms=["cpu", "tpu"])(*point)
    assert all(each.format(FEW) in both.mlir_module() for each in ON_THE_LEFT)


@pytest.mark.parametrize("devices", mostly_full([1, 2], 2))
def test_a_large_layer_is_the_plain_loop(devices):
    cell, point = large_layer(devices * FEW)
    mesh = Mesh(jax.devices()[:devices], "batch")

    def over(*axes):
        return NamedSharding(mesh, P(*axes))

    wanted = gradient(cell, "scan")(*point)
    point = Point(
        jax.device_put(point.params, over()),
        jax.device_put(point.carry, over("batch")),
        jax.device_put(point.xs, over(None, "batch")),
    )
    require_close("", ("left", gradient(cell, "auto")(*point)), ("scan", wanted), 1e-4)


def test_a_large_table_that_is_read_by_rows_stays_as_it_lies():
    """Only what is multiplied with stands on the left."""

    def step(params, h, x):
        h = jnp.tanh(h + params[jnp.argmax(h + x)])
        return h, h

    cell = Cell(lambda key: jnp.zeros(()), lambda params, key: jnp.zeros(LARGE_SIZE), step)
    given = (
        jax.random.normal(jax.random.key(0), (4 * LARGE_SIZE, LARGE_SIZE)),
        jnp.zeros((FEW, LARGE_SIZE)),
        jax.random.normal(jax.random.key(1), (SHORT + 1, FEW, LARGE_SIZE)),
    )
    assert "transpose" not in gradient(cell, "distributed").lower(*given).as_text()


@pytest.mark.parametrize("array", mostly_full([np.asarray, jnp.asarray], np.asarray))
def test_a_large_constant_stands_on_the_left(array):
    """An array that the step closed over, of NumPy or of JAX."""
    table = array(np.eye(LARGE_SIZE, 2 * LARGE_SIZE, dtype=np.float32))

    def step(params, h, x):
        h = jnp.tanh(((h + x) @ table)[:LARGE_SIZE] * params)
        return h, h

    cell = Cell(lambda key: jnp.zeros(()), lambda params, key: jnp.zeros(LARGE_SIZE), step)
    xs = jax.random.normal(jax.random.key(1), (SHORT + 1, FEW, LARGE_SIZE))
    given = (jnp.full(LARGE_SIZE, 0.5), jnp.zeros((FEW, LARGE_SIZE)), xs)
    found, wanted = (gradient(cell, each)(*given) for each in ("distributed", "scan"))
    require_close("", ("left", found), ("scan", wanted), 1e-5)
    forward = jax.jit(lambda *given: unroll(cell, *given, schedule="distributed"))
    assert products_compiled(forward, given) == {f"{2 * LARGE_SIZE},{FEW}"}


def test_tiny_products_are_sums_on_a_cpu_alone():
    """The toy's cell: no product of its loop is left, on the way on and back."""
    made = subject(lambda input_size, hidden_size: elman(4, 4))

    def products(platform, batch_size):
        given = (made.params, jnp.zeros((batch_size, 4)), jnp.zeros((NUM_STEPS, batch_size, 4)))
        text = export.export(gradient(made.cell, "distributed"), platforms=[platform])(*given)
        return text.mlir_module().count("stablehlo.dot_general")

    # of all rows at once: that of the inputs, its gradients, and that of the recurrent weight
    assert products("cpu", 200) == 4
    assert products("cpu", 256) == 6
    assert products("tpu", 200) == 6


@pytest.mark.parametrize(
    ("num_steps", "batch_size"), mostly_full([("9", "b"), ("t", "8"), ("t", "b")], ("t", "b"))
)
def test_sizes_may_be_symbolic(num_steps, batch_size):
    """Exported for any batch, and for any number of time steps."""
    cell, point = large_layer(FEW)
    t, b = export.symbolic_shape(f"{num_steps}, {batch_size}")

    def sized(a, *sizes):
        return jax.ShapeDtypeStruct((*sizes, *a.shape[len(sizes) :]), a.dtype)

    def ended(params, carry, xs):
        last, _ = unroll(cell, params, carry, xs)
        return jnp.sin(last.h).sum() + jnp.cos(last.c).sum()

    carry = jax.tree.map(lambda a: sized(a, b), point.carry)
    program = export.export(jax.jit(ended))(point.params, carry, sized(point.xs, t, b))
    np.testing.assert_allclose(program.call(*point), ended(*point), rtol=1e-3)
    export.export(jax.jit(jax.grad(ended)))(point.params, carry, sized(point.xs, t, b))


def test_a_symbolic_length_has_no_segments():
    cell, point = large_layer(FEW)
    (t,) = export.symbolic_shape("t")
    xs = jax.ShapeDtypeStruct((t, FEW, LARGE_SIZE), "float32")
    run = jax.jit(lambda *given: unroll(cell, *given, schedule="checkpointed"))
    with pytest.raises(ValueError, match="xs has t time steps, and the schedule 'checkpointed'"):
        export.export(run)(point.params, point.carry, xs)
