"""From the config of one setting to its training run, its validation and its samples; and what the
study of saturation looks at meanwhile."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.word.config import Config
from jaxrnn import runs
from jaxrnn.analysis.saturation import PINNED, saturation
from jaxrnn.base import Cell, GradientEstimator, Key, Metrics, Params, TrainState, require_positive
from jaxrnn.candidates import CANDIDATE_LOSSES, draw_negatives
from jaxrnn.cell_files import find_cell
from jaxrnn.data import num_segments, text_streams
from jaxrnn.evaluation import held_out, validation, window_validation
from jaxrnn.gradients import STYLES, stateless
from jaxrnn.models import build_model, cross_entropy, token_vectors
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.rows import narrow, narrowed, row_momentum
from jaxrnn.runs.sampling import require_sample_length
from jaxrnn.training import Training, stream_training
from jaxrnn.unroll import unroll


def words_of(config: Config) -> runs.Text:
    """The config's corpus as words, or as the tokens that the Penn Treebank is made of."""
    return runs.configured_text(config.text, "token" if config.text.corpus == "ptb" else "word")


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    text, steps, loop = words_of(config), config.num_steps, config.loop
    require_positive(embedding_size=config.model.embedding_size, num_steps=steps)
    windows = config.reading == "windows"
    # in streams the carry goes on, and each training step draws its masks anew
    held, dense, size = 0 if windows else steps, config.dense_size, text.vocabulary.size
    model = runs.token_model(config.model, size, num_steps=held, dense_size=dense)
    cell, batch = build_model(model), held_out(text.valid, loop.batch_size)
    validate = validation(cell, cross_entropy, batch, num_steps=steps)
    if windows:
        validate = window_validation(cell, cross_entropy, text.valid, num_steps=steps)
    return runs.Setting(
        model=model,
        training=make_training(config, build_model(model, training=True), text, devices),
        learning_rate=config.optimizer.learning_rate,
        epochs=loop.epochs,
        validate=validate,
        vocabulary=text.vocabulary,
        texts=text.sha256,
        sample=make_sample(config, cell, text),
    )


def make_training(config: Config, cell: Cell, text: runs.Text, devices: Devices) -> Training:
    """Training `cell` on the text; over several `devices` the batch is divided."""
    gradient, loop, steps = config.gradient, config.loop, config.num_steps
    require_positive(epochs=loop.epochs)
    rows, size = text_streams(text.train, loop.batch_size), text.vocabulary.size
    windows = config.reading == "windows"
    # a window of history and one word that predicts is a segment of one time step
    scored, history = 1 if windows else steps, gradient.history
    training_steps = loop.epochs * num_segments(rows, scored, history)
    optimizer = runs.configured_optimizer(config.optimizer, training_steps)

    def estimator_of(loss: str) -> GradientEstimator:
        objective = CANDIDATE_LOSSES.get(loss, cross_entropy)
        # a mask is that of a training step: around `stateless`, which begins every window anew
        rate, length = config.model.weight_drop, len(rows.inputs)
        given = {"length": length, "rate": 0.0 if windows else rate}
        style = runs.configured_estimator(gradient, cell, objective, num_steps=steps, **given)
        if windows:
            style = runs.configured_weight_drop(stateless(style), rate, cell)
        return batch_parallel(style, devices)

    rule, estimator = config.optimizer, estimator_of(config.loss)
    # a momentum whose learning rate stays what it is can leave alone the rows that are not read
    by_rows = rule.optimizer == "momentum" and rule.decay == "none" and not rule.warmup
    tables = narrowed_tables(config, size, by_rows)

    def reads(key: Key, position, batch):
        key = jax.random.fold_in(key, position)
        drawn = draw_negatives(key, size, config.negatives) if "head" in tables else None
        return narrow(batch, size, tables, drawn, tied=config.model.tied)

    given = cell, estimator, optimizer, rule.momentum, tables
    training = stream_training(
        cell,
        cross_entropy,
        narrowed(estimator) if tables else estimator,
        optimizer,
        rows,
        num_steps=scored,
        history=history,
        batch_size=loop.batch_size,
        epochs=loop.epochs,
        log_every=loop.log_every,
        shuffled=windows,
        reads=reads if tables else None,
        by_rows=row_momentum(*given) if tables and by_rows else None,
        # a sampled loss trains a narrowed model; what is looked at is the whole one, by its own
        observed=estimator_of("full"),
        vectors=token_vectors,
    )
    return training if config.study == "none" else watched(training, config, text.train)


def narrowed_tables(config: Config, vocab_size: int, by_rows: bool) -> tuple[str, ...]:
    """The tables of which a training step reads some rows alone; `by_rows` it changes them alone.

    Raises:
      ValueError: no negatives, or more than words; an online style with a loss of candidates.
    """
    name = config.gradient.estimator
    if STYLES[name].carries_credit:
        if config.loss != "full":
            raise ValueError(
                f"--loss is {config.loss}, which trains rows of the tables that each training step "
                f"draws anew, and --estimator {name} carries on the influence of those before; "
                "give --loss full, or another --estimator"
            )
        return ()
    if config.loss == "full":
        # the whole head is read anyway, and with it an embedding that is tied to it
        return ("embed",) if by_rows and not config.model.tied else ()
    if not 1 <= config.negatives <= vocab_size:
        raise ValueError(
            f"--negatives is {config.negatives}, the vocabulary has {vocab_size} words; "
            f"give 1 to {vocab_size}, or --loss full"
        )
    return ("head",) if config.model.tied else ("embed", "head")


START, PROMPT = 11_000, 20
"""The page's prompt: so many words of the text, from there on."""
WAYS = {"argmax": 0.0, "sampled": 1.0}
"""Temperatures; the page always takes the likeliest word."""


def make_sample(
    config: Config, cell: Cell, text: runs.Text
) -> Callable[[Params, Key], dict[str, str]] | None:
    """What the page's prompt goes on with, each way, the prompt included."""
    length, decode = config.sample_length, text.vocabulary.decode
    require_sample_length(length)
    if not length:
        return None
    # a shorter text is prompted with its beginning
    start = START if len(text.train) >= START + PROMPT else 0
    ids = text.train[start : start + PROMPT]
    write = {way: runs.writer(cell, ids, length, temperature=t) for way, t in WAYS.items()}
    return lambda params, key: {
        way: decode(np.concatenate([ids, each(params, key)])) for way, each in write.items()
    }


WATCHED = {"saturated": "the recurrent layer", "saturated_dense": "the tanh layer before the head"}
"""What is watched, by the field of the log."""
WINDOWS = 64
"""How many, at the beginning of the text, it is watched on."""


def watched(training: Training, config: Config, tokens: np.ndarray) -> Training:
    """`training` with the shares of saturated units, as the last params of a chunk have them, among
    the metrics of all its steps."""
    size = config.num_steps
    count = min(WINDOWS, len(tokens) // size)
    windows = jnp.asarray(tokens[: count * size].reshape(count, size).T)

    def chunk(state: TrainState):
        state, metrics = training.chunk(state)
        shares = shares_saturated(config, state.params, windows)
        alike = {name: jnp.full_like(metrics["loss"], share) for name, share in shares.items()}
        return state, metrics | alike

    return training._replace(chunk=chunk)


def shares_saturated(config: Config, params: Params, tokens: Array) -> Metrics:
    """Shares of units that are pinned at -1 or 1 (`PINNED`), on windows [T, B] of `tokens`: outputs
    of the (first) layer over all time steps, and the tanh units before the head at the last one."""
    model = config.model
    layer = find_cell(model.cell)(model.embedding_size, model.hidden_size)
    keys = jax.random.split(jax.random.key(0), tokens.shape[1])
    carry = jax.vmap(layer.init_carry, in_axes=(None, 0))(params["layer_1"], keys)
    _, h = unroll(layer, params["layer_1"], carry, params["embed"]["w"][tokens])
    shares = {"saturated": saturation(h, PINNED.tanh).share}
    if config.dense_size and model.num_layers == 1:
        dense = params["hidden"]["linear"]
        units = jax.vmap(lambda h: jnp.tanh(h @ dense["w"] + dense["b"]))(h[-1])
        shares["saturated_dense"] = saturation(units, PINNED.tanh).share
    return shares
