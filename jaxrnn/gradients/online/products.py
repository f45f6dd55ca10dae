"""Products of the carry with weights, found in the equations of a cell's step, and what of them
the derivative to the carry passes: none of it (`held`, and of those alone that feed a carry to
itself `held_in_time`), or the numbers that are wanted (`thinned`). The values of the step are the
same.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import sparse

from jaxrnn.base import Carry, Cell, Params, X
from jaxrnn.jaxprs.equations import (
    Equation,
    Program,
    Variable,
    as_function,
    flatten,
    is_float,
    is_product,
    is_variable,
    struct_of,
    trace,
    variables,
)
from jaxrnn.jaxprs.reach import Pattern, reach
from jaxrnn.unstable import CUSTOM, jaxprs_in, scan_counts

PRODUCTS = ("dot_general", "conv_general_dilated")

# What a value is made of: some of "params", "carry".
Made = frozenset[str]
NOTHING: Made = frozenset()
RECURRENT: Made = frozenset({"params", "carry"})


def held(cell: Cell) -> Cell:
    """`cell` through no product of whose carry with params a derivative to the carry passes.

    Loops and branches inside the step are looked into. So is a function with a derivative of its
    own that holds such a product: that derivative cannot be taken apart, so it gives way to the
    one of what the function computes.
    """

    return _holding(cell, lambda program: ())


def held_in_time(cell: Cell) -> Cell:
    """The same of products alone by which a leaf of the carry reaches itself, in whatever number of
    time steps: those between one layer and the next pass what they did.
    """
    return _holding(cell, _passing_on)


def _holding(cell: Cell, spared: Callable[[Program], Collection[Equation]]) -> Cell:
    def step(params, carry, x):
        given = (params, carry, x)
        program = trace(cell.step, *given)
        kinds = (frozenset({"params"}), frozenset({"carry"}), NOTHING)
        made = [
            kind for kind, tree in zip(kinds, given, strict=True) for _ in jax.tree.leaves(tree)
        ]
        run = _run_held(program, jax.tree.leaves(given), made, spared(program))
        return program.built(run)

    return cell._replace(step=step)


def _passing_on(program: Program) -> list[Equation]:
    """Equations of a step's program that no leaf of the carry goes through on a way to itself."""
    old = jax.tree.leaves(program.arguments[1])
    new = program.outputs[: len(old)]
    reads: dict[Variable, set[int]] = {v: {leaf} for leaf, v in enumerate(old)}
    for equation in program.equations:
        mine = set().union(*(reads.get(v, ()) for v in variables(equation.invars)))
        reads.update((v, mine) for v in equation.outvars)
    feeds = np.eye(len(old), dtype=bool)  # [new leaf, old leaf], in any number of time steps
    for leaf, v in enumerate(new):
        feeds[leaf, list(reads.get(v, ()) if is_variable(v) else ())] = True
    for _ in old:
        feeds = feeds @ feeds
    reaches: dict[Variable, set[int]] = {}
    for leaf, v in enumerate(new):
        if is_variable(v):
            reaches.setdefault(v, set()).add(leaf)
    found = []
    for equation in reversed(program.equations):
        inputs = variables(equation.invars)
        ahead = set().union(*(reaches.get(v, ()) for v in equation.outvars))
        behind = set().union(*(reads.get(v, ()) for v in inputs))
        for v in inputs:
            reaches.setdefault(v, set()).update(ahead)
        # from a leaf behind to one ahead, and from there back
        if not any(feeds[leaf, other] for leaf in behind for other in ahead):
            found.append(equation)
    return found


def _run_held(
    program: Program, values: list[Any], made: list[Made], spared: Collection[Equation] = ()
) -> list[Any]:
    """What the program gives of `values`, each of them made of `made`."""
    known = program.with_values(values)
    made_of = dict(zip(program.inputs, made, strict=True))
    for equation in program.equations:
        inputs = variables(equation.invars)
        mine = NOTHING.union(*(made_of.get(v, NOTHING) for v in inputs))
        run = _INSIDE.get(equation.primitive.name)
        if mine < RECURRENT or not _has_product(equation) or equation in spared:
            found = _alone(equation, known)
        elif run is None:
            of_carry = [v for v in inputs if "carry" in made_of.get(v, NOTHING)]
            found = _alone(equation, known | {v: lax.stop_gradient(known[v]) for v in of_carry})
        else:
            atoms = [(v, is_variable(v)) for v in equation.invars]
            arguments = [known[v] if named else v.val for v, named in atoms]
            kinds = [made_of.get(v, NOTHING) if named else NOTHING for v, named in atoms]
            found = run(equation.params, arguments, kinds)
        known.update(zip(equation.outvars, found, strict=True))
        made_of.update((v, mine) for v in equation.outvars if is_float(v.aval))
    return [known[v] if is_variable(v) else v.val for v in program.outputs]


def _alone(equation: Equation, known: dict[Variable, Any]) -> list[Any]:
    inputs = variables(equation.invars)
    return as_function([equation], inputs, equation.outvars)(*(known[v] for v in inputs))


def _has_product(equation: Equation) -> bool:
    if equation.primitive.name in PRODUCTS:
        return True
    return any(_has_product(each) for inner in jaxprs_in(equation) for each in inner.eqns)


def _in_function(settings: Any, arguments: list[Any], made: list[Made]) -> list[Any]:
    return _run_held(flatten(settings["call_jaxpr"]), arguments, made)


def _in_scan(settings: Any, arguments: list[Any], made: list[Made]) -> list[Any]:
    fixed, carried = scan_counts(settings)
    ends = (fixed, fixed + carried)
    constants, start, xs = arguments[: ends[0]], arguments[ends[0] : ends[1]], arguments[ends[1] :]
    # what goes around is made of all that goes in, sooner or later
    around = [NOTHING.union(*made)] * carried
    made = [*made[: ends[0]], *around, *made[ends[1] :]]

    once = flatten(settings["jaxpr"])

    def body(state, x):
        found = _run_held(once, [*constants, *state, *x], made)
        return found[: len(start)], found[len(start) :]

    options = {name: settings[name] for name in ("length", "reverse", "unroll")}
    state, ys = lax.scan(body, start, xs, **options)
    return [*state, *ys]


def _in_branches(settings: Any, arguments: list[Any], made: list[Made]) -> list[Any]:
    index, *arguments = arguments
    branches = [
        lambda *arguments, branch=branch: _run_held(flatten(branch), list(arguments), made[1:])
        for branch in settings["branches"]
    ]
    return lax.switch(index, branches, *arguments)


# How what holds products inside is run; a `while` has no backward pass that could be held.
_INSIDE: dict[str, Callable[[Any, list[Any], list[Made]], list[Any]]] = {
    **dict.fromkeys(CUSTOM, _in_function),
    "scan": _in_scan,
    "cond": _in_branches,
}


class _Cut(NamedTuple):
    """A step cut at its products.

    Attributes:
      direct: which numbers of the carry reach the new one beside them, [C, C].
      after: which numbers that products give reach the new carry, [C, outputs].
      before: which numbers of the carry reach the factors, [inputs, C].
      between: which numbers that products give reach factors, [inputs, outputs].
      sizes: [inputs, outputs] of each product.
    """

    direct: Pattern
    after: Pattern
    before: Pattern
    between: Pattern
    sizes: list[tuple[int, int]]


def thinned(
    cell: Cell, params: Params, carry: Carry, x: X, wanted: Pattern
) -> tuple[Cell, Pattern]:
    """`cell` with a derivative to the carry that is right where `wanted` [C, C], and with what can
    be other than zero of it, which is little: so that few backward passes tell all of it.

    A number that a product h @ w gives is fed by all of h, and yet where only the derivative of
    each number to itself is wanted, only the diagonal of w is. Products that feed one another are
    left as they are. Arguments may be shapes.
    """
    cut = _cut(cell, params, carry, x)
    starts = np.cumsum([(0, 0), *cut.sizes], axis=0)
    passes = []
    for (row, column), (inputs, outputs) in zip(starts, cut.sizes, strict=False):
        rows, columns = slice(row, row + inputs), slice(column, column + outputs)
        if cut.between[rows].nnz or cut.between[:, columns].nnz:
            passes.append(np.ones((inputs, outputs), bool))
        else:
            passes.append((cut.before[rows] @ wanted.T @ cut.after[:, columns]).toarray())
    gives = sparse.block_diag([sparse.csr_matrix((0, 0), dtype=bool), *(p.T for p in passes)])
    gives = gives.tocsr().astype(bool)
    reached = gives @ cut.before
    while (further := gives @ (cut.before + cut.between @ reached)).nnz > reached.nnz:
        reached = further
    return _passing(cell, passes), cut.direct + cut.after @ reached


def _cut(cell: Cell, params: Params, carry: Carry, x: X) -> _Cut:
    program = trace(lambda *given: cell.step(*given)[0], params, carry, x)
    of_carry = jax.tree.leaves(program.arguments[1])
    found = _products(program)
    rest = [e for e in program.equations if e not in found]
    given = [v for v in program.inputs if v not in of_carry]
    factors, results = [e.invars[0] for e in found], [e.outvars[0] for e in found]
    names = [*of_carry, *results, *given, *program.constants]
    shapes = [struct_of(v) for v in names]
    size = sum(v.aval.size for v in of_carry if is_float(v.aval))
    sources = len(of_carry) + len(results)
    pattern, _ = reach(
        as_function(rest, names, [*program.outputs, *factors]), shapes[:sources], *shapes[sources:]
    )
    return _Cut(
        direct=pattern[:size, :size],
        after=pattern[:size, size:],
        before=pattern[size:, :size],
        between=pattern[size:, size:],
        sizes=[e.invars[1].aval.shape for e in found],
    )


def _products(step: Program) -> list[Equation]:
    """h @ w in a program of (params, carry, x), h made of the carry and w not."""
    moving, found = set(jax.tree.leaves(step.arguments[1])), []
    fixed = {v for v in step.inputs if v not in moving}
    for equation in step.equations:
        if is_product(equation, fixed):
            found.append(equation)
        inputs = variables(equation.invars)
        (moving if any(v in moving for v in inputs) else fixed).update(equation.outvars)
    return [e for e in found if e.invars[0] in moving]


def _passing(cell: Cell, passes: list[np.ndarray]) -> Cell:
    """`cell` whose products pass to their factors what `passes` says of their weights."""
    if all(each.all() for each in passes):
        return cell

    def step(params, carry, x):
        program = trace(cell.step, params, carry, x)
        found, left = _products(program), iter(passes)
        known = program.with_values((params, carry, x))
        for equation in program.equations:
            if equation in found:
                h, w = (known[v] for v in equation.invars)
                results = [_product(equation, h, w, next(left))]
            else:
                results = _alone(equation, known)
            known.update(zip(equation.outvars, results, strict=True))
        return program.built(known[v] if is_variable(v) else v.val for v in program.outputs)

    return cell._replace(step=step)


def _product(equation: Equation, h: jax.Array, w: jax.Array, passes: np.ndarray) -> jax.Array:
    @jax.custom_jvp
    def product(h, w):
        (found,) = as_function([equation], equation.invars, equation.outvars)(h, w)
        return found

    @product.defjvp
    def _(primals, tangents):
        (h, w), (dh, _) = primals, tangents
        return product(h, w), product(dh, w * jnp.asarray(passes, w.dtype))

    return product(h, w)
