"""Time steps that nobody reads, kept out of derivatives.

A sequence that has ended runs on beside those that have not, and what it computes is thrown away.
Its derivatives are not thrown away: errors of 0 go back through them, and 0 times infinity is NaN
in the gradient of every weight. So a function that has points without a derivative (a logarithm, a
quotient, a root) sees ones in place of what such a time step computed, and its own result is
replaced by ones: nothing infinite comes up, and nothing goes back through it. All other functions
are left as they are, so a step without such points is the step that it was.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrnn.base import Carry, Params, X, Y
from jaxrnn.jaxprs.equations import as_function, is_float, primitives, trace, variables

# Finite values of these have finite results and derivatives.
SMOOTH = primitives(
    """
    add add_any sub mul neg dot_general conv_general_dilated max min clamp sign tanh logistic erf
    sin cos square select_n broadcast_in_dim reshape transpose squeeze slice dynamic_slice
    dynamic_update_slice gather scatter scatter-add concatenate stack unstack tile split pad rev
    reduce_sum reduce_max reduce_min cumsum cummax cummin sort top_k argmax argmin
    convert_element_type reduce_precision copy copy_p real imag complex conj
    eq ne lt le gt ge is_finite floor ceil round stop_gradient name optimization_barrier pvary
    """
)
# With other values in front of it, it might not end.
OPEN_ENDED = primitives("while")


def sheltered(
    step: Callable[[Params, Carry, X], tuple[Carry, Y]],
    params: Params,
    carry: Carry,
    x: X,
    active: Bool[Array, ""],
) -> tuple[Carry, Y]:
    """`step(params, carry, x)` where `active`; elsewhere finite numbers through which nothing goes
    back, as long as params, carry and x are finite."""
    program = trace(step, params, carry, x)
    if program.effects or all(e.primitive.name in SMOOTH for e in program.equations):
        return step(params, carry, x)

    def shelter(a):
        return jnp.where(active, a, jnp.ones_like(a)) if is_float(a) else a

    values = program.with_values((params, carry, x))
    varying = set(jax.tree.leaves(program.arguments[1:]))
    for equation in program.equations:
        inputs = variables(equation.invars)
        varies = not varying.isdisjoint(inputs)
        exposed = varies and equation.primitive.name not in SMOOTH
        replaced = varying if exposed and equation.primitive.name not in OPEN_ENDED else ()
        given = [shelter(values[v]) if v in replaced else values[v] for v in inputs]
        found = as_function([equation], inputs, equation.outvars)(*given)
        values |= zip(equation.outvars, map(shelter, found) if exposed else found, strict=True)
        varying |= {*equation.outvars} if varies else set()
    ends = variables(program.outputs)
    return program.built(as_function([], ends, program.outputs)(*(values[v] for v in ends)))
