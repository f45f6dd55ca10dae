"""The networks: their sizes from the budget, and the pure functions of their training."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.baselines.config import Config, Part
from jaxrnn.base import Batch, Metrics, Params, require_positive
from jaxrnn.cell_files import cell_name
from jaxrnn.data import Streams, num_segments, segment, text_streams
from jaxrnn.gradients.configured import configured_estimator
from jaxrnn.models import TokenModel, build_model, count_parameters, cross_entropy, token_vectors
from jaxrnn.optimizers import OPTIMIZERS, decaying
from jaxrnn.parallel import Devices, batch_parallel
from jaxrnn.runs.loop import Setting, prepare
from jaxrnn.runs.text import Text
from jaxrnn.training import Parts, Training, epoch_chunk, evaluate, init_state, make_train_step

LARGEST = 16_384
"""No hidden size above it is tried."""
LADDER = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""The hidden sizes whose training is timed."""
VALID_STREAMS, VALID_STEPS = 32, 64
"""How held-out text is walked: the same for every training, so few streams that their starts,
which know no context, weigh nothing."""


class Network(NamedTuple):
    """A network of one level: its name in the run, what it is, and how it is trained."""

    name: str
    label: str
    part: Part
    model: TokenModel
    setting: Setting


def network(
    config: Config, part: Part, text: Text, cell: str, hidden_size: int, devices: Devices
) -> Network:
    """A network of that hidden size; over several `devices` the batch is divided."""
    label = cell_name(cell)
    name = f"{part.level}_{label}"
    model = _model(config, part, text, cell, hidden_size)
    setting = Setting(
        name=name,
        training=_training(config, part, text, model, devices),
        validate=_validate(config, text, model),
        learning_rate=part.learning_rate,
        epochs=part.epochs,
        log_ends=(),  # a chunk is as long as a line
    )
    return Network(name, label, part, model, setting)


def parameters(model: TokenModel) -> int:
    return count_parameters(jax.eval_shape(build_model(model).init, jax.random.key(0)))


def size_by_parameters(config: Config, part: Part, text: Text, cell: str) -> int:
    """The largest hidden size whose model has no more than the part's parameters.

    Raises:
      ValueError: even one hidden unit has more.
    """
    return _largest(
        range(1, LARGEST + 1),
        lambda size: parameters(_model(config, part, text, cell, size)) <= part.parameters,
        f"{_flag(part, 'parameters')} is {part.parameters}, too few for {cell} of any size",
    )


def size_by_seconds(part: Part, cell: str, seconds: Callable[[int], float]) -> int:
    """The largest hidden size of `LADDER` whose training takes no longer than the part's seconds.

    Args:
      part: of the config.
      cell: its name, for the error.
      seconds: `hidden size -> seconds` of a whole training.

    Raises:
      ValueError: even the smallest takes longer.
    """
    return _largest(
        LADDER,
        lambda size: seconds(size) <= part.seconds,
        f"{_flag(part, 'seconds')} is {part.seconds}, too few for {cell} of {LADDER[0]} units; "
        "give more, or fewer epochs",
    )


def measured_seconds(network: Network, seeds: Sequence[int], devices: Devices) -> float:
    """What the whole training would take, by its second chunk: the first compiles."""
    prepared = prepare(network.setting, seeds, devices or jax.devices()[:1])
    state, _ = prepared.chunk(prepared.init())
    jax.block_until_ready(state)
    start = time.monotonic()
    _, metrics = prepared.chunk(state)
    steps = int((jax.device_get(metrics["step"])[0] > 0).sum())
    seconds = time.monotonic() - start
    training = network.setting.training
    return seconds / max(steps, 1) * training.steps_per_epoch * network.setting.epochs


def _largest(sizes: Sequence[int], fits: Callable[[int], bool], otherwise: str) -> int:
    """The largest of ascending sizes that fits, where all below it do."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(sizes[middle]) else (low, middle)
    if not low:
        raise ValueError(otherwise)
    return sizes[low - 1]


def _flag(part: Part, name: str) -> str:
    return f"--{name}" if part.level == "character" else f"--word-{name}"


def _model(config: Config, part: Part, text: Text, cell: str, hidden_size: int) -> TokenModel:
    return TokenModel(
        vocab_size=text.vocabulary.size,
        output_size=text.vocabulary.size,
        cell=cell,
        hidden_size=hidden_size,
        embedding_size=part.embedding_size,
        precision=config.precision,
    )


def _training(
    config: Config, part: Part, text: Text, model: TokenModel, devices: Devices
) -> Training:
    sizes = {"epochs": part.epochs, "num_steps": part.num_steps}
    prefix = "" if part.level == "character" else "word_"
    require_positive(**{f"{prefix}{name}": size for name, size in sizes.items()})
    require_positive(log_every=config.log_every)
    num_steps = part.num_steps
    cell = build_model(model, training=True)
    rows = text_streams(text.train, config.batch_size)
    steps_per_epoch = num_segments(rows, num_steps)
    style = configured_estimator(
        config, cell, cross_entropy, num_steps=num_steps, length=len(rows.inputs)
    )
    estimator = batch_parallel(style, devices)
    optimizer = decaying(
        OPTIMIZERS[part.optimizer](max_norm=config.max_norm),
        config.decay,
        part.epochs * steps_per_epoch,
    )
    chunks_per_epoch = -(-steps_per_epoch // config.log_every)
    on_device = Streams(*map(jnp.asarray, rows))
    chunk = epoch_chunk(
        make_train_step(estimator, optimizer),
        estimator,
        lambda key: lambda position: segment(on_device, position, num_steps),
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        chunks_per_epoch=chunks_per_epoch,
    )

    def init(key, learning_rate):
        return init_state(cell, estimator, optimizer, key, config.batch_size, learning_rate)

    parts = Parts(
        cell=cell,
        objective=cross_entropy,
        estimator=estimator,
        optimizer=optimizer,
        batch=lambda: segment(on_device, jnp.int32(0), num_steps),
        vectors=token_vectors,
    )
    return Training(init, chunk, part.epochs * chunks_per_epoch, steps_per_epoch, parts)


def _validate(config: Config, text: Text, model: TokenModel) -> Callable[[Params], Metrics]:
    """`params -> {"valid_loss"}` in nats per token, over streams that each begin afresh."""
    cell = build_model(model)
    batch_size = min(config.batch_size, VALID_STREAMS, len(text.valid) // 2)
    batch = Batch(*map(jnp.asarray, text_streams(text.valid, batch_size)))

    def validate(params):
        key = jax.random.key(0)  # the evaluation model draws nothing
        loss = evaluate(cell, cross_entropy, params, key, batch, num_steps=VALID_STEPS)
        return {"valid_loss": loss}

    return validate
