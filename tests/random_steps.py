"""Steps that nobody would write: random graphs of what a step can hold, for the scheduler."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
from jax import lax

from jaxrnn import Cell

SHAPES = ((3,), (3,), (3,), (3,), (2,), (2,), (), (2, 3))
VOCAB_SIZE = 4
WEIGHTS = {
    "square": (3, 3),
    "wide": (2, 3),
    "narrow": (3, 2),
    "table": (VOCAB_SIZE, 3),
    "two": (2,),
    "three": (3,),
    "one": (),
}


class Operation(NamedTuple):
    """A value of a step, made of earlier ones.

    Attributes:
      name: of one of the operations below.
      inputs: places of what it reads, among the floats of the carry, x and the operations so far.
      shape: of the value.
      weight: name of the weight that it reads, or "".
    """

    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    weight: str = ""


class RandomStep(NamedTuple):
    """A step as data.

    Attributes:
      carry: shapes of its float leaves; a counter and a key come on top.
      operations: in order.
      new_carry: for each of the carry's floats, the place of its new value, or the name of a
        constant or of a weight.
      outputs: places of what goes out.
    """

    carry: tuple[tuple[int, ...], ...]
    operations: tuple[Operation, ...]
    new_carry: tuple[int | str, ...]
    outputs: tuple[int, ...]


@jax.custom_vjp
def halved_backwards(a):
    return jnp.sin(a)


halved_backwards.defvjp(lambda a: (jnp.sin(a), a), lambda a, d: (0.5 * d * jnp.cos(a),))


@jax.jit
def twice_squashed(a):
    return jnp.tanh(jnp.tanh(a) * 2)


@jax.checkpoint
def remembered_cheaply(a, w):
    return jnp.tanh(a @ w)


def thrice(a):
    return lax.scan(lambda c, _: (jnp.sin(c + a), None), a, None, length=3)[0]


def blend(z, a, b):
    z = jax.nn.sigmoid(z)
    return z * a + (1 - z) * b


# Of one value, in its shape.
UNARY: dict[str, Callable] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "half": lambda a: a / 2,
    "one minus": lambda a: 1 - a / 2,
    "halved backwards": halved_backwards,
    "twice squashed": twice_squashed,
    "thrice": thrice,
    "stop": lambda a: lax.stop_gradient(a),
    "relu": lambda a: jax.nn.relu(jnp.tanh(a)),
}
# Of one vector.
OF_VECTOR: dict[str, Callable] = {
    "softmax": jax.nn.softmax,
    "roll": lambda a: jnp.roll(a, 1),
    "reverse": lambda a: a[::-1],
    "halves": lambda a: jnp.concatenate([a[1:], a[:1] / 2]),
    "normed": lambda a: a / (1 + jnp.linalg.norm(a + 0.1)),
}
# Of values of one shape.
ALIKE: dict[str, tuple[int, Callable]] = {
    "average": (2, lambda a, b: (a + b) / 2),
    "gate": (2, lambda a, b: jax.nn.sigmoid(a) * b),
    "maximum": (2, jnp.maximum),
    "blend": (3, blend),
}
# Of one or two values of one shape and of the integers and keys at hand.
WITH_INTEGERS: dict[str, tuple[int, Callable]] = {
    "even": (2, lambda at, a, b: jnp.where(at["count"] % 2 == 0, a, b)),
    "reset": (1, lambda at, a: jnp.where(at["token"] > 1, 0.0, a)),
    "branch": (1, lambda at, a: lax.cond(at["token"] > 0, jnp.tanh, jnp.sin, a)),
    "drop": (
        1,
        lambda at, a: jnp.where(
            jax.random.bernoulli(jax.random.fold_in(at["key"], at["count"]), 0.5, a.shape), a, 0
        ),
    ),
    "noise": (1, lambda at, a: a / 2 + jax.random.uniform(at["noise"], a.shape, a.dtype)),
    "counted": (1, lambda at, a: a / (1 + at["count"].astype(a.dtype))),
}
# Of one value and of one weight: shapes in, weight, shape out.
WITH_WEIGHT: dict[str, tuple[tuple[int, ...], str, tuple[int, ...], Callable]] = {
    "x @ square": ((3,), "square", (3,), lambda a, w: a @ w),
    "square @ x": ((3,), "square", (3,), lambda a, w: w @ a),
    "x @ tanh(square)": ((3,), "square", (3,), lambda a, w: a @ jnp.tanh(w)),
    "tanh(x @ square)": ((3,), "square", (3,), remembered_cheaply),
    "x @ wide": ((2,), "wide", (3,), lambda a, w: a @ w),
    "wide @ x": ((3,), "wide", (2,), lambda a, w: w @ a),
    "x @ narrow": ((3,), "narrow", (2,), lambda a, w: a @ w),
    "x @ wide.T": ((3,), "wide", (2,), lambda a, w: a @ w.T),
    "X @ square": ((2, 3), "square", (2, 3), lambda a, w: a @ w),
    "X * wide": ((2, 3), "wide", (2, 3), lambda a, w: a * w),
    "x * two": ((2,), "two", (2,), lambda a, w: a * w),
    "x + three": ((3,), "three", (3,), lambda a, w: a + w),
    "x * exp(three)": ((3,), "three", (3,), lambda a, w: a * jnp.exp(w)),
    "x * one": ((3,), "one", (3,), lambda a, w: a * w),
    "number + one": ((), "one", (), lambda a, w: a + w),
    "sum of square": ((2,), "square", (2,), lambda a, w: a * jnp.sin(w).sum()),
}
# Of values of several shapes.
MIXED: dict[str, tuple[tuple[tuple[int, ...], ...], tuple[int, ...], Callable]] = {
    "mean": (((3,),), (), jnp.mean),
    "first": (((2, 3),), (3,), lambda a: a[0]),
    "spread": (((),), (2,), lambda a: jnp.broadcast_to(a, (2,))),
    "scale": (((), (3,)), (3,), lambda a, b: jnp.tanh(a) * b),
    "outer": (((2,), (3,)), (2, 3), jnp.outer),
    "read": (((2, 3), (3,)), (2,), lambda a, b: a @ b),
    "write": (((2,), (2, 3)), (3,), lambda a, b: a @ b),
    "join": (((2,), ()), (3,), lambda a, b: jnp.concatenate([a, b[None]])),
    "cut": (((3,),), (2,), lambda a: a[:2]),
}
# What keeps within bounds what was within bounds, over any number of time steps.
BOUNDED = {*UNARY, *OF_VECTOR, *ALIKE, "even", "reset", "branch", "drop", "noise", "counted"}
BOUNDED |= {"mean", "first", "spread", "scale", "join", "cut", "tanh(x @ square)", "row"}
BOUNDING = {"tanh", "sigmoid", "twice squashed", "thrice", "relu", "halved backwards", "softmax"}
BOUNDING |= {"normed", "tanh(x @ square)", "row"}


def random_steps() -> st.SearchStrategy[RandomStep]:
    """Of any size; what fails is tried with fewer operations. Each choice is an even one: drawn by
    hypothesis itself, which likes the first of everything, few steps held what they are to hold."""
    return st.builds(random_step, st.randoms(use_true_random=True), size=st.integers(2, 10))


def random_step(generator: Random, size: int) -> RandomStep:
    """With one to five floats in the carry and `size` operations before those that make the new
    carry. What is carried stays within bounds, so that rounding does."""
    one_of = generator.choice
    carry = tuple(generator.choices(SHAPES, k=generator.randint(1, 5)))
    shapes = [*carry, (3,)]
    bounded = [True] * len(shapes)
    operations: list[Operation] = []

    def places(shape):
        return [i for i, other in enumerate(shapes) if other == shape]

    def some(shape):
        """A place of that shape, mostly of what was made last: so that much depends on much."""
        fitting = places(shape)
        return fitting[-1] if generator.random() < 0.4 else one_of(fitting)

    def alike(count):
        """Places of one shape."""
        shape = one_of(shapes)
        return [some(shape) for _ in range(count)]

    def operation():
        """One that can be had with the shapes so far."""
        kind = one_of(["weight", "weight", "alike", "alike", "one", "mixed", "integer"])
        if kind == "weight":
            fitting = [n for n, (given, *_) in WITH_WEIGHT.items() if places(given)]
            products = [n for n in fitting if n.startswith("x @")]
            name = one_of([*fitting, *products, "row"])
            if name == "row":
                return Operation(name, (), (3,), "table")
            given, weight, shape, _ = WITH_WEIGHT[name]
            return Operation(name, (some(given),), shape, weight)
        if kind == "mixed":
            fitting = [n for n, (given, *_) in MIXED.items() if all(map(places, given))]
            name = one_of(fitting)
            given, shape, _ = MIXED[name]
            return Operation(name, tuple(map(some, given)), shape)
        if kind == "one":
            (place,) = alike(1)
            names = [*UNARY, *(OF_VECTOR if len(shapes[place]) == 1 else ())]
            return Operation(one_of(names), (place,), shapes[place])
        table = ALIKE if kind == "alike" else WITH_INTEGERS
        name = one_of(list(table))
        inputs = alike(table[name][0])
        return Operation(name, tuple(inputs), shapes[inputs[0]])

    def add(made):
        inside = all(bounded[i] for i in made.inputs)
        bounded.append(made.name in BOUNDING or (made.name in BOUNDED and inside))
        shapes.append(made.shape)
        operations.append(made)
        return len(shapes) - 1

    def becomes(shape):
        """What a leaf of the carry becomes: mostly tanh of one of them times a weight, with
        something made late, which depends on the most."""
        kind = generator.random()
        if kind < 0.1:
            return one_of(["zero", *(n for n, s in WEIGHTS.items() if s == shape)])
        if kind < 0.4:
            return one_of([i for i in places(shape) if bounded[i]][-3:])
        before = one_of([i for i, other in enumerate(carry) if other == shape])
        fitting = [n for n, (g, _, s, _) in WITH_WEIGHT.items() if g == s == shape]
        name = one_of([n for n in fitting if "@" in n] or fitting)
        product = add(Operation(name, (before,), shape, WITH_WEIGHT[name][1]))
        late = add(Operation("tanh", (places(shape)[-2],), shape))
        both = add(Operation(one_of(["average", "gate"]), (late, product), shape))
        return add(Operation("tanh", (both,), shape))

    for _ in range(size):
        add(operation())
    new_carry = tuple(becomes(shape) for shape in carry)
    outputs = tuple(generator.randrange(len(shapes)) for _ in range(generator.randint(1, 4)))
    return RandomStep(carry, tuple(operations), new_carry, outputs)


def as_cell(random: RandomStep) -> Cell:
    """Its carry is {"floats", "count", "key"}, its x {"x" [3], "token" [], "noise", a key, "unused"
    [2]}."""

    def init(key):
        keys = jax.random.split(key, len(WEIGHTS))
        return {
            name: jax.random.normal(k, shape) / max(1, len(shape))
            for k, (name, shape) in zip(keys, WEIGHTS.items(), strict=True)
        }

    def init_carry(params, key):
        keys = jax.random.split(key, len(random.carry))
        floats = [jax.random.normal(k, shape) for k, shape in zip(keys, random.carry, strict=True)]
        return {"floats": floats, "count": jnp.int32(0), "key": key}

    def step(params, carry, x):
        at = {**carry, **x}
        values = [*carry["floats"], x["x"]]
        for operation in random.operations:
            inputs = [values[i] for i in operation.inputs]
            values.append(_value(operation, at, inputs, params))
        floats = [
            values[new]
            if isinstance(new, int)
            else jnp.zeros(shape, values[0].dtype)
            if new == "zero"
            else params[new]
            for new, shape in zip(random.new_carry, random.carry, strict=True)
        ]
        ys = [values[i] for i in random.outputs]
        constant = jnp.ones(2, values[0].dtype)
        new = {"floats": floats, "count": carry["count"] + 1, "key": carry["key"]}
        return new, {"ys": ys, "constant": constant, "count": carry["count"] + x["token"]}

    return Cell(init, init_carry, step)


def weights_read(random: RandomStep) -> set[str]:
    read = {operation.weight for operation in random.operations}
    return (read | {new for new in random.new_carry if isinstance(new, str)}) - {"", "zero"}


def _value(operation: Operation, at, inputs, params):
    name = operation.name
    if name == "row":
        return jnp.tanh(params["table"][at["token"]])
    if name in UNARY:
        return UNARY[name](*inputs)
    if name in OF_VECTOR:
        return OF_VECTOR[name](*inputs)
    if name in ALIKE:
        return ALIKE[name][1](*inputs)
    if name in WITH_INTEGERS:
        return WITH_INTEGERS[name][1](at, *inputs)
    if name in WITH_WEIGHT:
        return WITH_WEIGHT[name][3](*inputs, params[operation.weight])
    return MIXED[name][2](*inputs)
