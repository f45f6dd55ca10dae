"""Random feedback local online learning."""

from jaxrnn.base import Cell, GradientEstimator, Objective, X
from jaxrnn.gradients.online.estimator import online
from jaxrnn.gradients.online.influence import closure, sparse_influence
from jaxrnn.gradients.online.products import held
from jaxrnn.unroll import Schedule


def rflo(
    cell: Cell, objective: Objective, *, x: X | None = None, schedule: Schedule = "auto"
) -> GradientEstimator:
    """`rtrl` whose influence J does not pass through recurrent weights: what a neuron keeps by
    itself, its leak or its gate, takes J on, and a product of the carry with a matrix of params
    does not.

        J' = I + F J,    F = d step / d carry with every such product held fixed

    These products are found in the cell's equations, so F is 1 - 1 / tau in the paper's network,
    z in a gru, f between the c of an lstm, and 0 in an elman layer. Biased, but exact where no such
    product is on the way. The paper also sends the errors back through random fixed weights; here
    they come through the true ones (as in Marschall, Cho and Savin 2020,
    https://jmlr.org/papers/v21/19-562.html, where the two approximations are apart).

    Per time step and example, with C floats in the carry, P in the params that reach it and S
    numbers of the carry for each of them (1 for a gru, 2 for an lstm): memory O(S P), time O(S^2 P)
    and few backward passes through the step where F mixes few numbers. In a chain a time step goes
    through all layers, so a param reaches every number of the layers above its own. Beside it a
    batch keeps its T carries.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Reference: Murray (2019), https://doi.org/10.7554/eLife.43299
    """
    build = sparse_influence(local=held, keeps=closure)
    return online("rflo", build, cell, objective, x, schedule)
