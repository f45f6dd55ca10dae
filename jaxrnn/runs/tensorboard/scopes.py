"""The named scopes of a jaxpr: in which part of a model an equation stands."""

import re
from typing import Any, NamedTuple

from jax.extend import core

from jaxrnn.schedule.reading import CALLS, CUSTOM, is_variable

Scope = tuple[str, ...]


class Placed(NamedTuple):
    """An equation, calls flattened, and where it stands.

    Attributes:
      equation: with variables of its own.
      part: the `jax.named_scope`s around it, as `chain` makes them for the parts of a model.
      scope: the same, with the names of the functions that are called on the way.
      backward: whether it works out a derivative: JAX marks what it transposes.
    """

    equation: Any
    part: Scope
    scope: Scope
    backward: bool


def placed_equations(closed: Any) -> tuple[list[Placed], list[Any], dict[Any, Any]]:
    """The equations of a jaxpr in order with what they call in place of calls, its outputs and its
    constants. A function that is called, such as `jax.nn.sigmoid`, is a scope of its name."""
    found: list[Placed] = []
    constants = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))

    def walk(jaxpr: Any, names: dict[Any, Any], above: Placed | None) -> list[Any]:
        def name_of(atom: Any) -> Any:
            return names.get(atom, atom) if is_variable(atom) else atom

        for equation in jaxpr.eqns:
            inputs = [name_of(v) for v in equation.invars]
            here = _placed(equation, above)
            body = _called(equation)
            if body is None:
                # new names: a function that is called twice has the same inside
                outputs = [core.Var(v.aval) for v in equation.outvars]
                fresh = equation.replace(invars=inputs, outvars=outputs)
                found.append(here._replace(equation=fresh))
            else:
                inside = {}
                if isinstance(body, core.ClosedJaxpr):
                    inside = {v: core.Var(v.aval) for v in body.jaxpr.constvars}
                    constants.update(zip(inside.values(), body.consts, strict=True))
                    body = body.jaxpr
                inside |= dict(zip(body.invars, inputs, strict=True))
                called = here._replace(scope=here.scope + _name_of_call(equation))
                outputs = walk(body, inside, called)
            names.update(zip(equation.outvars, outputs, strict=True))
        return [name_of(v) for v in jaxpr.outvars]

    outputs = walk(closed.jaxpr, {}, None)
    return found, outputs, constants


def _placed(equation: Any, above: Placed | None) -> Placed:
    """Inside `above`, which called it. Of the name `transpose(jvp(model))/layer_1` the part is
    (model, layer_1)."""
    text = str(equation.source_info.name_stack)
    own = tuple(name for name in re.sub(r"\b\w+\(|\)", "", text).split("/") if name)
    backward = "transpose(" in text
    if above is None:
        return Placed(equation, own, own, backward)
    # what a function names inside itself is no part of the model
    return Placed(equation, above.part, above.scope + own, above.backward or backward)


def _called(equation: Any) -> Any:
    name = equation.primitive.name
    if name in CALLS:
        return equation.params.get("jaxpr")
    return equation.params.get(CUSTOM[name]) if name in CUSTOM else None


def _name_of_call(equation: Any) -> Scope:
    name = equation.params.get("name")
    return (name.strip("_<>"),) if isinstance(name, str) and name.strip("_<>") else ()
