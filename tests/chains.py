"""How much of a program has to be done one behind another."""

from collections.abc import Iterable, Sequence

import jax

from jaxrnn.unstable import is_literal, opened


def longest_chain(function, *args, trips: int) -> tuple[int, int]:
    """The longest chain of iterations of loops of a function, and of its equations: those of a
    loop's body count once for every iteration.

    Args:
      trips: iterations of a `while`, which the program does not tell.
    """
    return _of_jaxpr(opened(jax.make_jaxpr(function)(*args))[0], trips)


def _of_jaxpr(jaxpr, trips: int) -> tuple[int, int]:
    behind: dict = {}
    for equation in jaxpr.eqns:
        before = [behind.get(v, (0, 0)) for v in equation.invars if not is_literal(v)]
        loops, equations = _longest(before)
        more_loops, more_equations = _of_equation(equation, trips)
        here = loops + more_loops, equations + more_equations
        behind.update(dict.fromkeys(equation.outvars, here))
    return _longest(behind.values())


def _longest(chains: Iterable[tuple[int, int]]) -> tuple[int, int]:
    loops, equations = zip((0, 0), *chains, strict=True)
    return max(loops), max(equations)


def _of_equation(equation, trips: int) -> tuple[int, int]:
    name, settings = equation.primitive.name, equation.params
    if name == "scan":
        return _times(settings["length"], [settings["jaxpr"]], trips)
    if name == "while":
        return _times(trips, [settings["body_jaxpr"], settings["cond_jaxpr"]], trips)
    if name == "cond":
        # the schedules have in front what runs where something is not finite or not converged
        return _times(None, settings["branches"][-1:], trips)
    if name == "call_hi_primitive":
        rule = settings["_prim"]
        inner = jax.make_jaxpr(rule.expand)(*jax.tree.map(_shape, rule.in_avals))
        return _times(None, [inner], trips)
    inside = [value for value in settings.values() if hasattr(opened(value)[0], "eqns")]
    return _times(None, inside, trips) if inside else (0, 1)


def _shape(aval) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _times(count: int | None, bodies: Sequence, trips: int) -> tuple[int, int]:
    """Of bodies one behind another, `count` times; None for once, and no loop."""
    found = [_of_jaxpr(opened(body)[0], trips) for body in bodies]
    loops, equations = sum(each[0] for each in found), sum(each[1] for each in found)
    if count is None:
        return loops, equations
    return count * max(1, loops), count * equations
