"""What Newton's iterations over a cell come to, in numbers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn.base import Carry, Params, X
from jaxrnn.schedule.choosing import Choice, jacobian_bytes
from jaxrnn.schedule.newton.solving import MOST_ITERATIONS, Certificate, iterate
from jaxrnn.schedule.stages import Loop


class Certified(NamedTuple):
    """
    Attributes:
      cause: why there are no iterations at all; "" where there are, or none are needed.
      structures: of d carry' / d carry of each recurrence that is solved.
      memory: bytes of all of these derivatives together, at all time steps.
      certificate: of each example the worst of all recurrences; the iterations of all together.
      limit: iterations after which the plain loop runs.
      epsilon: a unit of rounding.
    """

    cause: str
    structures: tuple[str, ...]
    memory: int
    certificate: Certificate
    limit: int
    epsilon: float


def certify_choice(choice: Choice, params: Params, carry: Carry, xs: X) -> Certified:
    length, batch_size = jax.tree.leaves(xs)[0].shape[:2]
    ones = jnp.ones(batch_size)
    none = Certificate(ones > 0, (0 * ones).astype(jnp.int32), 0 * ones, 0 * ones, ones)
    if choice.step is None or choice.plan is None:
        cause = choice.reason
        return Certified(cause, (), 0, none._replace(converged=ones < 0), MOST_ITERATIONS, 0.0)
    loops = [each for each in choice.plan if isinstance(each, Loop) and each.newton is not None]
    solved = [each for each in loops if each.newton and each.newton.kind != "free"]
    carried = [v.aval.dtype for each in solved for v in each.carried]
    epsilon = max((float(jnp.finfo(dtype).eps) for dtype in carried), default=0.0)
    structures = tuple(str(each.newton) for each in solved)
    memory = sum(jacobian_bytes(each, length, batch_size) for each in solved)
    _, found = iterate(choice.step, choice.plan, params, carry, xs)
    for each in found:
        none = Certificate(
            none.converged & each.converged,
            none.iterations + each.iterations,
            jnp.maximum(none.residual, each.residual),
            jnp.maximum(none.error, each.error),
            jnp.minimum(none.damping, each.damping),
        )
    return Certified("", structures, memory, none, MOST_ITERATIONS, epsilon)
