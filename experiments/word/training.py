"""The pure functions of a training, and of its validation, from a config of one setting."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from experiments.word.config import Config
from experiments.word.study import watched
from jaxrnn.base import Batch, Cell, GradientEstimator, Key, Metrics, Params, require_positive
from jaxrnn.candidates import CANDIDATE_LOSSES, draw_negatives
from jaxrnn.data import Streams, Vocabulary, num_segments, segment, text_streams
from jaxrnn.gradients import stateless
from jaxrnn.gradients.configured import configured_estimator, configured_weight_drop
from jaxrnn.models import TokenModel, build_model, cross_entropy, token_vectors
from jaxrnn.optimizers import OPTIMIZERS, Optimizer, clipped_momentum, decaying
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.rows import narrow, narrowed, row_momentum
from jaxrnn.runs.text import Text, read_text
from jaxrnn.training import Parts, Training, epoch_chunk, evaluate, init_state, make_train_step
from jaxrnn.unroll import unroll_last


def words_of(config: Config) -> Text:
    """The config's corpus as words, or as the tokens that the Penn Treebank is made of."""
    level = "token" if config.corpus == "ptb" else "word"
    return read_text(config.corpus, level, valid_fraction=config.valid_fraction, limit=config.limit)


def make_model(config: Config, vocabulary: Vocabulary) -> TokenModel:
    require_positive(embedding_size=config.embedding_size)
    return TokenModel(
        vocab_size=vocabulary.size,
        output_size=vocabulary.size,
        cell=config.cell,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        embedding_size=config.embedding_size,
        dense_size=config.dense_size,
        dropout=config.dropout,
        dropout_kind=config.dropout_kind,
        # in streams the carry goes on, and each training step draws its masks anew
        dropout_hold=config.num_steps if config.reading == "streams" else 0,
        tied=config.tied,
        init=config.init,
        precision=config.precision,
    )


def make_train(config: Config, devices: Devices = ()) -> Training:
    """Training on the config's text; over several `devices` the batch is divided."""
    require_positive(log_every=config.log_every, epochs=config.epochs, num_steps=config.num_steps)
    text = words_of(config)
    cell = build_model(make_model(config, text.vocabulary), training=True)
    rows = text_streams(text.train, config.batch_size)
    windows = config.reading == "windows"
    # a window of history and one word that predicts is a segment of one time step
    scored, history = (1, config.num_steps - 1) if windows else (config.num_steps, 0)
    steps_per_epoch = num_segments(rows, scored, history)
    estimator = batch_parallel(make_estimator(config, cell, len(rows.inputs)), devices)
    optimizer = make_optimizer(config, steps_per_epoch)
    tables = narrowed_tables(config, text.vocabulary)
    on_device = Streams(*map(jnp.asarray, rows))

    def epoch_data(key: Key) -> Callable[[Any], Any]:
        key_order, key_negatives = jax.random.split(key)
        order = jnp.arange(steps_per_epoch)
        if windows:
            order = jax.random.permutation(key_order, order)

        def batch_at(position):
            batch = segment(on_device, order[position], scored, history)
            if not tables:
                return batch
            drawn = None
            if "head" in tables:
                key = jax.random.fold_in(key_negatives, position)
                drawn = draw_negatives(key, text.vocabulary.size, config.negatives)
            return narrow(batch, text.vocabulary.size, tables, drawn, tied=config.tied)

        return batch_at

    chunks_per_epoch = -(-steps_per_epoch // config.log_every)

    def chunk_of(train_step, estimator):
        return epoch_chunk(
            train_step,
            estimator,
            epoch_data,
            steps_per_epoch=steps_per_epoch,
            batch_size=config.batch_size,
            chunks_per_epoch=chunks_per_epoch,
        )

    if tables and goes_by_rows(config):
        by_rows = row_momentum(cell, estimator, optimizer, config.momentum, tables)
        chunk = by_rows.within(chunk_of(by_rows.train_step, by_rows.estimator))
    else:
        whole = narrowed(estimator) if tables else estimator
        chunk = chunk_of(make_train_step(whole, optimizer), whole)

    if config.study != "none":
        chunk = watched(chunk, config, some_windows(text.train, config))

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, config.batch_size, learning_rate)

    # a sampled loss trains a narrowed model; what is looked at is the whole one, by its full loss
    full = make_estimator(replace(config, loss="full"), cell, len(rows.inputs))
    parts = Parts(
        cell=cell,
        objective=cross_entropy,
        estimator=batch_parallel(full, devices),
        optimizer=optimizer,
        batch=lambda: segment(on_device, jnp.int32(0), scored, history),
        vectors=token_vectors,
    )
    return Training(init, chunk, config.epochs * chunks_per_epoch, steps_per_epoch, parts)


WATCHED = 64
"""Windows on which units are looked at."""


def some_windows(tokens: np.ndarray, config: Config) -> Array:
    """The first windows of the text, [T, W]."""
    count = min(WATCHED, len(tokens) // config.num_steps)
    return jnp.asarray(tokens[: count * config.num_steps].reshape(count, config.num_steps).T)


def make_estimator(config: Config, cell: Cell, length: int) -> GradientEstimator:
    """The config's style and loss; where tables are narrowed, on narrowed params and batches."""
    windows = config.reading == "windows"
    if windows and config.estimator not in ("tbptt", "stateless"):
        raise ValueError(
            f"--estimator is {config.estimator}, which scores every word that it reads; "
            "give --reading streams, or --estimator tbptt"
        )
    if windows:
        window, stride = config.window or config.num_steps, config.stride or 1
        config = replace(config, window=window, stride=stride)
    objective = CANDIDATE_LOSSES.get(config.loss, cross_entropy)
    style = configured_estimator(config, cell, objective, num_steps=config.num_steps, length=length)
    dropped = configured_weight_drop(style, config.weight_drop, cell)
    return stateless(dropped) if windows else dropped


def make_optimizer(config: Config, steps_per_epoch: int) -> Optimizer:
    if config.optimizer == "momentum":
        optimizer = clipped_momentum(max_norm=config.max_norm, momentum=config.momentum)
    else:
        optimizer = OPTIMIZERS[config.optimizer](max_norm=config.max_norm)
    training_steps = config.epochs * steps_per_epoch
    return decaying(optimizer, config.decay, training_steps, warmup=config.warmup)


def narrowed_tables(config: Config, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The tables of which a training step reads some rows alone.

    Raises:
      ValueError: no negatives, or more than words.
    """
    if config.loss == "full":
        # the whole head is read anyway, and with it an embedding that is tied to it
        return ("embed",) if goes_by_rows(config) and not config.tied else ()
    if not 1 <= config.negatives <= vocabulary.size:
        raise ValueError(
            f"--negatives is {config.negatives}, the vocabulary has {vocabulary.size} words; "
            f"give 1 to {vocabulary.size}, or --loss full"
        )
    return ("head",) if config.tied else ("embed", "head")


def goes_by_rows(config: Config) -> bool:
    """Whether the optimizer can leave alone the rows that are not read: a momentum whose learning
    rate stays what it is."""
    return config.optimizer == "momentum" and config.decay == "none" and not config.warmup


def make_validate(config: Config) -> Callable[[Params], Metrics]:
    """`params -> {"valid_loss"}`, nats per word by the whole softmax, read as in training; `{}`
    where too little text is held out."""
    text = words_of(config)
    cell = build_model(make_model(config, text.vocabulary))
    key = jax.random.key(0)  # the evaluation model draws nothing
    if config.reading == "windows":
        if len(text.valid) <= config.num_steps:
            return lambda params: {}
        tokens = jnp.asarray(text.valid)
        return lambda params: {
            "valid_loss": _evaluate_windows(cell, params, key, tokens, config.num_steps)
        }
    batch_size = min(config.batch_size, len(text.valid) // 2)
    if batch_size < 1:
        return lambda params: {}
    batch = Batch(*map(jnp.asarray, text_streams(text.valid, batch_size)))
    return lambda params: {
        "valid_loss": evaluate(cell, cross_entropy, params, key, batch, num_steps=config.num_steps)
    }


AT_ONCE = 256
"""Windows of a validation that are read side by side."""


def _evaluate_windows(cell: Cell, params: Params, key: Key, tokens: Array, num_steps: int) -> Array:
    """Mean loss of the word behind every window of the text."""
    starts = jnp.arange(len(tokens) - num_steps)
    count = len(starts)
    groups = -(-count // AT_ONCE)
    # the last group is filled up, and what fills it does not count
    starts = jnp.pad(starts, (0, groups * AT_ONCE - count)).reshape(groups, AT_ONCE)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, jax.random.split(key, AT_ONCE))

    def losses(starts):
        inputs = tokens[starts[None] + jnp.arange(num_steps)[:, None]]
        _, (logits,) = unroll_last(cell, params, carry, inputs, 1)
        return cross_entropy(logits, tokens[starts + num_steps])

    return lax.map(losses, starts).ravel()[:count].mean()
