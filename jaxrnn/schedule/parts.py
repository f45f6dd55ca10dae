"""Costly functions of which only parts are read, taken of the parts.

A cell takes the sigmoid of all its gates in one go and then splits them. Kept for the way back as
one array and read there through several slices, it makes XLA on a CPU work number by number; as
parts, each is an array of its own, read in vectors. To put parts together instead, so that one call
does for several, would bring that back.
"""

from typing import Any

from jaxrnn.schedule.reading import COSTLY, HEAVY, Step, is_variable, variables
from jaxrnn.unstable import new_variable

CUTS = ("slice", "split")


def on_parts(step: Step) -> Step:
    """The same step with f(x)[part] as f(x[part])."""
    wanted = set(variables([*step.new_carry, *step.y]))
    readers: dict[Any, list[Any]] = {}
    for equation in step.equations:
        for v in variables(equation.invars):
            readers.setdefault(v, []).append(equation)

    def only_cut(equation):
        (made,) = equation.outvars
        of_it = readers.get(made, [])
        return made not in wanted and all(r.primitive.name in CUTS for r in of_it)

    # by what it makes, a function that waits until its result is cut
    waiting: dict[Any, Any] = {}
    found = []
    for equation in step.equations:
        if _each_number(equation) and only_cut(equation):
            waiting[equation.outvars[0]] = equation
        elif equation.primitive.name in CUTS and equation.invars[0] in waiting:
            function = waiting[equation.invars[0]]
            cut = [new_variable(v) for v in equation.outvars]
            found.append(equation.replace(invars=function.invars, outvars=cut))
            found += [
                function.replace(invars=[v], outvars=[part])
                for v, part in zip(cut, equation.outvars, strict=True)
            ]
        else:
            found.append(equation)
    return step._replace(equations=found)


def _each_number(equation: Any) -> bool:
    """Whether it is a costly function of each number of one array by itself."""
    return (
        equation.primitive.name in COSTLY - HEAVY
        and len(equation.invars) == len(equation.outvars) == 1
        and is_variable(equation.invars[0])
        and equation.invars[0].aval.shape == equation.outvars[0].aval.shape
    )
