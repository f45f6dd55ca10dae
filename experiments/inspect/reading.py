"""A run's model reads the text."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.inspect.config import Config
from jaxrnn.analysis.flow import gradient_flow, lyapunov_exponents
from jaxrnn.analysis.memory import half_life, mean_lag
from jaxrnn.analysis.page import Chart, Curve, Reading
from jaxrnn.analysis.page.reading import both_measures, predict, unit_values
from jaxrnn.analysis.page.symbols import missing_names
from jaxrnn.base import Carry, Cell, Params
from jaxrnn.data import Vocabulary, load_corpus, split
from jaxrnn.models import count_parameters
from jaxrnn.runs import RunLog, load
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import read_record

LIKELIEST = 6
FLOW_WORK = 4e11  # multiplications to spend on the flow of gradients: some seconds on two cores


class Source(NamedTuple):
    """A model and where it came from."""

    flag: str
    path: Path
    setting: str
    seed: int
    cell: Cell
    params: Params
    vocabulary: Vocabulary
    record: dict[str, Any]


class Symbols(NamedTuple):
    """A text as models of one level divide it: its name, its symbols, and how many of it are not
    read."""

    name: str
    symbols: list[str]
    left_out: int


def source_of(config: Config, flag: str, path: Path, member: int, setting: str | None) -> Source:
    """One member of a run.

    Raises:
      ValueError: a run that reads no text, or does not predict what it reads; and as `load` does.
    """
    cell, params, vocabulary, _ = load(
        path,
        member,
        which=config.which,
        setting=setting,
        trust=config.trust,
        cell_code=not config.no_cell_code,
    )
    if vocabulary is None:
        raise ValueError(f"{flag} {path} reads no text; give another run")
    token = jax.ShapeDtypeStruct((), jnp.int32)
    carry = jax.eval_shape(cell.init_carry, params, jax.random.key(0))
    _, y = jax.eval_shape(cell.step, params, carry, token)
    if getattr(y, "shape", None) != (vocabulary.size,):
        raise ValueError(f"{flag} {path} does not predict the next symbol; give another run")
    record = read_record(open_run(path))
    names = [each["name"] for each in record["settings"]]
    name = setting or names[member // len(record["seeds"])]
    seed = record["seeds"][member % len(record["seeds"])]
    return Source(flag, path, name, seed, cell, params, vocabulary, record)


def read_symbols(config: Config, sources: list[Source]) -> Symbols:
    """The text as every source reads it.

    Raises:
      ValueError: sources that divide text differently, symbols that one has not, fewer than two.
    """
    levels = {source.vocabulary.level for source in sources}
    if len(levels) > 1:
        raise ValueError(
            f"--run reads a {sources[0].vocabulary.level} at a time and --beside a "
            f"{sources[1].vocabulary.level}; give two runs that read alike"
        )
    if len({source.vocabulary.words for source in sources}) > 1:
        raise ValueError(
            f"--run finds words by the rule {sources[0].vocabulary.words} and --beside by "
            f"{sources[1].vocabulary.words}; give two runs that read alike"
        )
    name, text = text_of(config, sources[0])
    every = sources[0].vocabulary.divide(text)
    if left_out := sources[0].vocabulary.count_left_out(text):
        warn(f"--text {name}: {left_out:,} symbols are part of no word and are left out")
    symbols = every[config.start : config.start + config.length]
    if len(symbols) < 2:
        raise ValueError(
            f"--text {name} has {len(every):,} symbols and --start is {config.start}; leave "
            "at least 2 to read"
        )
    for source in sources:
        known = set(source.vocabulary.symbols)
        absent = [symbol for symbol in dict.fromkeys(symbols) if symbol not in known]
        if absent and source.vocabulary.unknown is None:
            raise ValueError(
                f"--text holds {missing_names(absent)}, which the vocabulary of {source.path} does "
                "not have; take it out, or give a run with an unknown symbol"
            )
    return Symbols(name, symbols, len(every) - len(symbols))


def text_of(config: Config, source: Source) -> tuple[str, str]:
    """The name and the text that is asked for; without --text what the run has held out.

    Raises:
      ValueError: a file that is no text, a run that holds out nothing.
    """
    try:
        if config.text is not None:
            return config.text.name, load_corpus(str(config.text.expanduser().resolve())).train
        recorded = source.record["config"]
        fraction, corpus = recorded.get("valid_fraction", 0.0), recorded.get("corpus", "")
        _, text = split(load_corpus(corpus), fraction) if corpus else ("", "")
    except (ValueError, OSError) as error:
        raise ValueError(f"--text: {error}") from error
    if not text:
        raise ValueError(f"{source.flag} {source.path} has held out no text; give --text FILE")
    return f"held-out part of {Path(corpus).name}", text


def read_run(config: Config, source: Source, text: Symbols) -> Reading:
    """All that page and figures show of one run."""
    vocabulary, cell, params = source.vocabulary, source.cell, source.params
    ids = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    absent = [symbol for symbol in dict.fromkeys(text.symbols) if symbol not in ids]
    tokens = jnp.array([ids.get(symbol, vocabulary.unknown) for symbol in text.symbols], jnp.int32)
    carry = cell.init_carry(params, jax.random.key(0))
    lags = min(config.lags, len(tokens) - 1)

    @jax.jit
    def forward(params, tokens):
        return (
            predict(cell, params, carry, tokens, most=LIKELIEST),
            unit_values(cell, params, carry, tokens, config.units),
        )

    @jax.jit
    def connect(params, tokens):
        by_lag = both_measures(cell, params, carry, tokens, lags=lags, vocab_size=vocabulary.size)
        means = {
            name: {"mean lag": mean_lag(rows), "half-life": half_life(rows)}
            for name, rows in by_lag.items()
        }
        return by_lag, means

    predictions, units = jax.device_get(forward(params, tokens))
    if not np.isfinite(predictions.loss).all():
        raise ValueError(
            f"{source.flag} {source.path} computes {predictions.loss.mean()} on this text, so its "
            "training has diverged; give another run or another member"
        )
    units = {name: units[name] for name in sorted(units, key=_natural)}
    connectivity, memory = jax.device_get(connect(params, tokens))
    flow, exponent = _flow(cell, params, carry, tokens, lags)
    loss = float(predictions.loss.mean())
    unit = {"character": "character"}.get(vocabulary.level, "word")
    facts = {
        "experiment": str(source.record.get("experiment", "")),
        "setting": source.setting,
        "seed": str(source.seed),
        "parameters": f"{count_parameters(params):,}",
        "loss": f"{loss:.3f} nats per {unit} ({loss / np.log(2):.3f} bits)",
        "right": f"{(predictions.rank == 1).mean():.1%}".replace("%", " %"),
        "mean lag": ", ".join(
            f"{_mean(m['mean lag'])} ({of})"
            for m, of in zip(memory.values(), ("loss", "logit"), strict=True)
        ),
        "Lyapunov exponent": f"{exponent:.3f} nats per step".replace("-", "−")
        if np.isfinite(exponent)
        else "none",
        "text": f"{text.name}, {len(text.symbols):,} symbols"
        + (f" of {len(text.symbols) + text.left_out:,}" if text.left_out else ""),
    }
    return Reading(
        name=f"{source.path.resolve().name} · {source.setting} · seed {source.seed}",
        facts=facts,
        symbols=text.symbols,
        unknown=absent,
        vocabulary=vocabulary.symbols,
        predictions=predictions,
        connectivity=connectivity,
        memory=memory,
        units=units,
        charts=[
            _by_lag(connectivity),
            Chart(
                "How far gradients flow back",
                "symbols back",
                "‖∂ carry / ∂ earlier carry‖, 1 at 0",
                [Curve("median of places in the text", np.arange(len(flow)), flow)],
                logarithmic=True,
            ),
            *_training(source),
        ],
    )


def share_of(weights: np.ndarray) -> np.ndarray:
    """What each has of all; 0 where nothing depends on anything, as in a text of one symbol."""
    total = weights.sum()
    return weights / total if total else np.zeros_like(weights)


def _mean(values: np.ndarray) -> str:
    """Of those that are numbers: a prediction that depends on nothing has no lag."""
    known = values[np.isfinite(values)]
    return f"{known.mean():.1f}" if len(known) else "none"


def _natural(name: str) -> list[str]:
    """To sort by: layer_2 stands before layer_10."""
    return [part.zfill(9) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _by_lag(connectivity: dict[str, np.ndarray]) -> Chart:
    labels = {"square_root": "Σ √|∂ loss / ∂ embedding|", "squared": "‖∂ logit / ∂ one-hot‖²"}
    shares = {name: share_of(rows.mean(0)) for name, rows in connectivity.items()}
    return Chart(
        "What predictions depend on, on average",
        "symbols back",
        "share of all connectivity",
        [Curve(labels[name], np.arange(len(row)), row) for name, row in shares.items()],
        logarithmic=True,
    )


def _flow(
    cell: Cell, params: Params, carry: Carry, tokens: jax.Array, lags: int
) -> tuple[np.ndarray, float]:
    """The norm of d carry_t / d carry_(t-k) for k = 0 to `lags`, relative to k = 0: the median of
    some places; and the largest Lyapunov exponent.

    A place costs as much as the carry has numbers, so a large model has fewer of them.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(carry))
    if not size:
        return np.ones(1), float("nan")
    # the head's and the embedding's weights take no part in it
    layers = params
    if isinstance(params, dict):
        layers = [part for name, part in params.items() if name not in ("embed", "head")]
    weights = count_parameters(layers)
    places = int(np.clip(FLOW_WORK / (lags * size * max(weights, 1)), 1, 8))
    ends = np.unique(np.linspace(lags - 1, len(tokens) - 1, places).astype(int)).tolist()

    @jax.jit
    def both(params, tokens):
        flow = gradient_flow(cell, params, carry, tokens, ends=ends, lags=lags)
        # the directions have turned to the fastest one after some steps
        few = tokens[:1000]
        exponent = lyapunov_exponents(
            cell, params, carry, few, jax.random.key(0), warm_up=min(50, len(few) // 2)
        )
        return flow.norm, exponent[0]

    norm, exponent = jax.device_get(both(params, tokens))
    return np.median(norm / norm[:, :1], axis=0), float(exponent)


def _training(source: Source) -> list[Chart]:
    """The losses of the run's log, where it has any for this member."""
    run, labels = open_run(source.path), {"loss": "training", "valid_loss": "validation"}
    if not run.metrics.is_file():
        return []
    log = RunLog(run)
    every = {label: log.curves(source.setting, field) for field, label in labels.items()}
    drawn = [
        Curve(label, *seeds[source.seed].T)
        for label, seeds in every.items()
        if source.seed in seeds
    ]
    title, x_label, y_label = "Loss in training", "training step", "nats per symbol"
    return [Chart(title, x_label, y_label, drawn)] if drawn else []


def arrays_of(reading: Reading) -> dict[str, Any]:
    """What the .npz file has: all of it as it was, by name."""
    return {
        "predictions": reading.predictions._asdict(),
        "connectivity": reading.connectivity,
        "memory": reading.memory,
        "units": reading.units,
        "curves": {
            chart.title: {curve.label: np.stack([curve.x, curve.y]) for curve in chart.curves}
            for chart in reading.charts
        },
    }
