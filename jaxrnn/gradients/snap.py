"""The sparse n-step approximation of real-time recurrent learning."""

from jaxrnn.base import Cell, GradientEstimator, Objective, X, require_positive
from jaxrnn.gradients.online.estimator import online
from jaxrnn.gradients.online.influence import sparse_influence, within
from jaxrnn.unroll import Schedule


def snap(
    cell: Cell,
    objective: Objective,
    *,
    order: int = 1,
    x: X | None = None,
    schedule: Schedule = "auto",
) -> GradientEstimator:
    """SnAp-n, n = `order`: `rtrl` that keeps the influence J only of a param on the numbers of the
    carry that it reaches within n time steps, and drops the rest at each:

        J' = M * (I + D J),    M where I + D I + ... + D^(n - 1) I can be other than zero

    M is found from the equations of step and `init_carry`. Of order 1 it is one number of h for
    each weight of an elman or gru layer, h and c for an lstm. In a chain a time step goes through
    all layers, so a param reaches every number of the layers above its own. Biased, but exact where
    D is diagonal, of complex numbers too: both parts of one count as reached.

    A higher order is nearer to `rtrl`, and is `rtrl` from the order on that nothing is added by:
    the second, where a matrix of weights lets every number of a layer feed every other. It is for
    carries whose numbers feed few others.

    Per time step and example, with P params that reach the carry and S numbers of it for each of
    them: memory O(S P), time O(S^2 P). Of D only the numbers between those S are worked out: of a
    product h @ w those places in w, so that S backward passes suffice in an elman, gru or lstm
    layer, O(H^2) each. Where products feed one another (in a chain, or a reset before the product)
    it is one for each number of the carry. Beside it a batch keeps its T carries.

    `schedule` is that of `unroll`. Give `x`, one time step of one example or its shape, where the
    cell takes other than a token, a number or a vector.

    Raises:
      ValueError: an order below 1.

    Reference: Menick et al. (2020), https://arxiv.org/abs/2006.07232
    """
    require_positive(order=order)
    build = sparse_influence(local=lambda cell: cell, keeps=within(order))
    return online("snap", build, cell, objective, x, schedule)
