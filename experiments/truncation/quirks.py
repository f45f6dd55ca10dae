"""What the post's protocol does that its text does not say, each as a wrapper of an estimator."""

import jax

from experiments.truncation.config import Config
from experiments.truncation.variants import variant_of
from jaxrnn.base import GradientEstimator
from jaxrnn.cell_files import find_cell
from jaxrnn.compose import dropout
from jaxrnn.runs import ModelConfig

HEAD, LAYER, OUTPUT_DROPOUT = "head", "layer_1", "dropout_head"


def as_published(config: Config, estimator: GradientEstimator) -> GradientEstimator:
    """The estimator of a training run as the post has it, so far as the config asks for it."""
    variant = variant_of(config)
    if config.carried == "dropped":
        estimator = carrying_dropped(estimator, config.model)
    if config.loss_scale == "published":
        estimator = scaled(estimator, variant.num_steps / variant.window)
    return estimator


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


def carrying_dropped(estimator: GradientEstimator, model: ModelConfig) -> GradientEstimator:
    """Between batches the layer's carry is its last output as the head got it, after dropout.

    Within a batch the layer sees its own carry. The mask is the one that the last output met.

    Raises:
      ValueError: not one layer whose carry is its output, with plain dropout and no other.
    """
    if not model.dropout:
        return estimator
    drop = dropout(model.dropout)
    _require_carry_is_output(model)

    def estimate(params, carry, batch):
        grads, carry, metrics = estimator.estimate(params, carry, batch)
        parts = carry.carry
        met = parts[OUTPUT_DROPOUT] | {"step": parts[OUTPUT_DROPOUT]["step"] - 1}
        _, dropped = jax.vmap(lambda mask, h: drop.step((), mask, h))(met, parts[LAYER])
        dropped = dropped.astype(parts[LAYER].dtype)
        return grads, carry._replace(carry=parts | {LAYER: dropped}), metrics

    return estimator._replace(estimate=estimate)


def _require_carry_is_output(model: ModelConfig) -> None:
    cell = find_cell(model.cell)(1, model.hidden_size)
    carry = jax.eval_shape(lambda key: cell.init_carry(cell.init(key), key), jax.random.key(0))
    is_output = [leaf.shape for leaf in jax.tree.leaves(carry)] == [(model.hidden_size,)]
    drawn = (model.dropout_kind, model.zoneout, model.weight_drop)
    if model.num_layers > 1 or not is_output or drawn != ("plain", 0.0, 0.0):
        raise ValueError(
            "--carried is dropped, as it is with one layer, a carry that is its output, and plain "
            f"dropout alone; with --num-layers {model.num_layers}, --cell {model.cell}, "
            f"--dropout-kind {model.dropout_kind}, --zoneout {model.zoneout}, --weight-drop "
            f"{model.weight_drop} give --carried kept"
        )
