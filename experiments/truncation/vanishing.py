"""How large the gradient is that an error leaves on the weights k time steps back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.truncation.config import Config
from experiments.truncation.quirks import LAYER
from jaxrnn.analysis.plots import decay_chart
from jaxrnn.base import Cell, Key, Params
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs.report import print_table

# the post's demonstration: its model at a quick test's size, before any training
STEPS, BATCH, STATE, EMBEDDING, VOCABULARY = 20, 200, 4, 50, 10_000
DRAWS = 20  # of weights
USUAL = ("elman", "gru", "lstm")  # beside the one asked for: more than a few no picture shows
POST = (
    *(5.3e-8, 1.5e-7, 4.0e-7, 1.6e-6, 5.0e-6, 1.3e-5, 3.9e-5, 1.2e-4, 3.4e-4, 1.0e-3),
    *(2.7e-3, 8.9e-3, 2.2e-2, 7.2e-2, 0.245, 0.739, 2.19, 6.17, 22.7, 97.8),
)
"""The post's L1 norms, from the oldest step to the newest."""


def norms(cell: Cell, params: Params, tokens: jax.Array, targets: jax.Array) -> jax.Array:
    """L1 norm of dL/dW by steps back, [T]: L is the error of the last time step, W the layer's
    weights as they were used at that step (entry 0), one step before it (entry 1), and so on.

    Each time step reads weights of its own, all with the same values.

    Args:
      cell: a model with a layer named `layer_1`.
      tokens, targets: [T, B].
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
    leaves, tree = jax.tree.flatten_with_path(params)
    together = sum(leaf.shape[0] for leaf in jax.tree.leaves(params[LAYER]) if leaf.ndim == 2)

    def draw(key, path, leaf):
        if leaf.ndim != 2:
            return leaf
        rows = together if path[0].key == LAYER else leaf.shape[0]
        limit = (3 / rows) ** 0.5
        return jax.random.uniform(key, leaf.shape, leaf.dtype, -limit, limit)

    keys = jax.random.split(key, len(leaves))
    drawn = [draw(key, path, leaf) for key, (path, leaf) in zip(keys, leaves, strict=True)]
    return tree.unflatten(drawn)


def measure(config: Config) -> list[dict[str, Any]]:
    """A row for the config's cell with the post's weights, and for it and the usual ones with
    ours."""
    rows = [_row(config, config.cell, "published")]
    return rows + [_row(config, cell, "default") for cell in dict.fromkeys([*USUAL, config.cell])]


def _row(config: Config, name: str, weights: str) -> dict[str, Any]:
    model = TokenModel(VOCABULARY, VOCABULARY, name, STATE, embedding_size=EMBEDDING)
    cell = build_model(model)

    def one(key):
        key_params, key_layer, key_tokens = jax.random.split(key, 3)
        params = cell.init(key_params)
        if weights == "published":
            params = drawn_as_published(params, key_layer)
        tokens = jax.random.randint(key_tokens, (STEPS + 1, BATCH), 0, VOCABULARY)
        return norms(cell, params, tokens[:-1], tokens[1:])

    keys = jax.random.split(jax.random.key(config.seed), DRAWS)
    found = np.asarray(lax.map(one, keys), np.float64)
    return {
        "cell": name,
        "weights": weights,
        "norms": found.tolist(),
        "ratio_per_step": ratios_per_step(found),
    }


def ratios_per_step(found: np.ndarray) -> list[float]:
    """Of each draw of norms [draws, T], by how much the gradient shrinks with every step back, the
    geometric mean over steps. One that vanishes altogether counts as the least number there is."""
    found = _alive(found)
    oldest = np.maximum(found[:, -1], np.finfo(np.float32).tiny)
    return ((found[:, 0] / oldest) ** (1 / (found.shape[1] - 1))).tolist()


def _alive(found: np.ndarray) -> np.ndarray:
    """The draws that have a gradient at all: of 4 units of relu, all may be at rest."""
    return found[found[:, 0] > 0]


def report(rows: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["cell", "weights", "shrinks per step back", "lowest", "highest"],
        [
            [
                row["cell"],
                row["weights"],
                *(f"{pick(row['ratio_per_step']):.2f}" for pick in (np.median, min, max)),
            ]
            for row in rows
        ],
        title=f"gradient on the layer's weights of the last error, untrained, {STATE} units: "
        f"median of {DRAWS} draws of weights; the post's shrinks "
        f"{ratios_per_step(np.array([POST[::-1]]))[0]:.2f} times a step",
    )


def plot(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """All norms as parts of the newest step's."""
    drawn = {
        f"{row['cell']}, {row['weights']} weights": _alive(np.array(row["norms"])) for row in rows
    }
    drawn["the post's demonstration"] = np.array([POST[::-1]])
    decay_chart(
        path,
        {label: found / found[:, :1] for label, found in drawn.items()},
        x_label="time steps back",
        y_label="L1 norm of dL/dW, newest = 1",
    )
