"""The sparse one-step approximation of real-time recurrent learning."""

from jaxrnn.base import Cell, GradientEstimator, Objective, X
from jaxrnn.gradients.online.estimator import online
from jaxrnn.gradients.online.influence import sparse_influence
from jaxrnn.unroll import Schedule


def snap(
    cell: Cell, objective: Objective, *, x: X | None = None, schedule: Schedule = "auto"
) -> GradientEstimator:
    """SnAp-1: `rtrl` that keeps the influence J only of a param on the numbers of the carry that it
    reaches within one time step, and drops the rest at each:

        J' = M * (I + D J),    M where I can be other than zero

    M is found from the equations of step and `init_carry`. It is one number of h for each weight of
    an elman or gru layer, h and c for an lstm. In a chain a time step goes through all layers, so a
    param reaches every number of the layers above its own. Biased, but exact where D is diagonal,
    of complex numbers too: both parts of one count as reached.

    Per time step and example, with P params that reach the carry and S numbers of it for each of
    them: memory O(S P), time O(S^2 P). Of D only the numbers between those S are worked out: of a
    product h @ w those places in w, so that S backward passes suffice in an elman, gru or lstm
    layer, O(H^2) each. Where products feed one another (in a chain, or a reset before the product)
    it is one for each number of the carry. Beside it a batch keeps its T carries.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Reference: Menick et al. (2020), https://arxiv.org/abs/2006.07232
    """
    build = sparse_influence(local=lambda cell: cell, keeps=lambda immediate, feeds: immediate)
    return online("snap", build, cell, objective, x, schedule)
