"""Training steps on the rows that a batch reads, against those on whole tables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tiers import mostly_full

from jaxrnn.base import Batch
from jaxrnn.candidates import draw_negatives, noise_contrastive, sampled_softmax
from jaxrnn.gradients import bptt, stateless, tbptt
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import clipped_adam, clipped_momentum
from jaxrnn.rows import narrow, narrowed, row_momentum, spread, take
from jaxrnn.training import epoch_chunk, init_state, make_train_step

VOCAB_SIZE, BATCH_SIZE, NUM_STEPS, EPOCH = 50, 3, 4, 6
MODEL = TokenModel(
    VOCAB_SIZE, VOCAB_SIZE, "elman", hidden_size=5, embedding_size=4, dense_size=6, init="published"
)
CELL = build_model(MODEL)
BOTH = ("embed", "head")


# Drawn once, so that no chunk compiles the draws: of few words, so that some come again and most
# never do.
TOKENS = np.random.default_rng(1).integers(0, 20, (EPOCH, NUM_STEPS + 1, BATCH_SIZE))


def batch_at(position):
    tokens = jnp.asarray(TOKENS, jnp.int32)[position]
    return Batch(tokens[:-1], tokens[1:])


def negatives(count):
    return jax.jit(lambda: draw_negatives(jax.random.key(1), VOCAB_SIZE, count))()


def narrowed_at(tables):
    every = jax.jit(jax.vmap(lambda key: draw_negatives(key, VOCAB_SIZE, 7)))(
        jax.random.split(jax.random.key(2), EPOCH)
    )

    def at(position):
        drawn = jax.tree.map(lambda a: a[position], every)
        return narrow(batch_at(position), VOCAB_SIZE, tables, drawn)

    return lambda key: at


def chunk_of(train_step, estimator, epoch_data):
    return epoch_chunk(
        train_step,
        estimator,
        epoch_data,
        steps_per_epoch=EPOCH,
        batch_size=BATCH_SIZE,
        chunks_per_epoch=2,
    )


def begun(estimator, optimizer):
    return init_state(CELL, estimator, optimizer, jax.random.key(4), BATCH_SIZE, 0.3)


def trained(chunk, state, chunks=5):
    """Two epochs and a half."""
    losses, chunk = [], jax.jit(chunk)
    for _ in range(chunks):
        state, metrics = chunk(state)
        losses.append(metrics)
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *losses)


CASES = {
    "nce": (noise_contrastive, BOTH),
    "sampled": (sampled_softmax, BOTH),
    "full": (cross_entropy, ("embed",)),
}


@pytest.mark.parametrize("max_norm", mostly_full([None, 0.05], 0.05))
@pytest.mark.parametrize("name", mostly_full(CASES, "sampled"))
def test_steps_by_rows_are_those_on_whole_tables(name, max_norm):
    """Over chunks and epochs, params, velocities, carry and metrics. Words that are not read move
    by momentum alone, and where nothing has moved, not at all."""
    objective, tables = CASES[name]
    estimator, optimizer = (
        bptt(CELL, objective, schedule="scan"),
        clipped_momentum(0.3, max_norm, 0.8),
    )
    plain, first = narrowed(estimator), begun(estimator, optimizer)
    step = make_train_step(plain, optimizer)
    expected = trained(chunk_of(step, plain, narrowed_at(tables)), first)
    by_rows = row_momentum(CELL, estimator, optimizer, 0.8, tables)
    chunk = by_rows.within(chunk_of(by_rows.train_step, by_rows.estimator, narrowed_at(tables)))
    found = trained(chunk, first)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(_close, found, expected)
    before, after = (np.asarray(params["embed"]["w"]) for params in (first.params, found[0].params))
    still = np.arange(20, VOCAB_SIZE)  # no batch has these words
    np.testing.assert_array_equal(after[still], before[still])
    assert (after != before).any()


def _close(found, expected):
    if jnp.issubdtype(found.dtype, jax.dtypes.prng_key):
        found, expected = map(jax.random.key_data, (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def narrowed_batch(tables=BOTH, count=7) -> Any:
    drawn = negatives(count)
    return jax.jit(lambda drawn: narrow(batch_at(0), VOCAB_SIZE, tables, drawn))(drawn)


@pytest.mark.parametrize(
    "objective", mostly_full([noise_contrastive, sampled_softmax], noise_contrastive)
)
def test_gradients_touch_only_what_was_read(objective):
    batch, plain = narrowed_batch(), batch_at(0)
    params = CELL.init(jax.random.key(0))
    estimator = narrowed(bptt(CELL, objective, schedule="scan"))
    carry = estimator.init(params, jax.random.key(0), BATCH_SIZE)
    grads, _, _ = jax.jit(estimator.estimate)(params, carry, batch)
    drawn = negatives(7).ids
    read = np.union1d(plain.targets, drawn)
    for touched, words in (
        (np.asarray(grads["embed"]["w"]).any(1), np.unique(plain.inputs)),
        (np.asarray(grads["head"]["w"]).any(0), read),
        (np.asarray(grads["head"]["b"]) != 0, read),
    ):
        np.testing.assert_array_equal(np.flatnonzero(touched), words)


def test_negatives_are_the_words_that_were_drawn():
    """And no target but one that was drawn as well."""
    batch = narrowed_batch()
    expected = np.isin(batch.rows["head"], negatives(7).ids)
    assert not expected.all()
    for each in np.asarray(batch.batch.targets.negative).reshape(-1, len(expected)):
        np.testing.assert_array_equal(each, expected)


@pytest.mark.full
def test_every_word_as_a_negative_is_the_whole_softmax():
    """Loss and gradients of the model that was never narrowed."""
    params, plain = CELL.init(jax.random.key(0)), batch_at(0)
    batch = narrowed_batch(count=VOCAB_SIZE)
    of_rows, whole = narrowed(bptt(CELL, sampled_softmax)), bptt(CELL, cross_entropy)
    carry = whole.init(params, jax.random.key(0), BATCH_SIZE)
    found, expected = of_rows.estimate(params, carry, batch), whole.estimate(params, carry, plain)
    jax.tree.map(_close, found, expected)


@pytest.mark.full
def test_an_embedding_that_is_tied_to_the_head():
    """One table, with the rows that are read and those that are predicted; all words as negatives
    are the whole softmax here, too, and steps by rows those on whole tables."""
    model = TokenModel(VOCAB_SIZE, VOCAB_SIZE, "elman", hidden_size=5, embedding_size=5, tied=True)
    cell, plain = build_model(model), batch_at(0)
    optimizer, estimator = (
        clipped_momentum(0.3, None, 0.8),
        bptt(cell, sampled_softmax, schedule="scan"),
    )
    of_rows, whole = narrowed(estimator), bptt(cell, cross_entropy, schedule="scan")
    by_rows = row_momentum(cell, estimator, optimizer, 0.8, ("head",))
    state = init_state(cell, estimator, optimizer, jax.random.key(4), BATCH_SIZE, 0.3)

    drawn = {count: negatives(count) for count in (4, VOCAB_SIZE)}

    def narrowed_to(count) -> Any:
        return narrow(plain, VOCAB_SIZE, ("head",), drawn[count], tied=True)

    def twice(step):
        return lambda state: lax.scan(lambda state, _: step(state, narrowed_to(4)), state, length=2)

    @jax.jit
    def compared(state):
        return (
            of_rows.estimate(state.params, state.carry, narrowed_to(VOCAB_SIZE)),
            whole.estimate(state.params, state.carry, plain),
            by_rows.within(twice(by_rows.train_step))(state),
            twice(make_train_step(of_rows, optimizer))(state),
        )

    of_all, expected, found, plainly = compared(state)
    jax.tree.map(_close, of_all, expected)
    jax.tree.map(_close, found, plainly)


def test_a_window_is_the_last_output_alone():
    """19 words before it and its own: the published model's training step."""
    params = CELL.init(jax.random.key(0))
    tokens = jnp.asarray(np.random.default_rng(2).integers(0, 20, (6, BATCH_SIZE)), jnp.int32)
    plain = Batch(tokens[:-1], tokens[-1:])
    drawn = negatives(7)
    batch: Any = jax.jit(lambda plain: narrow(plain, VOCAB_SIZE, BOTH, drawn))(plain)
    window = tbptt(CELL, sampled_softmax, window=5, stride=1, schedule="scan")
    style = narrowed(stateless(window))
    carry = style.init(params, jax.random.key(0), BATCH_SIZE)
    found, _, metrics = jax.jit(style.estimate)(params, carry, batch)

    def loss(params):
        small = take(params, batch.rows)

        def last(tokens):
            carry = CELL.init_carry(small, jax.random.key(0))
            return lax.scan(lambda c, token: CELL.step(small, c, token), carry, tokens)[1][-1]

        outputs = jax.vmap(last, in_axes=1)(batch.batch.inputs)
        return sampled_softmax(outputs[None], batch.batch.targets).mean()

    value, expected = jax.jit(jax.value_and_grad(loss))(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    jax.tree.map(_close, found, expected)


def test_spreading_takes_back_what_was_taken():
    params, rows = CELL.init(jax.random.key(0)), narrowed_batch().rows
    back = spread(take(params, rows), params, rows)
    words = np.unique(batch_at(0).inputs)
    for name in ("w_ih", "b"):
        np.testing.assert_array_equal(
            getattr(back["layer_1"], name), getattr(params["layer_1"], name)
        )
    expected = np.zeros((VOCAB_SIZE, 4), np.float32)
    expected[words] = params["embed"]["w"][words]
    np.testing.assert_array_equal(back["embed"]["w"], expected)


def test_a_head_is_narrowed_with_negatives_alone():
    with pytest.raises(ValueError, match="negatives are None"):
        narrow(batch_at(0), VOCAB_SIZE, BOTH)


@pytest.mark.parametrize("momentum", [1.0, -0.1])
def test_a_momentum_that_never_ends(momentum):
    optimizer = clipped_momentum(0.3, None, momentum)
    with pytest.raises(ValueError, match=f"momentum is {momentum}; give at least 0"):
        row_momentum(CELL, bptt(CELL, cross_entropy), optimizer, momentum, ("embed",))


@pytest.mark.full
def test_other_optimizers_take_whole_tables():
    estimator, optimizer = narrowed(bptt(CELL, noise_contrastive)), clipped_adam(0.01)
    chunk = chunk_of(make_train_step(estimator, optimizer), estimator, narrowed_at(BOTH))
    state, metrics = trained(chunk, begun(estimator, optimizer), chunks=8)
    assert state.step == 4 * EPOCH
    assert metrics["loss"][-EPOCH:].mean() < metrics["loss"][:EPOCH].mean()
