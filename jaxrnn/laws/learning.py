"""What a recurrence is for."""

import math

import jax
from jax import lax

from jaxrnn.base import Batch
from jaxrnn.compose import chain, linear, one_hot
from jaxrnn.gradients import bptt, stateless
from jaxrnn.laws.comparing import LawBroken
from jaxrnn.laws.subject import Subject
from jaxrnn.models import cross_entropy
from jaxrnn.training import clipped_adam, init_state, make_train_step

LAG = 3
HIDDEN_SIZE = 16
TRAINING_STEPS = 400


def learns_a_lag(subject: Subject) -> None:
    """A small model, trained by Adam and bptt to repeat the coin toss of 3 time steps ago, comes
    below half of the log 2 nats of not knowing."""
    cell = chain(
        one_hot=one_hot(2), cell=subject.factory(2, HIDDEN_SIZE), head=linear(HIDDEN_SIZE, 2)
    )

    def objective(outputs, targets):  # the first LAG time steps have nothing to repeat
        return cross_entropy(outputs, targets)[LAG:]

    estimator = stateless(bptt(cell, objective))
    optimizer = clipped_adam(1e-2)
    train_step = make_train_step(estimator, optimizer)

    def train_on_fresh(state, _):
        key = jax.random.fold_in(state.key, state.step)
        tokens = jax.random.bernoulli(key, shape=(2 * LAG + 6, 32)).astype("int32")
        targets = jax.numpy.roll(tokens, LAG, axis=0)
        return train_step(state, Batch(tokens, targets))

    @jax.jit
    def train(key):
        state = init_state(cell, estimator, optimizer, key, batch_size=32)
        return lax.scan(train_on_fresh, state, length=TRAINING_STEPS)[1]["loss"]

    loss = float(train(jax.random.key(0))[-20:].mean())
    if not loss < math.log(2) / 2:
        raise LawBroken(
            f"after {TRAINING_STEPS} training steps the loss is {loss:.3f} nats, not below "
            f"{math.log(2) / 2:.3f}, half of what not knowing costs (hidden_size {HIDDEN_SIZE})"
        )
