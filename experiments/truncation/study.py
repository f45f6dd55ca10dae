"""What the studies behind `--part` have in common: how one is declared, how a training run of it is
made, and what a row says of that."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp

from experiments.truncation.config import Config
from experiments.truncation.variants import variant_of
from jaxrnn import runs
from jaxrnn.base import Batch, GradientEstimator, Key, Objective
from jaxrnn.data import Streams, Vocabulary, text_streams
from jaxrnn.evaluation import held_out, validation
from jaxrnn.models import build_model, cross_entropy
from jaxrnn.parallel import Devices
from jaxrnn.runs.claims import Claim

BUDGETS = ("targets", "updates", "seconds")
"""What `fair` makes equal, in turn."""

Row = dict[str, Any]
K = TypeVar("K")


class Study(NamedTuple):
    """An experiment of the command.

    Attributes:
      report: `(config, log, results) -> Report`, from the results of all studies: its rows of
        "styles", and what it measured. There are none where `--part` leaves it out, and its claims
        are open. What its own results say replaces what was there.
      settings, build: as of an `Experiment`, the training runs.
      measure: `(config, log) -> results`, once in a run, when everything is trained.
    """

    report: Callable[[Config, runs.RunLog, Mapping[str, Any]], runs.Report]
    settings: Callable[[Config], Mapping[str, Config]] = lambda config: {}
    build: Callable[[Config, Devices], runs.Setting] | None = None
    measure: Callable[[Config, runs.RunLog], dict[str, Any]] = lambda config, log: {}


class Data(NamedTuple):
    """What is trained on, and sequences to validate on, of which the first `unscored` time steps
    are read and do not count."""

    vocab_size: int
    rows: Streams | Callable[[Key], Streams]
    valid: Batch
    vocabulary: Vocabulary | None = None
    texts: Mapping[str, str] = {}
    unscored: int = 0


def text_data(text: runs.Text, batch_size: int) -> Data:
    """Raises: ValueError, a text of which nothing is held out."""
    valid = held_out(text.valid, batch_size)
    if valid is None:
        raise ValueError("--valid-fraction holds out no text; give more, or a longer text")
    rows, vocabulary = text_streams(text.train, batch_size), text.vocabulary
    return Data(vocabulary.size, rows, valid, vocabulary, text.sha256)


def scored(data: Data) -> tuple[Objective, Batch]:
    """Objective and batch of a validation whose mean is over the scored time steps alone."""
    inputs, targets = data.valid
    length, first = len(targets), data.unscored
    counts = jnp.where(jnp.arange(length) < first, 0.0, length / (length - first))

    def counted(outputs, targets):
        targets, counts = targets
        return counts * cross_entropy(outputs, targets)

    weights = jnp.broadcast_to(counts[:, None], targets.shape).astype(jnp.float32)
    return counted, Batch(inputs, (targets, weights))


def built(
    config: Config,
    data: Data,
    devices: Devices,
    *,
    log_every: int | None = None,
    adjusted: Callable[[GradientEstimator], GradientEstimator] = lambda estimator: estimator,
) -> runs.Setting:
    """A training run by one style, a chunk to a line of the log; its divergence ends it alone."""
    (steps,) = config.num_steps
    model = runs.token_model(config.model, data.vocab_size, num_steps=steps)
    given = {"num_steps": steps, "devices": devices, "log_every": log_every, "adjusted": adjusted}
    trained = build_model(model, training=True)
    return runs.Setting(
        model=model,
        training=runs.configured_training(config, trained, data.rows, **given),
        learning_rate=config.optimizer.learning_rate,
        epochs=config.loop.epochs,
        validate=validation(build_model(model), *scored(data)),
        vocabulary=data.vocabulary,
        texts=data.texts,
        may_diverge=True,
    )


def over_seeds(
    rows: Mapping[K, Row], said: Callable[[Mapping[K, Any]], list[Claim]]
) -> list[Claim]:
    """What is said of the rows' lowest losses, medians over seeds, with what it is of each seed."""
    seeds = range(min((len(row["valid_loss_per_seed"]) for row in rows.values()), default=0))
    alone = [{key: row["valid_loss_per_seed"][k] for key, row in rows.items()} for k in seeds]
    medians = {key: row["valid_loss"] for key, row in rows.items()}
    return runs.over_seeds(said(medians), [*map(said, alone)])


def row(name: str, config: Config, log: runs.RunLog) -> Row:
    """What is known of a training run; of one that diverged, no loss."""
    variant, diverged, seeds = variant_of(config), name in log.diverged, log.seeds(name)
    best = [None] * len(seeds) if diverged else log.lowest(name)
    spread = None if diverged else runs.median_and_spread(log.lowest(name))
    valid = log.curves(name, "valid_loss").values()
    updates = max(int(rows[-1, 0]) for rows in log.curves(name, "loss").values())
    return {
        "part": config.task,
        "name": name,
        "label": variant.label,
        **variant._asdict(),
        "learning_rate": config.optimizer.learning_rate,
        "seeds": seeds,
        "diverged": diverged,
        "valid_loss": spread and spread["median"],
        "valid_loss_per_seed": best,
        "turned": not diverged and all(rows[:, 1].argmin() < len(rows) - 1 for rows in valid),
        "spread": spread,
        "updates": updates,
        "targets": updates * variant.num_steps * config.loop.batch_size,
        "seconds": log.seconds(name),
        "seconds_per_update": log.seconds_per_step(name),
        "at_equal": dict.fromkeys(BUDGETS),
    }
