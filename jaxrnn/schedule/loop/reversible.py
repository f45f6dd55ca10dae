"""Whether what a loop computes can be taken backwards, equation by equation.

The backward pass of a loop (`reversing`) takes every float of the carry and of the streams for one
that somebody may ask the derivative of; JAX, in the plain loop, only those that somebody does. So a
window's maximum whose initial value is an array, or a loop of the step's own that ends when it
likes, is no obstacle there as long as it stands beside the way, and would be one here.
"""

import jax

from jaxrnn.jaxprs.equations import (
    Equation,
    as_function,
    is_float,
    primitives,
    struct_of,
    variables,
)
from jaxrnn.schedule.loop.reversing import floats_of
from jaxrnn.schedule.reading import COSTLY, Unreadable
from jaxrnn.schedule.stages import Loop, Plan

# What JAX has a backward pass of, whatever the parameters: not tried, which takes a trace each.
_KNOWN = (
    COSTLY
    | primitives(
        """
        add add_any sub mul div neg max min sign abs square integer_pow dot_general select_n
        broadcast_in_dim reshape transpose squeeze slice dynamic_update_slice concatenate stack
        unstack tile split pad rev convert_element_type copy copy_p real imag complex conj
        stop_gradient iota eq ne lt le gt ge and or not is_finite floor ceil round
        """
    )
) - primitives("scan while cond sort top_k reduce_prod")


def require_reversible(plan: Plan) -> None:
    """
    Raises:
      Unreadable: "no backward pass".
    """
    for loop in plan:
        # without a weight, where it is linear or a matrix, JAX's own derivatives are taken
        if not isinstance(loop, Loop) or loop.linear or loop.matrix is not None:
            continue
        if loop.newton is not None or _reads_a_weight(loop):
            _try(loop)


def _reads_a_weight(loop: Loop) -> bool:
    return any(v in loop.learnt for equation in loop.equations for v in variables(equation.invars))


def _try(loop: Loop) -> None:
    moving = {*floats_of([*loop.carried, *loop.streams]), *loop.learnt}
    for equation in loop.equations:
        name = equation.primitive.name
        pulled = [v for v in variables(equation.invars) if v in moving]
        outputs = floats_of(equation.outvars)
        if name == "stop_gradient" or not pulled or not outputs:
            continue
        moving.update(outputs)
        if name in _KNOWN:
            continue
        try:
            _take_back(equation, pulled)
        except Exception as error:  # each rule of JAX, and each of a user's, has its own
            raise Unreadable(
                f"no backward pass: JAX has none of {name}, which what a derivative may be asked "
                f"of goes through ({type(error).__name__})"
            ) from error


def _take_back(equation: Equation, pulled: list) -> None:
    """Traces the equation's pullback to `pulled`."""
    inputs = variables(equation.invars)
    apply = as_function([equation], inputs, equation.outvars)

    def function(numbers, others):
        values = others | dict(zip(pulled, numbers, strict=True))
        out = apply(*(values[v] for v in inputs))
        return [o for o in out if is_float(o)]

    def back(values, cotangents):
        by_name = dict(zip(inputs, values, strict=True))
        numbers = [by_name[v] for v in pulled]
        _, pull = jax.vjp(lambda numbers: function(numbers, by_name), numbers)
        return pull(cotangents)

    given = [struct_of(v) for v in inputs], [struct_of(v) for v in floats_of(equation.outvars)]
    jax.eval_shape(back, *given)
