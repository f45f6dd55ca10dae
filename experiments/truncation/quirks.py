"""What the post's protocol does that its text does not say, each as a wrapper of an estimator."""

import jax

from jaxrnn.base import Cell, GradientEstimator
from jaxrnn.compose import dropout
from jaxrnn.models import TokenModel, build_model

HEAD, LAYER, OUTPUT_DROPOUT = "head", "layer_1", "dropout_head"


def scaled(estimator: GradientEstimator, factor: float) -> GradientEstimator:
    """All gradients but the head's `factor` times as large.

    The post sums the gradients of a batch of num_steps errors and divides them by n, not by
    num_steps; the head's come from the mean loss. Adam takes most of that back.
    """

    def estimate(params, carry, batch):
        grads, carry, metrics = estimator.estimate(params, carry, batch)
        rest = {name: tree for name, tree in grads.items() if name != HEAD}
        return grads | jax.tree.map(lambda g: factor * g, rest), carry, metrics

    return estimator._replace(estimate=estimate)


def carrying_dropped(estimator: GradientEstimator, model: TokenModel) -> GradientEstimator:
    """Between batches the layer's carry is its last output as the head got it, after dropout.

    Within a batch the layer sees its own carry. The mask is the one that the last output met.

    Raises:
      ValueError: the cell's carry is not one array the size of its output.
    """
    if not model.dropout:
        return estimator
    drop = dropout(model.dropout)
    _require_carry_is_output(build_model(model), model)

    def estimate(params, carry, batch):
        grads, carry, metrics = estimator.estimate(params, carry, batch)
        parts = carry.carry
        met = parts[OUTPUT_DROPOUT] | {"step": parts[OUTPUT_DROPOUT]["step"] - 1}
        _, dropped = jax.vmap(lambda mask, h: drop.step((), mask, h))(met, parts[LAYER])
        dropped = dropped.astype(parts[LAYER].dtype)
        return grads, carry._replace(carry=parts | {LAYER: dropped}), metrics

    return estimator._replace(estimate=estimate)


def _require_carry_is_output(cell: Cell, model: TokenModel) -> None:
    def carry(key):
        return cell.init_carry(cell.init(key), key)[LAYER]

    leaves = jax.tree.leaves(jax.eval_shape(carry, jax.random.key(0)))
    if [leaf.shape for leaf in leaves] != [(model.hidden_size,)]:
        raise ValueError(
            f"--carried is dropped, and the carry of {model.cell} is more than its output; "
            "give --carried kept"
        )
