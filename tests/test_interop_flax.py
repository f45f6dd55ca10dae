"""Flax's own cells as cells: equal to Flax's RNN, under the laws, read by the scheduler."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from flax import nnx
from tiers import mostly_full

from experiments import char
from jaxrnn import explain, unroll
from jaxrnn.interop.flax import from_linen, from_nnx
from jaxrnn.laws import CELL_LAWS, subject

T, B, INPUT, HIDDEN = 9, 3, 5, 4
TOLERANCE = 1e-5

LINEN = (nn.LSTMCell, nn.OptimizedLSTMCell, nn.GRUCell, nn.MGUCell, nn.SimpleCell)
NNX = (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell)


@pytest.fixture(autouse=True)
def as_flax_needs_it():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def linen_factory(kind):
    return lambda input_size, hidden_size: from_linen(kind(hidden_size), input_size)


def nnx_factory(kind):
    return lambda input_size, hidden_size: from_nnx(
        lambda rngs: kind(input_size, hidden_size, rngs=rngs), input_size
    )


def numbers(*shape, seed=1):
    return jnp.array(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def first_carry(cell, params):
    return jax.vmap(cell.init_carry, (None, 0))(params, jax.random.split(jax.random.key(0), B))


def require_equal(ours, theirs, *arguments):
    """Outputs, and gradients to params and xs of a random sum of them."""

    def both(function):
        def summed(*arguments):
            ys = function(*arguments)
            return jnp.sum(ys * numbers(*ys.shape, seed=2)), ys

        gradient = jax.value_and_grad(summed, argnums=(0, 1), has_aux=True)
        (_, ys), grads = jax.jit(gradient)(*arguments)
        return ys, grads

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * max(1, float(abs(b).max())))

    jax.tree.map(close, both(ours), both(theirs))


@pytest.mark.parametrize("kind", mostly_full(LINEN, nn.LSTMCell), ids=lambda kind: kind.__name__)
def test_a_linen_cell_is_what_flax_unrolls(kind):
    cell = linen_factory(kind)(INPUT, HIDDEN)
    params, layer = some_params(cell), nn.RNN(kind(HIDDEN), time_major=True)
    require_equal(
        lambda params, xs: unroll(cell, params, first_carry(cell, params), xs)[1],
        lambda params, xs: layer.apply({"params": {"cell": params}}, xs),
        params,
        numbers(T, B, INPUT),
    )


@pytest.mark.parametrize("kind", mostly_full(NNX, nnx.GRUCell), ids=lambda kind: kind.__name__)
def test_an_nnx_cell_is_what_flax_unrolls(kind):
    cell = nnx_factory(kind)(INPUT, HIDDEN)
    params = some_params(cell)

    def theirs(params, xs):
        module = kind(INPUT, HIDDEN, rngs=nnx.Rngs(0))
        nnx.update(module, params)
        layer = nnx.RNN(module, time_major=True, rngs=nnx.Rngs(0))
        return layer(xs, initial_carry=module.initialize_carry((B, INPUT), nnx.Rngs(0)))

    require_equal(
        lambda params, xs: unroll(cell, params, first_carry(cell, params), xs)[1],
        theirs,
        params,
        numbers(T, B, INPUT),
    )


@pytest.mark.full
def test_images():
    """x of several axes: a convolutional LSTM over pictures of 6 by 6."""
    module = nn.ConvLSTMCell(2, (3, 3))
    cell, layer = from_linen(module, (6, 6, 3)), nn.RNN(module, time_major=True)
    require_equal(
        lambda params, xs: unroll(cell, params, first_carry(cell, params), xs)[1],
        lambda params, xs: layer.apply({"params": {"cell": params}}, xs),
        cell.init(jax.random.key(0)),
        numbers(T, B, 6, 6, 3),
    )


FACTORIES = {f"linen {kind.__name__}": linen_factory(kind) for kind in LINEN} | {
    f"nnx {kind.__name__}": nnx_factory(kind) for kind in NNX
}


@pytest.mark.full
@pytest.mark.parametrize("name", FACTORIES)
def test_the_scheduler_reads_it(name):
    cell = FACTORIES[name](INPUT, HIDDEN)
    params = some_params(cell)
    found = explain(cell, params, first_carry(cell, params), numbers(T, B, INPUT))
    assert found.schedule == "distributed"
    assert "hoisted, all time steps at once: dot_general" in str(found)
    assert "deferred gradient: dot_general" in str(found)


OFTEN_USED = ("linen OptimizedLSTMCell", "linen MGUCell", "nnx GRUCell")


@pytest.mark.full
@pytest.mark.parametrize("law", CELL_LAWS)
@pytest.mark.parametrize("name", OFTEN_USED)
def test_the_laws_hold(name, law):
    CELL_LAWS[law](subject(FACTORIES[name]))


class Noisy(nnx.Module):
    """Draws in each step, and counts its steps in a variable."""

    def __init__(self, input_size, hidden_size, rngs):
        self.cell = nnx.GRUCell(input_size, hidden_size, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.steps = nnx.Variable(jnp.int32(0))

    def __call__(self, carry, x):
        carry, y = self.cell(carry, x)
        self.steps[...] += 1
        return carry, self.dropout(y)

    def initialize_carry(self, input_shape, rngs):
        return self.cell.initialize_carry(input_shape, rngs)


def noisy(input_size, hidden_size):
    return from_nnx(lambda rngs: Noisy(input_size, hidden_size, rngs), input_size)


def test_what_an_nnx_step_changes_is_in_the_carry():
    cell = noisy(INPUT, HIDDEN)
    params = some_params(cell)
    assert params.keys() == {"cell"}

    @jax.jit
    def unrolled(params, xs):
        return unroll(cell, params, first_carry(cell, params), xs)

    end, ys = unrolled(params, numbers(T, B, INPUT))
    np.testing.assert_array_equal(end["changed"]["steps"], [T] * B)
    zero = np.asarray(ys) == 0
    assert 0.2 < zero.mean() < 0.8
    # every time step and every example draws for itself
    assert (zero[0] != zero[1]).any()
    assert (zero[:, 0] != zero[:, 1]).any()


@pytest.mark.full
@pytest.mark.parametrize("law", ["resumable at any split", "step is pure", "no dead parameter"])
def test_a_stochastic_nnx_cell_obeys(law):
    CELL_LAWS[law](subject(noisy))


@pytest.mark.filterwarnings("ignore:keep_rngs argument is deprecated")
def test_streams_that_no_step_draws_from_are_nowhere():
    cell = from_nnx(lambda rngs: nnx.SimpleCell(INPUT, HIDDEN, keep_rngs=True, rngs=rngs), INPUT)
    params = cell.init(jax.random.key(0))
    assert params.keys() == {"dense_i", "dense_h"}
    assert cell.init_carry(params, jax.random.key(0)).shape == (HIDDEN,)


class Counting(nn.RNNCellBase):
    features: int

    @nn.compact
    def __call__(self, carry, x):
        count = self.variable("counts", "steps", lambda: 0)
        count.value += 1
        return carry, x

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        return jnp.zeros(self.features)


class Growing(nnx.Module):
    def __init__(self):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, carry, x):
        self.scale[...] *= 2
        return carry, x

    def initialize_carry(self, input_shape, rngs):
        return jnp.zeros(())


def test_refusals():
    with pytest.raises(ValueError, match="Counting has the collections counts beside params"):
        from_linen(Counting(3), 2)
    with pytest.raises(ValueError, match="a step changes the parameter scale"):
        from_nnx(lambda rngs: Growing(), 2)


OWN_FILE = """
from flax import linen as nn

from jaxrnn.interop.flax import from_linen


def mgu(input_size, hidden_size):
    return from_linen(nn.MGUCell(hidden_size), input_size)
"""


@pytest.mark.full
def test_it_trains_in_an_experiment(tmp_path):
    (tmp_path / "mgu.py").write_text(OWN_FILE)
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question. " * 30)
    arguments = ["--preset", "smoke", "--corpus", str(tmp_path / "text.txt"), "--epochs", "1"]
    where = ["--run", str(tmp_path / "run"), "--cell", f"{tmp_path / 'mgu.py'}:mgu"]
    assert char.main([*arguments, *where]) == 0
