"""The pure functions of a training, and of its validation, from a config with one cell."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.char.config import Config, each_setting
from jaxrnn.base import Batch, Metrics, Params, require_positive
from jaxrnn.data import Streams, Vocabulary, capital_table, num_segments, segment, text_streams
from jaxrnn.gradients.configured import configured_estimator, configured_weight_drop
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.optimizers import OPTIMIZERS, Optimizer, clipped_adam, decaying
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs.text import Text, read_text
from jaxrnn.training import (
    Training,
    dynamic_evaluate,
    epoch_chunk,
    evaluate,
    init_state,
    make_train_step,
)


def characters(config: Config) -> Text:
    """The config's corpus as characters."""
    fraction, limit = config.valid_fraction, config.limit
    return read_text(config.corpus, "character", valid_fraction=fraction, limit=limit)


def make_model(config: Config, vocabulary: Vocabulary) -> TokenModel:
    return TokenModel(
        vocab_size=vocabulary.size,
        output_size=vocabulary.size,
        cell=config.cell,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        embedding_size=config.embedding_size,
        dropout=config.dropout,
        connect=config.connect,
        dropout_kind=config.dropout_kind,
        # the carry goes on from one training step to the next, and each draws its masks anew
        dropout_hold=config.num_steps if config.dropout_kind == "variational" else 0,
        zoneout=config.zoneout,
        tied=config.tied,
        learnt_carry=config.learnt_carry,
        init=config.init,
        precision=config.precision,
        capitals=capital_table(vocabulary) if config.capitals == "flag" else (),
    )


def make_train(config: Config, devices: Devices = ()) -> Training:
    """Training on the config's text, of several cells with the first; over several `devices` the
    batch is divided."""
    config = each_setting(config)[0]
    require_positive(log_every=config.log_every, epochs=config.epochs, num_steps=config.num_steps)
    num_steps, history = config.num_steps, config.history
    text = characters(config)
    cell = build_model(make_model(config, text.vocabulary), training=True)
    rows = text_streams(text.train, config.batch_size)
    steps_per_epoch = num_segments(rows, num_steps, history)
    style = configured_estimator(
        config, cell, cross_entropy, num_steps=num_steps, length=len(rows.inputs)
    )
    estimator = batch_parallel(configured_weight_drop(style, config.weight_drop, cell), devices)
    optimizer = decaying(
        _optimizer(config), config.decay, config.epochs * steps_per_epoch, warmup=config.warmup
    )
    chunks_per_epoch = -(-steps_per_epoch // config.log_every)
    on_device = Streams(*map(jnp.asarray, rows))
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        lambda key: lambda position: segment(on_device, position, num_steps, history),
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        chunks_per_epoch=chunks_per_epoch,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, config.batch_size, learning_rate)

    return Training(init, chunk, config.epochs * chunks_per_epoch, steps_per_epoch)


def make_validate(config: Config) -> Callable[[Params], Metrics]:
    """`params -> {"valid_loss"}` in nats per character; `{}` where too little text is held out."""
    text = characters(config)
    batch_size = min(config.batch_size, len(text.valid) // 2)
    if batch_size < 1:
        return lambda params: {}
    cell = build_model(make_model(config, text.vocabulary))
    inputs, targets = text_streams(text.valid, batch_size)
    batch = Batch(jnp.asarray(inputs), jnp.asarray(targets))

    def validate(params):
        key = jax.random.key(0)  # the evaluation model draws nothing
        loss = evaluate(cell, cross_entropy, params, key, batch, num_steps=config.num_steps)
        return {"valid_loss": loss}

    return validate


def make_dynamic(config: Config) -> Callable[[Params], Array]:
    """`params -> loss` in nats per character of the held-out text as one stream, which the model
    learns as it goes: Adam, clipped as in training.

    Raises:
      ValueError: a rate below 0, updates after no characters, or too little text held out.
    """
    require_positive(dynamic_steps=config.dynamic_steps)
    if not 0 <= config.dynamic_rate < math.inf:
        raise ValueError(f"--dynamic-rate is {config.dynamic_rate}; give 0 or more")
    text = characters(config)
    if len(text.valid) < 2:
        raise ValueError(
            f"--dynamic-rate is {config.dynamic_rate}, and no text is held out to evaluate on; "
            "give a larger --valid-fraction, or --dynamic-rate 0"
        )
    cell = build_model(make_model(config, text.vocabulary))
    inputs, targets = text_streams(text.valid, 1)
    batch = Batch(jnp.asarray(inputs), jnp.asarray(targets))
    optimizer = clipped_adam(config.dynamic_rate, config.max_norm)

    def loss(params):
        key = jax.random.key(0)  # the evaluation model draws nothing
        steps = config.dynamic_steps
        return dynamic_evaluate(cell, cross_entropy, optimizer, params, key, batch, num_steps=steps)

    return loss


def _optimizer(config: Config) -> Optimizer:
    build = partial(OPTIMIZERS[config.optimizer], max_norm=config.max_norm)
    if config.weight_decay is None:
        return build()
    if config.optimizer != "adamw":
        raise ValueError(
            f"--weight-decay is {config.weight_decay}, and {config.optimizer} has none; "
            "give --optimizer adamw, or leave it out"
        )
    if not 0 <= config.weight_decay < math.inf:
        raise ValueError(f"--weight-decay is {config.weight_decay}; give 0 or more")
    return build(weight_decay=config.weight_decay)
