"""What is trained on: the words of a text, its characters, the toy task; and a training of it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.truncation.config import Config
from experiments.truncation.variants import Variant
from jaxrnn.base import Batch, GradientEstimator, Key, Metrics, Params, require_positive
from jaxrnn.data import (
    TOY,
    Streams,
    Vocabulary,
    is_here,
    lag_sequence,
    num_segments,
    segment,
    streams,
    text_streams,
)
from jaxrnn.gradients import STYLES
from jaxrnn.models import TokenModel, build_model, cross_entropy, token_vectors
from jaxrnn.optimizers import clipped_adam
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs.loop import Setting
from jaxrnn.runs.text import Text, read_text
from jaxrnn.training import Parts, Training, epoch_chunk, evaluate, init_state, make_train_step
from jaxrnn.unroll import Schedule


class Task(NamedTuple):
    """A model and its data.

    Attributes:
      model: tokens to logits.
      rows: `key -> Streams` of an epoch.
      valid: sequences to validate on.
      batch_size: of the rows.
      vocabulary: of the text, where it is one.
    """

    model: TokenModel
    rows: Callable[[Key], Streams]
    valid: Batch
    batch_size: int
    vocabulary: Vocabulary | None = None


def usual_corpus() -> str:
    """The Penn Treebank, which the post is about, where it was fetched before; it is not openly
    licensed, so nobody gets it unasked."""
    return "ptb" if is_here("ptb") else "sherlock"


def read_words(config: Config) -> Text:
    """The corpus as words, the Penn Treebank as the tokens that it is made of."""
    level = "token" if config.corpus == "ptb" else "word"
    fraction, limit = config.valid_fraction, config.limit
    text = read_text(config.corpus, level, valid_fraction=fraction, limit=limit)
    if config.tokens is not None:
        require_positive(tokens=config.tokens)
    return text._replace(train=text.train[: config.tokens])


def word_task(config: Config) -> Task:
    """The post's model on the words of the corpus."""
    words = read_words(config)
    model = TokenModel(
        vocab_size=words.vocabulary.size,
        output_size=words.vocabulary.size,
        cell=config.cell,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
        dropout=config.dropout,
        init=config.init,
        precision=config.precision,
    )
    return _text_task(model, words, config.batch_size)


def character_task(config: Config) -> Task:
    """A small model of the corpus's characters: one on which even the styles that carry an
    influence of every weight can be had."""
    require_positive(text_tokens=config.text_tokens)
    fraction, limit = config.valid_fraction, config.text_limit
    text = read_text(config.corpus, "character", valid_fraction=fraction, limit=limit)
    model = TokenModel(
        vocab_size=text.vocabulary.size,
        output_size=text.vocabulary.size,
        cell=config.cell,
        hidden_size=config.text_hidden,
        precision=config.precision,
    )
    train, valid = text.train[: config.text_tokens], text.valid[: config.text_tokens // 4]
    if config.text_tokens // 4 < 2:
        raise ValueError(
            f"--text-tokens is {config.text_tokens}, a quarter as many are held out; give 8 or more"
        )
    return _text_task(model, text._replace(train=train, valid=valid), config.text_batch)


def _text_task(model: TokenModel, text: Text, batch_size: int) -> Task:
    train, valid = text.train, text.valid
    if len(valid) < 2:
        raise ValueError("--valid-fraction holds out no text; give more, or a longer text")
    rows = Streams(*map(jnp.asarray, text_streams(train, batch_size)))
    held_out = text_streams(valid, min(batch_size, len(valid) // 2))
    batch = Batch(*map(jnp.asarray, held_out))
    return Task(model, lambda key: rows, batch, batch_size, text.vocabulary)


def toy_task(config: Config) -> Task:
    """The toy task with both of its dependencies; every epoch a new sequence."""
    require_positive(toy_length=config.toy_length, toy_batch=config.toy_batch)

    def rows(key):
        drawn = lag_sequence(TOY, key, config.toy_length * config.toy_batch)
        return Streams(*(streams(a, config.toy_batch) for a in drawn))

    # a sequence that no training sees: no epoch has this key
    drawn = rows(jax.random.fold_in(jax.random.key(0), 2**31 - 1))
    valid = jax.tree.map(lambda a: a[: max(config.toy_length // 4, 1)], drawn)
    model = TokenModel(
        vocab_size=2,
        output_size=2,
        cell=config.cell,
        hidden_size=config.toy_hidden,
        precision=config.precision,
    )
    return Task(model, rows, Batch(*valid), config.toy_batch)


def make_training(
    task: Task,
    variant: Variant,
    *,
    epochs: int,
    log_every: int | None = None,
    devices: Devices = (),
    schedule: Schedule = "auto",
    adjusted: Callable[[GradientEstimator], GradientEstimator] = lambda estimator: estimator,
) -> Training:
    """A training of `task` by one style: Adam without clipping, as the post's. A chunk is an epoch,
    or `log_every` training steps of it; `adjusted` has the last word on the estimator."""
    require_positive(epochs=epochs, num_steps=variant.num_steps)
    cell = build_model(task.model, training=True)
    style = STYLES[variant.style](
        cell, cross_entropy, variant.window, variant.stride, schedule=schedule
    )
    estimator = batch_parallel(adjusted(style), devices)
    optimizer = clipped_adam(max_norm=None)
    num_steps, history = variant.num_steps, variant.history

    def epoch_data(key):
        rows = task.rows(key)
        return lambda position: segment(rows, position, num_steps, history)

    shapes = jax.eval_shape(task.rows, jax.random.key(0))
    steps_per_epoch = num_segments(shapes, num_steps, history)
    chunks_per_epoch = -(-steps_per_epoch // log_every) if log_every else 1
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        epoch_data,
        steps_per_epoch=steps_per_epoch,
        batch_size=task.batch_size,
        chunks_per_epoch=chunks_per_epoch,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, task.batch_size, learning_rate)

    parts = Parts(
        cell=cell,
        objective=cross_entropy,
        estimator=estimator,
        optimizer=optimizer,
        batch=lambda: epoch_data(jax.random.key(0))(jnp.int32(0)),
        vectors=token_vectors,
    )
    return Training(init, chunk, epochs * chunks_per_epoch, steps_per_epoch, parts)


def make_validate(task: Task) -> Callable[[Params], Metrics]:
    """`params -> {"valid_loss"}`, nats per time step."""
    cell = build_model(task.model)

    def validate(params):
        key = jax.random.key(0)  # the evaluation model draws nothing
        return {"valid_loss": evaluate(cell, cross_entropy, params, key, task.valid)}

    return validate


class Trained(NamedTuple):
    """A training of the run with what its rows say of it."""

    part: str
    task: Task
    variant: Variant
    setting: Setting

    @property
    def bounded(self) -> bool:
        """Whether its style reads the window."""
        return "window" in STYLES[self.variant.style].integers

    @property
    def targets_per_update(self) -> int:
        return self.variant.num_steps * self.task.batch_size
