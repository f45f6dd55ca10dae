"""Real-time recurrent learning."""

from jaxrnn.base import Cell, GradientEstimator, Objective, X
from jaxrnn.gradients.online.estimator import online
from jaxrnn.gradients.online.influence import closure, sparse_influence
from jaxrnn.unroll import Schedule


def rtrl(
    cell: Cell, objective: Objective, *, x: X | None = None, schedule: Schedule = "auto"
) -> GradientEstimator:
    """Every error goes back to the start of its sequence, across all batches, and nothing is stored
    for it but the influence J of params on the carry, exactly:

        J' = I + D J,    I = d step / d params,    D = d step / d carry

    With fixed params the gradient is that of `bptt` with all batches so far as one; where params
    changed meanwhile, J is made of the derivatives as they were. What cannot be other than zero is
    found from the cell's equations and takes neither memory nor time: a layer has no influence on
    those before it, and none on another number of the carry where numbers do not mix.

    Per time step and example, with C floats in the carry and P in the params that reach it:
    memory O(C P); time O(C^2 P) for the one product D J, and a backward pass through the step for
    each of up to C rows of D. That is O(H^3) and O(H^4) for a layer of H. Where D is diagonal it is
    O(P) both. Beside it a batch keeps its T carries. Complex numbers are taken by their parts: J of
    an `lru` or `rtu`, whose units see themselves alone, has two numbers for each param.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Reference: Williams and Zipser (1989), https://doi.org/10.1162/neco.1989.1.2.270
    """
    build = sparse_influence(local=lambda cell: cell, keeps=closure)
    return online("rtrl", build, cell, objective, x, schedule)
