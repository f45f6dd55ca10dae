"""The notebook's training: phases that stop early and go back to their best weights.

A chunk is an epoch, and which phase it belongs to, when that ends and what is kept is decided on
the device, for each member by itself. In the log a step is an epoch.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from experiments.memorization.config import Config
from jaxrnn import runs
from jaxrnn.analysis.connectivity import sliding
from jaxrnn.base import Batch, Cell, Key, Params, TrainState, path_name
from jaxrnn.gradients import stateless, tbptt
from jaxrnn.models import cross_entropy, token_vectors
from jaxrnn.optimizers import updates_of, with_learning_rate
from jaxrnn.training import Ingredients, Training
from jaxrnn.unroll import unroll


class Progress(NamedTuple):
    """Where a member stands in its phases; in place of an estimator's carry."""

    best: Params  # of the phase's best epoch
    accuracy: Float[Array, ""]  # of that epoch; -1 before the first
    waited: Int[Array, ""]  # epochs since then
    phase: Int[Array, ""]  # the number of phases when all are over
    epoch: Int[Array, ""]  # of the phase
    latest: Float[Array, "2"]  # loss and accuracy of the latest epoch


def windows_of(tokens: Int[Array, " N"], window: int) -> tuple[Array, Array]:
    """Every window of the text, [W, n], and the character that follows each, [n]."""
    return sliding(tokens[:-1], window).T, tokens[window:]


def as_keras_begins(key: Key, params: Params) -> Params:
    """`params` with the matrices of Keras's first weights: the embedding uniform within 0.05 of 0,
    w_ih Glorot-uniform and w_hh orthogonal as the whole matrices that they are, where ours are so
    gate by gate. Of a cell with other names the rest begins as the cell has it."""
    drawn = {
        "embed.w": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.05, 0.05),
        "layer_1.w_ih": jax.nn.initializers.glorot_uniform(),
        "layer_1.w_hh": jax.nn.initializers.orthogonal(),
    }
    keys = dict(zip(drawn, jax.random.split(key, len(drawn)), strict=True))

    def draw(path, leaf):
        name = path_name(path)
        return drawn[name](keys[name], leaf.shape, leaf.dtype) if name in drawn else leaf

    return jax.tree.map_with_path(draw, params)


def phased_training(config: Config, cell: Cell, tokens: Int[Array, " N"]) -> Training:
    """All phases on the windows of `tokens`; each begins with a fresh optimizer."""
    window, schedule = config.gradient.window, config.gradient.schedule
    xs, targets = windows_of(tokens, window)
    count, total = len(targets), sum(config.most_epochs)
    optimizer = runs.configured_optimizer(config.optimizer, total)
    rates, phases = jnp.array(config.learning_rate, jnp.float32), len(config.most_epochs)
    limits, patience = jnp.array(config.most_epochs), jnp.array(config.patience)

    def fresh(params, rate):
        return with_learning_rate(optimizer.init(params), rate)

    def init(key, learning_rate):
        key_params, key_weights, key_training = jax.random.split(key, 3)
        params = cell.init(key_params)
        if config.model.init == "published":
            params = as_keras_begins(key_weights, params)
        rate, none = jnp.asarray(learning_rate, jnp.float32), jnp.int32(0)
        progress = Progress(params, jnp.float32(-1), none, none, none, jnp.zeros(2))
        return TrainState(params, fresh(params, rate), progress, key_training, none, none)

    def losses_of(params, key, places, weights):
        keys = jax.random.split(key, len(places))
        carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)
        _, logits = unroll(cell, params, carry, xs[:, places], schedule=schedule)
        last, wanted = logits[-1], targets[places]
        correct = (last.argmax(-1) == wanted).astype(jnp.float32) @ weights
        total = cross_entropy(last, wanted) @ weights
        return total / weights.sum(), jnp.stack([total, correct])

    def epoch(size, params, opt_state, order, key):
        slots = -(-count // size) * size
        # what fills the last batch up has no weight
        rows = jnp.pad(order, (0, slots - count)).reshape(-1, size)
        weights = jnp.asarray(np.arange(slots).reshape(-1, size) < count, jnp.float32)

        def update(trained, batch):
            params, opt_state = trained
            number, *rest = batch
            losses = jax.value_and_grad(losses_of, has_aux=True)
            (loss, sums), grads = losses(params, jax.random.fold_in(key, number), *rest)
            updates, opt_state = updates_of(optimizer, grads, opt_state, params, loss)
            return (optax.apply_updates(params, updates), opt_state), sums

        batches = jnp.arange(len(rows)), rows, weights
        trained, sums = lax.scan(update, (params, opt_state), batches)
        return trained, sums.sum(0) / count

    sizes = sorted(set(config.batch_size))
    epochs = [partial(epoch, size) for size in sizes]
    which = jnp.array([sizes.index(size) for size in config.batch_size])
    drawn = jnp.array(config.shuffled)

    def train(state):
        progress, phase = state.carry, state.carry.phase
        key_order, key_carries = jax.random.split(jax.random.fold_in(state.key, state.step))
        order = jnp.where(drawn[phase], jax.random.permutation(key_order, count), jnp.arange(count))
        (params, opt_state), latest = lax.switch(
            which[phase], epochs, state.params, state.opt_state, order, key_carries
        )
        better = latest[1] > progress.accuracy
        best = _choose(better, params, progress.best)
        waited = jnp.where(better, 0, progress.waited + 1)
        epoch = progress.epoch + 1
        early = (patience[phase] > 0) & (waited >= patience[phase])
        ended = early | (epoch >= limits[phase])
        # without patience a phase keeps what it ends with
        params = _choose(ended & (patience[phase] > 0), best, params)
        now = optax.tree.get(opt_state, "learning_rate")
        # relative to the first phase's, so that a sweep over learning rates scales all of them
        rate = now * rates[jnp.minimum(phase + 1, phases - 1)] / rates[phase]
        opt_state = _choose(ended, fresh(params, rate), opt_state)
        progress = Progress(
            best=_choose(ended, params, best),
            accuracy=jnp.where(ended, -1, jnp.where(better, latest[1], progress.accuracy)),
            waited=jnp.where(ended, 0, waited),
            phase=phase + ended.astype(jnp.int32),
            epoch=jnp.where(ended, 0, epoch),
            latest=latest,
        )
        return state._replace(params=params, opt_state=opt_state, carry=progress)

    def chunk(state: TrainState):
        phase = state.carry.phase
        state = lax.cond(phase < phases, train, lambda state: state, state)
        state = state._replace(step=state.step + 1, position=(state.position + 1) % total)
        loss, accuracy = state.carry.latest
        found = {"loss": loss, "accuracy": accuracy, "phase": phase, "step": state.step}
        return state, jax.tree.map(lambda a: a[None], found)

    # a step of the log is an epoch, so what is looked at is all windows: each scores its last step
    last = stateless(tbptt(cell, cross_entropy, window=window, stride=1))
    batch = Batch(xs, targets[None])
    ingredients = Ingredients(cell, cross_entropy, last, optimizer, lambda: batch, token_vectors)
    return Training(init, chunk, total, total, ingredients)


def _choose(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
