"""A batch of another size than the carry's is called that."""

import jax
import jax.numpy as jnp
import pytest

from jaxrnn import STYLES, Batch, chain, elman, linear, stateless, tbptt, weight_drop

CELL = chain(layer=elman(3, 4), head=linear(4, 2))
PARAMS = CELL.init(jax.random.key(0))


def squares(outputs, targets):
    return jnp.square(outputs - targets).sum(-1)


ESTIMATORS = {name: style(CELL, squares, 4, 4) for name, style in STYLES.items()}
ESTIMATORS |= {
    "overlapping": tbptt(CELL, squares, window=4, stride=2),
    "weight_drop": weight_drop(ESTIMATORS["bptt"], 0.5),
    "weight_drop(stateless)": weight_drop(stateless(ESTIMATORS["bptt"]), 0.5),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_batch_size_that_is_not_the_carrys(name):
    estimator = ESTIMATORS[name]
    carry = jax.eval_shape(lambda: estimator.init(PARAMS, jax.random.key(0), 2))
    # the second targets would have been broadcast, the third inputs said to be of a wrong shape
    for where, inputs, targets in (("targets 3", 2, 3), ("targets 1", 2, 1), ("inputs 3", 3, 3)):
        batch = Batch(jnp.zeros((4, inputs, 3)), jnp.zeros((4, targets, 2)))
        message = rf"the carry has 2 sequences, batch.{where}; give batches \[T, B"
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(estimator.estimate, PARAMS, carry, batch)
