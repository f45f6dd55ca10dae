"""From a config's groups to what they describe: a model, an estimator, an optimizer, and the
training run of all of them."""

import math
from collections.abc import Callable
from functools import partial

import jax

from jaxrnn.base import Cell, GradientEstimator, Key, Objective, named_leaves, require_positive
from jaxrnn.data import Level, Streams, num_segments, text_streams
from jaxrnn.evaluation import held_out, validation
from jaxrnn.gradients import STYLES, weight_drop
from jaxrnn.models import TokenModel, build_model, cross_entropy, token_vectors
from jaxrnn.optimizers import OPTIMIZERS, Optimizer, decaying
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.groups import GradientConfig, Grouped, ModelConfig, OptimizerConfig, TextConfig
from jaxrnn.runs.sampling import text_writer
from jaxrnn.runs.text import Text, read_text
from jaxrnn.training import Training, stream_training


def configured_text(config: TextConfig, level: Level) -> Text:
    """The config's corpus, divided into symbols of `level`; raises as `read_text`."""
    fraction, limit = config.valid_fraction, config.limit
    return read_text(config.corpus, level, valid_fraction=fraction, limit=limit)


def token_model(
    config: ModelConfig,
    vocab_size: int,
    *,
    num_steps: int = 0,
    dense_size: int = 0,
    capitals: tuple[tuple[int, int], ...] = (),
) -> TokenModel:
    """The model of `vocab_size` tokens that a config describes. With `num_steps` a carry goes on
    from one training step to the next, and variational dropout draws its mask anew in each."""
    return TokenModel(
        vocab_size=vocab_size,
        output_size=vocab_size,
        cell=config.cell,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        embedding_size=config.embedding_size,
        dense_size=dense_size,
        dropout=config.dropout,
        connect=config.connect,
        block=config.block,
        convolution=config.convolution,
        heads=config.heads,
        dropout_kind=config.dropout_kind,
        dropout_hold=num_steps if config.dropout_kind == "variational" else 0,
        zoneout=config.zoneout,
        tied=config.tied,
        learnt_carry=config.learnt_carry,
        init=config.init,
        precision=config.precision,
        capitals=capitals,
    )


def text_setting(
    config: Grouped,
    text: Text,
    model: TokenModel,
    *,
    num_steps: int,
    objective: Objective = cross_entropy,
    sample_length: int = 0,
    devices: Devices = (),
) -> Setting:
    """A setting that trains a model on a text, its carry going on from one training step to the
    next; it is validated by its cross-entropy, whatever it is trained on.

    Args:
      config: of one training run.
      text: what is read.
      model: what is trained.
      num_steps: symbols of a stream in a training step.
      objective: what is trained on.
      sample_length: symbols that the first seed writes at the end of each epoch.
      devices: over several the batch is divided.

    Raises:
      ValueError: whatever the groups cannot mean; a text that is too short.
    """
    cell, loop = build_model(model), config.loop
    return Setting(
        model=model,
        training=configured_training(
            config,
            build_model(model, training=True),
            text_streams(text.train, loop.batch_size),
            num_steps=num_steps,
            objective=objective,
            devices=devices,
            log_every=loop.log_every,
        ),
        learning_rate=config.optimizer.learning_rate,
        epochs=loop.epochs,
        validate=validation(
            cell, cross_entropy, held_out(text.valid, loop.batch_size), num_steps=num_steps
        ),
        vocabulary=text.vocabulary,
        texts=text.sha256,
        sample=text_writer(cell, text.vocabulary, sample_length),
    )


def configured_training(
    config: Grouped,
    cell: Cell,
    streams: Streams | Callable[[Key], Streams],
    *,
    num_steps: int,
    objective: Objective = cross_entropy,
    devices: Devices = (),
    log_every: int | None = None,
    adjusted: Callable[[GradientEstimator], GradientEstimator] = lambda estimator: estimator,
) -> Training:
    """A training run on streams of tokens, as the config's groups say.

    Args:
      config: of one setting.
      cell: the training model.
      streams, num_steps, objective, log_every: as in `stream_training`.
      devices: over several the batch is divided.
      adjusted: has the last word on the estimator.

    Raises:
      ValueError: whatever the groups cannot mean.
    """
    require_positive(epochs=config.loop.epochs)  # before the optimizer counts its steps
    shapes = streams_shapes(streams)
    steps_per_epoch = num_segments(shapes, num_steps, config.gradient.history)
    estimator = configured_estimator(
        config.gradient,
        cell,
        objective,
        num_steps=num_steps,
        length=len(jax.tree.leaves(shapes)[0]),
        rate=config.model.weight_drop,
    )
    return stream_training(
        cell,
        objective,
        batch_parallel(adjusted(estimator), devices),
        configured_optimizer(config.optimizer, config.loop.epochs * steps_per_epoch),
        streams,
        num_steps=num_steps,
        history=config.gradient.history,
        batch_size=config.loop.batch_size,
        epochs=config.loop.epochs,
        log_every=log_every,
        vectors=token_vectors,
    )


def streams_shapes(streams: Streams | Callable[[Key], Streams]) -> Streams:
    """Of streams that stay, or of those that are drawn."""
    return jax.eval_shape(streams, jax.random.key(0)) if callable(streams) else streams


def configured_estimator(
    config: GradientConfig,
    cell: Cell,
    objective: Objective,
    *,
    num_steps: int,
    length: int,
    rate: float = 0.0,
) -> GradientEstimator:
    """The config's style on `cell`, for batches of `num_steps` scored time steps cut from streams
    of `length`; with the recurrent matrices dropped at a `rate` that is not 0.

    Raises:
      ValueError: a window or a stride that the style does not read, a window longer than the
        streams or below the stride, a stride that does not divide num_steps, a rate outside
        [0, 1), and whatever the style refuses.
    """
    style = STYLES[config.estimator]
    given = {"window": config.window, "stride": config.stride}
    for name, value in given.items():
        if value and name not in style.integers:
            raise ValueError(
                f"--{name} is {value}; the estimator {config.estimator} takes no {name}, "
                "leave it out"
            )
    if config.window > length:
        raise ValueError(
            f"--window is {config.window}, longer than the text: a stream has {length} time steps; "
            "give a smaller window or batch_size, or a longer text"
        )
    window, stride = (value or num_steps for value in given.values())
    if {"window", "stride"} <= set(style.integers):
        if window < stride:
            whose = "" if config.stride else ", which is num_steps where none is given"
            raise ValueError(
                f"--window is {window}, below the stride {stride}{whose}; "
                f"give --stride {window} or less, or a larger --window"
            )
        if num_steps % stride:
            raise ValueError(
                f"--stride is {stride}, --num-steps {num_steps}; "
                "give a stride that divides the time steps of a training step"
            )
    estimator = style(cell, objective, window, stride, schedule=config.schedule)
    return configured_weight_drop(estimator, rate, cell)


def configured_weight_drop(
    estimator: GradientEstimator, rate: float, cell: Cell
) -> GradientEstimator:
    """`estimator` on `cell` with the recurrent matrices dropped at the config's rate; at 0 the
    estimator itself, so that what trains without has the carry that it had. Inside
    `batch_parallel`.

    Raises:
      ValueError: a rate outside [0, 1), or a cell without a matrix w_hh.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"--weight-drop is {rate}; give a rate from 0 up to but not 1")
    if not rate:
        return estimator
    leaves = named_leaves(jax.eval_shape(cell.init, jax.random.key(0)))
    if not any(name.split(".")[-1] == "w_hh" for name in leaves):
        raise ValueError(
            f"--weight-drop is {rate}, and no layer has a matrix w_hh, which it drops; leave it "
            "out, or give another --cell"
        )
    return weight_drop(estimator, rate)


def configured_optimizer(config: OptimizerConfig, training_steps: int) -> Optimizer:
    """The config's rule, its learning rate falling over `training_steps` where it asks for that.

    Raises:
      ValueError: a weight decay below 0, or of another rule than adamw; as `decaying`.
    """
    build = partial(OPTIMIZERS[config.optimizer], max_norm=config.max_norm)
    if config.optimizer == "momentum":
        build = partial(build, momentum=config.momentum)
    if config.weight_decay is not None:
        if config.optimizer != "adamw":
            raise ValueError(
                f"--weight-decay is {config.weight_decay}, and {config.optimizer} has none; "
                "give --optimizer adamw, or leave it out"
            )
        if not 0 <= config.weight_decay < math.inf:
            raise ValueError(f"--weight-decay is {config.weight_decay}; give 0 or more")
        build = partial(build, weight_decay=config.weight_decay)
    return decaying(build(), config.decay, training_steps, warmup=config.warmup)
