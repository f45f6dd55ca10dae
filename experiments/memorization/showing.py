"""What trained models keep in their carries and what their predictions depend on: as rows, a table
and pictures; and the notebook's numbers, held against the rows."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from experiments.memorization.config import Config, settings
from experiments.memorization.phases import windows_of
from jaxrnn import runs
from jaxrnn.analysis.connectivity import SQUARE_ROOT, window_connectivity
from jaxrnn.analysis.memory import half_life, mean_lag, share_beyond
from jaxrnn.analysis.plots import TextRow, learning_curves, scaled, text_rows
from jaxrnn.base import Cell, Params, named_leaves
from jaxrnn.cell_files import cell_name
from jaxrnn.models import count_parameters, cross_entropy
from jaxrnn.runs.checking import members
from jaxrnn.runs.claims import Claim, at_least, ordered, within
from jaxrnn.runs.config import flags_of
from jaxrnn.unroll import unroll

Draw = Callable[[Path], None]
Trained = tuple[str, int | None, Cell, Params]
"""A cell's name, the seed if it is known, the evaluation model and its params."""

SOURCE = "OpenSUTD machine-learning-workshop, labs/exploring_rnn.ipynb"
PARAMETERS = {"lstm": 3201, "elman": 1617}
LOSSES = {"the notebook's lstm: 0.334": 0.3344, "the notebook's elman: 1.207": 1.2073}
PLACES = (130, *range(177, 193), 699)
"""Windows whose connectivity the notebook shows, by their first character."""
INTO_NVIDIA = range(177, 193)
"""Of these the windows that run into the word "nvidia"."""
FIRST, LENGTH = 130, 64
"""Where the notebook's activations begin, and over how many windows."""
FREE = runs.WITHOUT_EFFECT | {"cell", "init"}
"""Fields on which no statement depends: each run of the notebook drew other first weights too."""
COLUMNS = {"cell": "{cell}", "parameters": "{parameters:,}", "seeds": "{spread[seeds]}"}
COLUMNS |= {"of": "{of}", **runs.SPREAD_COLUMNS}
SIZES = {"corpus", "hidden_size", "embedding_size", "num_layers", "tied", "learnt_carry", "connect"}
"""Those that decide how many parameters a cell's model has."""


def show(config: Config, models: Iterable[Trained], text: runs.Text) -> runs.Report:
    """Measures every model; pictures and arrays are those of the first seed of each cell."""
    window, characters = config.gradient.window, text.vocabulary.decode(text.train)
    tokens, measures, rows, plots, arrays = jnp.asarray(text.train), {}, [], {}, {}
    for name, seed, cell, params in models:
        measure = jax.jit(partial(see, cell, tokens=tokens, window=window))
        seen = jax.device_get(measures.setdefault(name, measure)(params))
        row = {"cell": name, "seed": seed, "loss": float(seen["loss"])}
        row |= {"accuracy": float(seen["accuracy"]), "parameters": count_parameters(params)}
        rows.append(row | memory_of(seen["connectivity"], len(tokens) - window))
        if (file := cell_name(name)) not in arrays:
            plots |= _pictures(file, seen, characters, window)
            arrays[file] = {kind: seen[kind] for kind in ("connectivity", "activations")}
    return runs.Report(rows, claims_of(config, rows), [_table(rows)], plots, arrays)


def trained_in(config: Config, log: runs.RunLog) -> list[Trained]:
    """Every member of a run."""
    # the last params: a phase goes back to its best ones by itself
    return [
        (part.model.cell, seed, *log.load(name, k, which="last"))
        for name, part in settings(config).items()
        for k, seed in enumerate(members(config.loop.seed, config.loop.seeds))
    ]


def places_in(count: int) -> list[int]:
    """The published places that a text of `count` windows has; its last window where it has
    none."""
    return [place for place in PLACES if place < count] or [count - 1]


def shown_in(count: int) -> range:
    """The windows whose activations are shown, in a text of `count`: the published ones, or the
    first ones where it has none of them."""
    first = FIRST if count > FIRST else 0
    return range(first, min(first + LENGTH, count))


def see(cell: Cell, params: Params, tokens: Int[Array, " N"], window: int) -> dict[str, Any]:
    """What one model shows, every window read from a fresh carry; pure.

    Returns:
      "loss": nats, mean over all windows of the text; "accuracy": of the likeliest next character;
      "connectivity": [N, W] of the windows at `places_in`, by lag; "activations": name of a carry's
      leaf to [M, H], squared, after each window of `shown_in`.
    """
    xs, targets = windows_of(tokens, window)
    key, count = jax.random.key(0), len(targets)
    carry = jax.vmap(lambda _: cell.init_carry(params, key))(targets)
    last, logits = unroll(cell, params, carry, xs)
    places, shown = jnp.array(places_in(count)), jnp.array(shown_in(count))
    windows, at = (xs[:, places].T, targets[places]), "embed"
    return {
        "loss": cross_entropy(logits[-1], targets).mean(),
        "accuracy": (logits[-1].argmax(-1) == targets).mean(),
        "connectivity": window_connectivity(cell, params, key, *windows, SQUARE_ROOT, at=at),
        "activations": {
            "h" if name == "layer_1" else name.removeprefix("layer_1."): leaf[shown] ** 2
            for name, leaf in named_leaves(last).items()
            if "layer_" in name and leaf.ndim == 2 and jnp.issubdtype(leaf.dtype, jnp.floating)
        },
    }


def memory_of(connectivity: ArrayLike, count: int) -> dict[str, Any]:
    """Of connectivity [N, W]: means over the windows that run into "nvidia", or over all that there
    are in another text."""
    there = np.isin(places_in(count), INTO_NVIDIA)
    rows = jnp.asarray(connectivity)[there if there.any() else slice(None)]
    return {
        "mean_lag": float(mean_lag(rows).mean()),
        "half_life": float(half_life(rows).mean()),
        "share_beyond_16": float(share_beyond(rows, 16).mean()),
    }


def _pictures(name: str, seen: dict[str, Any], text: str, window: int) -> dict[str, Draw]:
    count = len(text) - window
    rows = [
        TextRow(f"{i} → {text[i + window]}", text[i : i + window], scaled(np.asarray(row)[::-1]))
        for i, row in zip(places_in(count), seen["connectivity"], strict=True)
    ]
    # a value stands under the character that its window ends with; in the notebook under the next
    shown = shown_in(count)
    read = text[shown.start + window - 1 : shown.stop + window - 1]
    units = [
        TextRow(f"{leaf}² {unit}", read, scaled(np.asarray(values)))
        for leaf, squares in seen["activations"].items()
        for unit, values in enumerate(squares.T)
    ]
    kinds = {"connectivity": rows, "activations": units}
    return {f"{kind}_{name}": partial(text_rows, rows=drawn) for kind, drawn in kinds.items()}


def losses_plot(config: Config, log: runs.RunLog) -> Draw:
    """The loss of every epoch of a run, of each setting over its seeds, until the last of them
    has ended."""
    (panel,) = log.panels({"": "loss"}, {"": LOSSES})
    for name, seeds in panel.curves.items():
        phases = log.curves(name, "phase").values()
        count = max((rows[:, 1] < len(config.most_epochs)).sum() for rows in phases)
        panel.curves[name] = [rows[:count] for rows in seeds]
    panel = panel._replace(x_label="epoch, the phases one after another")
    return partial(learning_curves, panels=[panel], y_label="loss (nats per character)")


def _table(results: Sequence[dict[str, Any]]) -> runs.Table:
    rows = []
    for name in dict.fromkeys(row["cell"] for row in results):
        mine = [row for row in results if row["cell"] == name]
        for field in ("loss", "accuracy", "mean_lag", "half_life", "share_beyond_16"):
            spread = runs.median_and_spread([row[field] for row in mine])
            rows.append(mine[0] | {"of": field, "spread": spread})
    title = f"loss in nats; lags in characters; {runs.spread_note(row['spread'] for row in rows)}"
    return runs.written(title, rows, COLUMNS)


def claims_of(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """With what each seed alone says of them."""
    seeds = dict.fromkeys(row["seed"] for row in rows)
    alone = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    return runs.over_seeds(all_claims(config, rows), [all_claims(config, own) for own in alone])


def all_claims(config: Config, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """All of them; open where this run trained something else than the notebook did, or in another
    way."""
    published = runs.alike(config, Config(), FREE)
    same_model = runs.alike(config, Config(), flags_of(config).keys() - SIZES)

    def median(cell: str, field: str) -> float | None:
        decided = same_model if field == "parameters" else published
        mine = [row[field] for row in rows if row["cell"] == cell]
        return float(np.median(mine)) if mine and decided else None

    def both(field: str) -> dict[str, float | None]:
        return {cell: median(cell, field) for cell in ("elman", "lstm")}

    far = "share of connectivity more than 16 characters before the word nvidia"
    return [
        *(
            within(f"{cell}: parameters", SOURCE, median(cell, "parameters"), float(count), 0.0)
            for cell, count in PARAMETERS.items()
        ),
        at_least(
            "lstm: accuracy, 0.926 in the notebook",
            SOURCE,
            median("lstm", "accuracy"),
            0.92,
            published=0.9264,
        ),
        within("elman: accuracy", SOURCE, median("elman", "accuracy"), 0.631, 0.05),
        within("lstm: loss (nats)", SOURCE, median("lstm", "loss"), 0.3344, 0.1),
        within("elman: loss (nats)", SOURCE, median("elman", "loss"), 1.2073, 0.15),
        ordered(
            "mean lag before the word nvidia (characters)", f"{SOURCE}, figures", both("mean_lag")
        ),
        ordered(far, f"{SOURCE}, figures", both("share_beyond_16")),
        ordered("accuracy: the LSTM's is the higher one", SOURCE, both("accuracy")),
    ]
