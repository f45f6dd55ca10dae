"""What a traced program gives, equation by equation, by NumPy where it has the function; loops are
loops of Python, and JAX compiles what is left.

To compile takes nearly all of the time of many small programs that are run once. What JAX's
transformations and the library's rules make of a function is in its jaxpr already.
"""

from typing import Any

import jax
import numpy as np
from jax.extend import core

from jaxrnn.unstable import CALLS, CUSTOM, is_literal, opened, scan_counts


def _dot(a, b, dimension_numbers, **_):
    (of_a, of_b), (batch_a, batch_b) = jax.tree.map(int, dimension_numbers)
    names = iter(range(a.ndim + b.ndim))
    left, right = [-1] * a.ndim, [-1] * b.ndim
    batch = []
    for i, j in zip(batch_a, batch_b, strict=True):
        left[i] = right[j] = next(names)
        batch.append(left[i])
    for i, j in zip(of_a, of_b, strict=True):
        left[i] = right[j] = next(names)
    own = []
    for axes in (left, right):
        for i, name in enumerate(axes):
            if name < 0:
                axes[i] = next(names)
                own.append(axes[i])
    return np.einsum(a, left, b, right, [*batch, *own])


def _broadcast(a, *_, shape, broadcast_dimensions, **__):
    places = [1] * len(shape)
    for size, place in zip(a.shape, broadcast_dimensions, strict=True):
        places[place] = size
    return np.broadcast_to(a.reshape(places), shape)


def _padded(a, value, padding_config):
    """A negative width takes away."""
    spread = [n + max(0, n - 1) * k for n, (*_, k) in zip(a.shape, padding_config, strict=True)]
    between = np.full(spread, value, a.dtype)
    between[tuple(slice(None, None, k + 1) for *_, k in padding_config)] = a
    widths = [(max(0, low), max(0, high)) for low, high, _ in padding_config]
    made = np.pad(between, widths, constant_values=value)
    cut = [
        slice(max(0, -low), n - max(0, -high))
        for n, (low, high, _) in zip(made.shape, padding_config, strict=True)
    ]
    return made[tuple(cut)]


def _selected(which, *cases):
    return np.choose(np.broadcast_to(which, cases[0].shape).astype(int), cases)


def _sliced(a, start_indices, limit_indices, strides):
    each = zip(start_indices, limit_indices, strides or [1] * a.ndim, strict=True)
    return a[tuple(slice(*bounds) for bounds in each)]


def _halves(a, sizes, axis):
    return np.split(a, np.cumsum(sizes)[:-1], axis)


# by the names of JAX's primitives, with their parameters
BY_NUMPY = {
    "add": lambda a, b, **_: a + b,
    "add_any": lambda a, b: a + b,
    "sub": lambda a, b, **_: a - b,
    "mul": lambda a, b, **_: a * b,
    "neg": lambda a, **_: -a,
    "tanh": lambda a, **_: np.tanh(a),
    "logistic": lambda a, **_: 1 / (1 + np.exp(-a)),
    "integer_pow": lambda a, y: a ** float(y),
    "is_finite": np.isfinite,
    "eq": lambda a, b: a == b,
    "gt": lambda a, b: a > b,
    "transpose": lambda a, permutation: np.transpose(a, permutation),
    "reshape": lambda a, new_sizes, dimensions=None, **_: np.reshape(
        a if dimensions is None else np.transpose(a, dimensions), new_sizes
    ),
    "squeeze": lambda a, dimensions: np.squeeze(a, tuple(map(int, dimensions))),
    "rev": lambda a, dimensions: np.flip(a, tuple(map(int, dimensions))),
    "concatenate": lambda *each, dimension: np.concatenate(each, dimension),
    "stack": lambda *each, axis: np.stack(each, axis),
    "split": _halves,
    "slice": _sliced,
    "pad": _padded,
    "select_n": _selected,
    "broadcast_in_dim": _broadcast,
    "dot_general": _dot,
    "reduce_sum": lambda a, axes, **_: np.sum(a, tuple(map(int, axes))),
    "reduce_and": lambda a, axes: np.all(a, tuple(map(int, axes))),
    "stop_gradient": lambda a, **_: a,
    "optimization_barrier": lambda *each: list(each),
}


def values_of(function, *args) -> Any:
    """`jax.jit(function)(*args)`."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    return jax.tree.unflatten(jax.tree.structure(shape), run(closed, jax.tree.leaves(args)))


def run(body: Any, args: list[Any]) -> list[Any]:
    """The outputs of a jaxpr."""
    jaxpr, consts = opened(body)
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def of(atom):
        return atom.val if is_literal(atom) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [of(atom) for atom in equation.invars]
        values.update(zip(equation.outvars, _made(equation, inputs), strict=True))
    return [of(atom) for atom in jaxpr.outvars]


def _made(equation: Any, inputs: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scanned(params, inputs)
    if name == "cond":
        branches = params["branches"]
        return run(branches[int(np.clip(inputs[0], 0, len(branches) - 1))], inputs[1:])
    if name in CALLS or name in CUSTOM:
        bodies = [b for b in params.values() if isinstance(b, core.Jaxpr | core.ClosedJaxpr)]
        return run(bodies[0], inputs)
    if "_prim" in params:  # one with rules of its own: what it computes
        rule = params["_prim"]
        tree = jax.tree.structure(rule.in_avals)
        return jax.tree.leaves(values_of(rule.expand, *jax.tree.unflatten(tree, inputs)))
    if name in BY_NUMPY:
        out = BY_NUMPY[name](*map(np.asarray, inputs), **params)
    else:
        out = equation.primitive.bind(*inputs, **params)
    return list(out) if equation.primitive.multiple_results else [out]


def _scanned(params: Any, inputs: list[Any]) -> list[Any]:
    fixed, carried = scan_counts(params)
    carry, xs = inputs[fixed : fixed + carried], [np.asarray(x) for x in inputs[fixed + carried :]]
    rows = []
    for t in range(params["length"])[:: -1 if params["reverse"] else 1]:
        out = run(params["jaxpr"], [*inputs[:fixed], *carry, *(x[t] for x in xs)])
        carry, row = out[:carried], out[carried:]
        rows.append(row)
    if params["reverse"]:
        rows.reverse()
    return [*carry, *(np.stack(column) for column in zip(*rows, strict=True))]
