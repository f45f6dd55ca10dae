"""What a recurrence is for."""

import math

import jax
from jax import lax

from jaxrnn.base import Batch
from jaxrnn.compose import chain, linear, one_hot, pre_norm, rms_norm
from jaxrnn.gradients import bptt, stateless
from jaxrnn.laws.comparing import LawBroken
from jaxrnn.laws.subject import Subject
from jaxrnn.models import cross_entropy
from jaxrnn.optimizers import clipped_adam
from jaxrnn.training import init_state, make_train_step

LAG = 3
HIDDEN_SIZE = 16
# Layers, whether each is in a pre-norm block, and training steps, tried until one has learnt.
MODELS = ((1, False, 400), (3, True, 1200))
# In nats: half of what not knowing costs.
LEARNT = math.log(2) / 2
# How many training steps it takes between two looks at the loss.
EVERY = 50


def learns_a_lag(subject: Subject) -> None:
    """A small model, trained by Adam and bptt to repeat the coin toss of 3 time steps ago, comes
    below half of the log 2 nats of not knowing.

    One layer, or else three in blocks. Where the gates see x alone, or units remember only
    themselves, what a layer holds is a sum of fading tosses, in which the third last differs little
    from the second last; such cells are made to be stacked, and tell them apart by what the layers
    below make of them, and where the step is linear in the carry and reads it by x, by what their
    papers have between the layers. No stack helps what does not remember: tosses are independent.
    """
    _require_vector(subject)
    losses = []
    for layers, in_blocks, training_steps in MODELS:
        losses.append(_trained(subject, layers, in_blocks, training_steps))
        if losses[-1] < LEARNT:
            return
    found = " and ".join(
        f"{loss:.3f} after {steps} training steps of {layers} {'blocks' if in_blocks else 'layers'}"
        for loss, (layers, in_blocks, steps) in zip(losses, MODELS, strict=True)
    )
    raise LawBroken(
        f"the loss is {found} (hidden_size {HIDDEN_SIZE}), in nats, not below "
        f"{LEARNT:.3f}, half of what not knowing costs"
    )


def _require_vector(subject: Subject) -> None:
    """What reads y here, and in every experiment, is a layer of hidden_size numbers."""
    carry, x = jax.tree.map(lambda a: a[0], (subject.carry, subject.xs[0]))
    _, y = jax.eval_shape(subject.cell.step, subject.params, carry, x)
    shapes = [leaf.shape for leaf in jax.tree.leaves(y)]
    if not isinstance(y, jax.ShapeDtypeStruct) or shapes != [(subject.hidden_size,)]:
        raise LawBroken(
            f"y is {type(y).__name__} of shapes {shapes}, no vector of hidden_size "
            f"{subject.hidden_size}: unroll takes it, but no layer and no model of an experiment "
            "does; give out the vector, and keep the rest in the carry"
        )


def _trained(subject: Subject, layers: int, in_blocks: bool, training_steps: int) -> float:
    """The loss of the last training steps, in nats; they end where it has learnt."""
    wide = HIDDEN_SIZE
    if in_blocks:
        cells = [pre_norm(subject.factory(wide, wide), wide, 2 * wide) for _ in range(layers)]
        stack = chain(linear(2, wide), *cells, rms_norm(wide))
    else:
        sizes = [2] + [wide] * (layers - 1)
        stack = chain(*(subject.factory(size, wide) for size in sizes))
    cell = chain(one_hot=one_hot(2), cell=stack, head=linear(HIDDEN_SIZE, 2))

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

    def unlearnt(trained):
        state, loss = trained
        return (state.step < training_steps) & (loss >= LEARNT)

    def train_further(trained):
        state, metrics = lax.scan(train_on_fresh, trained[0], length=EVERY)
        return state, metrics["loss"][-20:].mean()

    @jax.jit
    def train(key):
        state = init_state(cell, estimator, optimizer, key, batch_size=32)
        return lax.while_loop(unlearnt, train_further, (state, jax.numpy.inf))[1]

    return float(train(jax.random.key(0)))
