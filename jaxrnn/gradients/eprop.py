"""Eligibility propagation."""

from jaxrnn.base import Cell, GradientEstimator, Objective, X
from jaxrnn.gradients.online.estimator import online
from jaxrnn.gradients.online.influence import closure, sparse_influence
from jaxrnn.gradients.online.products import held_in_time
from jaxrnn.unroll import Schedule


def eprop(
    cell: Cell, objective: Objective, *, x: X | None = None, schedule: Schedule = "auto"
) -> GradientEstimator:
    """e-prop: an eligibility trace of each param, which goes on inside a neuron alone, meets the
    error of its own time step:

        dL / dw = sum over t of  L_t e_t,    L_t = dloss_t / dz_t
        e_t = dz_t / dw + dz_t / ds_(t-1) J_(t-1)
        J_t = ds_t / dw + ds_t / ds_(t-1) J_(t-1)

    z is what neurons tell each other and s what each keeps for itself; all derivatives hold the z
    of the time step before fixed. Here z is what goes from one time step to the next through a
    product with params, which is found in the cell's equations: h of an lstm, whose s is c and
    whose J goes on by the forget gate; h of a gru, that keeps z h of it as s; in an elman layer
    there is no s, and an error stays in its time step. L is the true derivative through the output
    weights (the paper's symmetric e-prop; it also sends errors back through random ones). Products
    from one layer to the next pass derivatives on. Biased, but exact where numbers of a layer do
    not feed each other.

    Beside `rflo`, whose errors arrive through one product of the carry more, the one of the time
    step that they come from.

    Per time step and example, with C floats in the carry, P in the params that reach it and S
    numbers of the carry for each of them (1 for a gru, 2 for an lstm; those of the layers above
    too in a chain): memory O(S P), time O(S^2 P), a few backward passes through the step where s of
    a neuron is few numbers, and one more than other online styles for the errors. Beside it a batch
    keeps its T carries.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Reference: Bellec et al. (2020), https://doi.org/10.1038/s41467-020-17236-y
    """
    build = sparse_influence(local=held_in_time, keeps=closure)
    return online("eprop", build, cell, objective, x, schedule, felt=held_in_time)
