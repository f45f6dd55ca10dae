"""How large the gradient is that an error leaves on the weights k time steps back."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.truncation.config import SOURCE, Config
from experiments.truncation.quirks import LAYER
from experiments.truncation.study import Row, Study
from jaxrnn import runs
from jaxrnn.analysis.plots import decay_chart
from jaxrnn.base import Cell, Key, Params
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs.claims import between

# the post's demonstration: its model at a quick test's size, before any training
STEPS, BATCH, STATE, EMBEDDING, VOCABULARY = 20, 200, 4, 50, 10_000
DRAWS = 20  # of weights
USUAL = ("elman", "gru", "lstm")  # beside the one asked for: more than a few no picture shows
POST = (
    *(5.3e-8, 1.5e-7, 4.0e-7, 1.6e-6, 5.0e-6, 1.3e-5, 3.9e-5, 1.2e-4, 3.4e-4, 1.0e-3),
    *(2.7e-3, 8.9e-3, 2.2e-2, 7.2e-2, 0.245, 0.739, 2.19, 6.17, 22.7, 97.8),
)
"""The post's L1 norms, from the oldest step to the newest."""
COLUMNS = {"cell": "{cell}", "weights": "{weights}", "shrinks per step back": "{median:.2f}"}
COLUMNS |= {"lowest": "{min:.2f}", "highest": "{max:.2f}"}


def norms(cell: Cell, params: Params, tokens: jax.Array, targets: jax.Array) -> jax.Array:
    """L1 norm of dL/dW by steps back, [T]: L is the error of the last time step, W the layer's
    weights as they were used at that step (entry 0), one step before it (entry 1), and so on.

    Each time step reads weights of its own, all with the same values. The tokens are [T, B], and
    `cell` is a model with a layer named `layer_1`.
    """
    length, batch_size = tokens.shape
    copies = jax.tree.map(lambda w: jnp.broadcast_to(w, (length, *w.shape)), params[LAYER])
    keys = jax.random.split(jax.random.key(0), batch_size)
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(params, keys)

    def last_loss(copies):
        def step(carry, x):
            token, own = x
            used = params | {LAYER: own}
            return jax.vmap(cell.step, in_axes=(None, 0, 0))(used, carry, token)

        _, outputs = lax.scan(step, carry, (tokens, copies))
        return cross_entropy(outputs[-1], targets[-1]).mean()

    grads = jax.tree.leaves(jax.grad(last_loss)(copies))
    sizes = sum(jnp.abs(g).reshape(length, -1).sum(1) for g in grads)
    return jnp.asarray(sizes)[::-1]


def drawn_as_published(params: Params, key: Key) -> Params:
    """Every matrix drawn again as TensorFlow 0.9 did unasked: uniform, with a variance of one over
    its rows. The layer's count as one, as in the post, which has a single matrix for [x, h]."""
    together = sum(leaf.shape[0] for leaf in jax.tree.leaves(params[LAYER]) if leaf.ndim == 2)

    def draw(path, leaf, key):
        if leaf.ndim != 2:
            return leaf
        rows = together if path[0].key == LAYER else leaf.shape[0]
        limit = (3 / rows) ** 0.5
        return jax.random.uniform(key, leaf.shape, leaf.dtype, -limit, limit)

    leaves, tree = jax.tree.flatten(params)
    keys = tree.unflatten([*jax.random.split(key, len(leaves))])
    return jax.tree.map_with_path(draw, params, keys)


def measure(config: Config, log: runs.RunLog) -> dict[str, Any]:
    """A row for the config's cell with the post's weights, and for it and the usual ones with
    ours."""
    usual = dict.fromkeys([*USUAL, config.model.cell])
    cases = [(config.model.cell, "published"), *((cell, "default") for cell in usual)]
    return {"vanishing": [_row(config, *case) for case in cases]}


def _row(config: Config, name: str, weights: str) -> Row:
    model = TokenModel(VOCABULARY, VOCABULARY, name, STATE, embedding_size=EMBEDDING)
    cell = build_model(model)

    def one(key):
        key_params, key_layer, key_tokens = jax.random.split(key, 3)
        params = cell.init(key_params)
        if weights == "published":
            params = drawn_as_published(params, key_layer)
        tokens = jax.random.randint(key_tokens, (STEPS + 1, BATCH), 0, VOCABULARY)
        return norms(cell, params, tokens[:-1], tokens[1:])

    keys = jax.random.split(jax.random.key(config.loop.seed), DRAWS)
    found = np.asarray(lax.map(one, keys), np.float64)
    row = {"cell": name, "weights": weights, "norms": found.tolist()}
    return row | {"ratio_per_step": ratios_per_step(found)}


def ratios_per_step(found: np.ndarray) -> list[float]:
    """Of each draw of norms [draws, T], by how much the gradient shrinks with every step back, the
    geometric mean over steps. One that vanishes altogether counts as the least number there is."""
    found = _alive(found)
    oldest = np.maximum(found[:, -1], np.finfo(np.float32).tiny)
    return ((found[:, 0] / oldest) ** (1 / (found.shape[1] - 1))).tolist()


def _alive(found: np.ndarray) -> np.ndarray:
    """The draws that have a gradient at all: of 4 units of relu, all may be at rest."""
    return found[found[:, 0] > 0]


def report(config: Config, log: runs.RunLog, results: Mapping[str, Any]) -> runs.Report:
    rows = results["vanishing"]
    published = [r for r in rows if (r["weights"], r["cell"]) == ("published", "elman")]
    observed = float(np.median(published[0]["ratio_per_step"])) if published else None
    name = "untrained, 4 units: the gradient shrinks with every step back"
    claim = between(name, f"{SOURCE}, demonstration", observed, 2.5, 4.3)
    if published:
        claim = claim._replace(spread=runs.median_and_spread(published[0]["ratio_per_step"]))
    claims = [claim]
    if not rows:
        return runs.Report({}, claims)
    title = (
        f"gradient on the layer's weights of the last error, untrained, {STATE} units: "
        f"median of {DRAWS} draws of weights; the post's shrinks "
        f"{ratios_per_step(np.array([POST[::-1]]))[0]:.2f} times a step"
    )
    shown = [row | runs.median_and_spread(row["ratio_per_step"]) for row in rows]
    plots, tables = {"vanishing": partial(plot, rows=rows)}, [runs.written(title, shown, COLUMNS)]
    return runs.Report({}, claims, tables, plots)


def plot(path: Path, rows: Sequence[Row]) -> None:
    """All norms as parts of the newest step's."""
    drawn = {f"{row['cell']}, {row['weights']} weights": row["norms"] for row in rows}
    alive = {label: _alive(np.array(norms)) for label, norms in drawn.items()}
    alive["the post's demonstration"] = np.array([POST[::-1]])
    curves = {label: norms / norms[:, :1] for label, norms in alive.items()}
    decay_chart(path, curves, x_label="time steps back", y_label="L1 norm of dL/dW, newest = 1")


STUDY = Study(report, measure=measure)
