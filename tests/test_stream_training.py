"""From streams to a training run, and to a validation loss, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import some_params
from tiers import mostly_full

from jaxrnn import Batch, bptt, chain, clipped_adam, elman, linear, one_hot, stream_training, tbptt
from jaxrnn.data import Streams
from jaxrnn.evaluation import held_out, validation, window_validation
from jaxrnn.models import cross_entropy

V, B, T, LENGTH = 4, 2, 3, 13
TOKENS = np.random.default_rng(0).integers(0, V, (LENGTH + 1, B)).astype(np.int32)
STREAMS = Streams(TOKENS[:-1], TOKENS[1:])
CELL = chain(one_hot=one_hot(V), layer=elman(V, 3), head=linear(3, V))


def read_by(**options):
    """The batches that a training run reads, by training step, as their inputs; a rate of 0."""
    training = stream_training(
        CELL, cross_entropy, ECHO, clipped_adam(), STREAMS, batch_size=B, epochs=2, **options
    )
    state = training.init(jax.random.key(0), 0.0)
    seen = []
    for _ in range(training.chunks):
        state, metrics = jax.jit(training.chunk)(state)
        seen.append(np.asarray(metrics["inputs"])[np.asarray(metrics["step"]) > 0])
    return training, np.concatenate(seen)


def _echo(params, carry, batch):
    grads = jax.tree.map(jnp.zeros_like, params)
    return grads, carry, {"loss": jnp.float32(0), "inputs": batch.inputs}


ECHO = bptt(CELL, cross_entropy)._replace(estimate=_echo)


@pytest.mark.parametrize(("log_every", "chunks"), mostly_full([(None, 1), (3, 2), (10, 1)], (3, 2)))
def test_segments_in_the_order_of_the_text(log_every, chunks):
    training, seen = read_by(num_steps=T, log_every=log_every)
    assert (training.steps_per_epoch, training.chunks) == (4, 2 * chunks)
    expected = [TOKENS[T * i : T * i + T] for i in range(4)] * 2
    np.testing.assert_array_equal(seen, np.stack(expected))


def test_history_stands_before_what_is_scored():
    training, seen = read_by(num_steps=T, history=2)
    assert training.steps_per_epoch == 3
    np.testing.assert_array_equal(seen[:3], [TOKENS[T * i : T * i + T + 2] for i in range(3)])


def test_shuffled_epochs_read_every_segment_in_another_order():
    _, seen = read_by(num_steps=1, shuffled=True, log_every=5)
    every = [TOKENS[i : i + 1].tobytes() for i in range(LENGTH)]
    first, second = ([each.tobytes() for each in seen[i : i + LENGTH]] for i in (0, LENGTH))
    assert sorted(first) == sorted(second) == sorted(every)
    assert len({tuple(first), tuple(second), tuple(every)}) == 3


def test_what_a_training_step_reads_can_be_more_than_its_batch():
    def reads(key, position, batch):
        return batch._replace(inputs=jnp.full_like(batch.inputs, position))

    _, seen = read_by(num_steps=T, reads=reads)
    np.testing.assert_array_equal(seen[:, 0, 0], [0, 1, 2, 3] * 2)


def test_validation_is_the_mean_over_the_text():
    params = some_params(CELL)
    tokens = TOKENS.ravel()
    batch = held_out(tokens, 3)
    assert batch is not None
    assert batch.inputs.shape == (8, 3)
    found = jax.jit(validation(CELL, cross_entropy, batch, num_steps=5))(params)["valid_loss"]
    losses = []
    for column in range(3):
        losses += _by_hand(params, batch.inputs[:, column], batch.targets[:, column])
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)
    assert held_out(tokens[:1], 3) is None
    assert validation(CELL, cross_entropy, None)(params) == {}


def test_windows_are_each_read_from_a_fresh_carry():
    params, tokens = some_params(CELL), TOKENS.ravel()[:20]
    validate = jax.jit(window_validation(CELL, cross_entropy, tokens, num_steps=6))
    found = validate(params)["valid_loss"]
    losses = [_by_hand(params, tokens[i : i + 6], tokens[i + 1 : i + 7])[-1] for i in range(14)]
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)
    assert window_validation(CELL, cross_entropy, tokens[:6], num_steps=6)(params) == {}


def _by_hand(params, inputs, targets):
    carry, losses = CELL.init_carry(params, jax.random.key(0)), []
    step = jax.jit(CELL.step)
    for x, target in zip(inputs, targets, strict=True):
        carry, logits = step(params, carry, jnp.int32(x))
        losses.append(float(cross_entropy(logits, jnp.int32(target))))
    return losses


def test_sizes_are_refused():
    for wrong in ({"num_steps": 0}, {"num_steps": T, "log_every": 0}, {"num_steps": 99}):
        with pytest.raises(ValueError, match=r"num_steps|log_every"):
            read_by(**wrong)


def test_a_real_estimator_trains():
    estimator = tbptt(CELL, cross_entropy, window=T, stride=T)
    training = stream_training(
        CELL, cross_entropy, estimator, clipped_adam(), STREAMS, num_steps=T, batch_size=B, epochs=1
    )
    assert training.ingredients is not None
    np.testing.assert_array_equal(training.ingredients.batch().inputs, TOKENS[:T])
    state = training.init(jax.random.key(0), 0.1)
    state, metrics = jax.jit(training.chunk)(state)
    assert int(state.step) == 4
    batch = Batch(jnp.asarray(TOKENS[:T]), jnp.asarray(TOKENS[1 : T + 1]))
    first = training.init(jax.random.key(0), 0.1)
    _, _, expected = jax.jit(estimator.estimate)(first.params, first.carry, batch)
    assert float(metrics["loss"][0]) == pytest.approx(float(expected["loss"]), rel=1e-6)
