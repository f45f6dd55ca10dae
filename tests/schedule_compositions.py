"""Compositions of JAX's transformations around every schedule, held against the plain loop.

    python tests/schedule_compositions.py [--depth 3] [--most 6] [--ways loop linear matrix]

tries all of them up to that depth that differentiate at most so often, and says how many.
"""

import argparse
import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxpr_values import values_of

from jaxrnn import Cell, unroll
from jaxrnn.laws.comparing import widened
from jaxrnn.schedule import choosing
from jaxrnn.unroll import Schedule

SIZE, BATCH_SIZE, NUM_STEPS, MEMBERS = 2, 2, 9, 2
# In double precision: what differs by more is not rounding, in sixth derivatives either.
TOLERANCE = 1e-9


class Way(NamedTuple):
    """A step, and the schedules that do something to it."""

    step: Callable[..., Any]
    schedules: tuple[Schedule, ...]
    carry_shape: tuple[int, ...]


def elman(params, h, x):
    h = jnp.tanh(h @ params["w"] + x)
    return h, h + params["b"]


def gated(params, h, x):
    h = jax.nn.sigmoid(x @ params["w"]) * h + x
    return h, h * params["b"]


def attention(params, carry, x):
    carry = jax.nn.sigmoid(x * params["b"])[:, None] * carry + jnp.outer(x, x @ params["w"])
    return carry, carry @ x


WAYS = {
    "loop": Way(elman, ("distributed", "checkpointed"), (SIZE,)),
    "linear": Way(gated, ("associative",), (SIZE,)),
    "matrix": Way(attention, ("chunked",), (SIZE, SIZE)),
}


def summed(tree):
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(tree))


# Each takes a function of params to a number to such a function.
COMPOSED = {
    "jit": jax.jit,
    "grad": lambda f: lambda p: summed(jax.grad(f)(p)),
    "jvp": lambda f: lambda p: jax.jvp(f, (p,), (p,))[1],
    "linearize": lambda f: lambda p: jax.linearize(f, p)[1](p),
    "checkpoint": jax.checkpoint,
    "scan": lambda f: lambda p: lax.scan(lambda s, _: (s + f(p), None), 0.0 * f(p), None, 2)[0],
    "cond": lambda f: lambda p: lax.cond(p["b"].sum() > -1e9, f, lambda p: p["b"].sum(), p),
    "vmap": lambda f: lambda p: jax.vmap(f)(jax.tree.map(lambda a: jnp.stack([a, a / 2]), p)).sum(),
    "hessian": lambda f: lambda p: summed(jax.hessian(f)(p)),
}
# How often each differentiates.
DERIVATIVES = {"grad": 1, "jvp": 1, "linearize": 1, "hessian": 2}


def derivatives(names: tuple[str, ...]) -> int:
    return sum(DERIVATIVES.get(name, 0) for name in names)


def compositions(depth: int, most: int = 6) -> list[tuple[str, ...]]:
    """Those of `depth` transformations that differentiate at most so often."""
    every = itertools.product(COMPOSED, repeat=depth)
    return [names for names in every if derivatives(names) <= most]


def of_members(way: Way, given, schedule: Schedule):
    """One set of weights, many members' data: what is mapped has no tangent."""
    cell = Cell(lambda key: None, lambda params, key: None, way.step)
    carry, members = given

    def loss(params):
        def one(xs):
            return unroll(cell, params, carry, xs, schedule=schedule)[1].sum()

        return jax.vmap(one)(members).sum()

    return loss


def normal(generator, *shape):
    return jnp.asarray(generator.standard_normal(shape).astype(np.float32))


def require_composed_alike(way: Way, names: tuple[str, ...], compiled: bool = False) -> None:
    """Under each of the way's schedules: as one compiled program, or equation by equation."""
    generator = np.random.default_rng(0)
    params = {"w": normal(generator, SIZE, SIZE), "b": normal(generator, SIZE)}
    carry = normal(generator, BATCH_SIZE, *way.carry_shape)
    members = normal(generator, MEMBERS, NUM_STEPS, BATCH_SIZE, SIZE)
    with jax.enable_x64(True):
        params, *given = widened((params, carry, members))

        def values(params):
            def value(schedule):
                function = of_members(way, given, schedule)
                for name in reversed(names):
                    function = COMPOSED[name](function)
                return function(params)

            return [value(each) for each in ("scan", *way.schedules)]

        found = jax.jit(values)(params) if compiled else values_of(values, params)
        wanted, *found = map(float, found)
    for schedule, number in zip(way.schedules, found, strict=True):
        if not abs(number - wanted) <= TOLERANCE * max(1, abs(wanted)):
            raise AssertionError(f"{' of '.join(names)} of {schedule}: {number}, not {wanted}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--most", type=int, default=6, help="derivatives of derivatives")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    options = parser.parse_args()
    choosing.ON_A_CPU = choosing.Chunks(4, 4)  # as the tests have it: chunks of a few time steps
    warnings.filterwarnings("ignore", message="Explicitly requested dtype")
    tried, wrong = Counter(), []
    every = [n for d in range(options.depth) for n in compositions(d + 1, options.most)]
    for way in (WAYS[name] for name in options.ways):
        for i, names in enumerate(every):
            try:
                require_composed_alike(way, names)
            except Exception as error:
                wrong.append(f"{names} {way.schedules}: {type(error).__name__} {str(error)[:200]}")
                print(wrong[-1], flush=True)
            tried.update(way.schedules)
            if i % 100 == 0:
                print(f"{i} of {len(every)} of {way.schedules}", flush=True)
    print(f"JAX {jax.__version__}: {len(every)} compositions up to depth {options.depth} of")
    print(*(f"{each} {count}" for each, count in tried.items()), f"{len(wrong)} wrong", sep=", ")


if __name__ == "__main__":
    main()
