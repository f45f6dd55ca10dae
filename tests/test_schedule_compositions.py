"""Every composition of JAX's transformations, up to a depth, means what it means of the plain loop.

All 819 up to depth three are tried by `python tests/schedule_compositions.py`; here are those of
one and two, and some of three.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jaxpr_values import values_of
from schedule_compositions import COMPOSED, WAYS, compositions, derivatives, require_composed_alike
from tiers import mostly_full

from jaxrnn.schedule.choosing import Chunks


@pytest.fixture(autouse=True)
def of_four_time_steps(monkeypatch):
    """A chunk is halved twice, and not four times: its program is compiled sooner."""
    monkeypatch.setattr("jaxrnn.schedule.choosing.ON_A_CPU", Chunks(4, 4))


COMPILED = [(way, names) for way in ("loop", "linear") for names in compositions(1)]
COMPILED += [("matrix", ("grad",)), ("loop", ("jvp", "grad"))]


@pytest.mark.parametrize(
    ("way", "names"),
    mostly_full(
        COMPILED,
        *(("loop", (name,)) for name in ("scan", "hessian")),
        ("linear", ("linearize",)),
    ),
)
def test_compiled(way, names):
    require_composed_alike(WAYS[way], names, compiled=True)


# By chunks those that differentiate once: the others are very many equations.
SOME = {
    "loop": [*compositions(1), *compositions(2), *compositions(3, most=2)[::27]],
    "linear": [*compositions(1), *compositions(2, most=2), *compositions(3, most=2)[::54]],
    "matrix": [*compositions(1, most=1), *compositions(2, most=1)[::4]],
}


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS)
def test_equation_by_equation(way):
    for names in SOME[way]:
        require_composed_alike(WAYS[way], names)


def test_a_reshape_that_transposes():
    """As JAX has it in the derivative of a product of numbers."""

    def turned(a):
        return lax.reshape(a, (6,), dimensions=(1, 0))

    a = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(values_of(turned, a), [0, 3, 1, 4, 2, 5])


def test_linearized_by_chunks():
    """Whether all members agree has no tangent: JAX 0.12 asked for one all the same."""
    require_composed_alike(WAYS["matrix"], ("linearize",))


def test_how_many_there_are():
    """The numbers that the changelog has."""
    counts = [len(compositions(depth)) for depth in (1, 2, 3)]
    assert counts == [len(COMPOSED) ** depth for depth in (1, 2, 3)] == [9, 81, 729]
    assert derivatives(("hessian", "grad", "jit")) == 3
