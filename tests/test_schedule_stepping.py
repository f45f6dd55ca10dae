"""That large weights on the left of their products change nothing but where they stand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from test_schedule import NUM_STEPS, TOLERANCE, TRANSFORMATIONS, cell_and_point, total

from jaxrnn import Cell, lstm, unroll
from jaxrnn.laws import subject
from jaxrnn.laws.comparing import named_floats, random_projection, require_close, widened
from jaxrnn.laws.derivatives import Point
from jaxrnn.schedule import SHORT, backward, stepping

LARGE_SIZE, FEW = 256, 8


@pytest.fixture
def all_left(monkeypatch):
    """Every weight stands on the left of its products. Gives how many did."""
    seen = []

    def stands_left(weight, batch_size):
        seen.append(weight)
        return True

    for module in (stepping, backward):
        monkeypatch.setattr(module, "stands_left", stands_left)
    return seen


# Several loops; products of one another and of rows that are no carry; keys and integers.
NAMES = ("three layers", "gru", "mogrifier_lstm", "nested_lstm", "dropout")
CASES = [("three layers", each) for each in TRANSFORMATIONS]
CASES += [(name, "curvature_of_seeds") for name in NAMES[1:]]


@pytest.mark.parametrize(("name", "transformation"), CASES)
def test_transformations(name, transformation, all_left):
    cell, point = cell_and_point(name)
    with jax.enable_x64(True):
        floats, rebuild = named_floats(widened(point))

        def found(schedule):
            run = total(cell, rebuild, schedule)
            return jax.jit(functools.partial(TRANSFORMATIONS[transformation], run))(floats)

        require_close(
            f"{transformation} ",
            ("on the left", found("distributed")),
            ("scan", found("scan")),
            TOLERANCE,
        )
    assert all_left


def large_layer(batch_size: int) -> tuple[Cell, Point]:
    made = subject(lambda input_size, hidden_size: lstm(LARGE_SIZE, LARGE_SIZE))
    keys = jax.random.split(jax.random.key(1), 2)
    carry = jax.tree.map(lambda a: jax.random.normal(keys[0], (batch_size, LARGE_SIZE)), made.carry)
    xs = jax.random.normal(keys[1], (NUM_STEPS, batch_size, LARGE_SIZE))
    return made.cell, Point(made.params, carry, xs)


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
    [
        (8, "float32", True),
        (64, "float32", True),
        (7, "float32", False),
        (128, "float32", False),
        (8, "bfloat16", False),
    ],
)
def test_the_rule(batch_size, dtype, expected):
    cell, point = large_layer(batch_size)
    point = jax.tree.map(lambda a: a.astype(dtype), point)
    text = gradient(cell, "distributed").lower(*point).as_text()
    found = [operands.format(batch_size) in text for operands in ON_THE_LEFT]
    assert found == [expected] * 2


def test_only_a_cpu_takes_them_to_the_left():
    cell, point = large_layer(FEW)
    for platform in ("cuda", "tpu"):
        text = export.export(gradient(cell, "distributed"), platforms=[platform])(*point)
        assert not any(each.format(FEW) in text.mlir_module() for each in ON_THE_LEFT)
    both = export.export(gradient(cell, "distributed"), platforms=["cpu", "tpu"])(*point)
    assert all(each.format(FEW) in both.mlir_module() for each in ON_THE_LEFT)


@pytest.mark.parametrize("devices", [1, 2])
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


def test_a_large_constant_stands_on_the_left():
    """An array that the step closed over, of NumPy or of JAX."""
    table = np.eye(LARGE_SIZE, 2 * LARGE_SIZE, dtype=np.float32)

    def step(params, h, x):
        h = jnp.tanh(((h + x) @ table)[:LARGE_SIZE] * params)
        return h, h

    cell = Cell(lambda key: jnp.zeros(()), lambda params, key: jnp.zeros(LARGE_SIZE), step)
    xs = jax.random.normal(jax.random.key(1), (SHORT + 1, FEW, LARGE_SIZE))
    given = (jnp.full(LARGE_SIZE, 0.5), jnp.zeros((FEW, LARGE_SIZE)), xs)
    found, wanted = (gradient(cell, each)(*given) for each in ("distributed", "scan"))
    require_close("", ("left", found), ("scan", wanted), 1e-5)
