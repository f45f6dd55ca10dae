"""What a model of tokens does while it reads one text: predictions, units, connectivity."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Int

from jaxrnn.analysis.activations import activations
from jaxrnn.analysis.connectivity import SQUARE_ROOT, SQUARED, connectivity
from jaxrnn.analysis.named import name_values
from jaxrnn.base import Carry, Cell, Params
from jaxrnn.tokens import one_hot_vectors

ONE_HOT = "one_hot_input"
"""The name of what `reading_one_hot` reads."""


class Predictions(NamedTuple):
    """Of each token but the first, from all that stand before it; P = N - 1.

    Attributes:
      loss: [P], nats: the surprise at the token that came.
      entropy: [P], nats: the surprise that the model expected.
      rank: [P], of the token that came among all; 1 is the likeliest.
      likeliest: [P, K], tokens, the likeliest first.
      probability: [P, K], of these.
    """

    loss: Float[Array, " P"]
    entropy: Float[Array, " P"]
    rank: Int[Array, " P"]
    likeliest: Int[Array, "P K"]
    probability: Float[Array, "P K"]


def predict(
    cell: Cell, params: Params, carry: Carry, tokens: Int[Array, " N"], *, most: int
) -> Predictions:
    """The predictions of `tokens` [N] by a cell from tokens to logits, with the `most` likeliest of
    each."""
    _, logits = lax.scan(partial(cell.step, params), carry, tokens[:-1])
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    came = jnp.take_along_axis(logs, tokens[1:, None], axis=1)
    top, likeliest = lax.top_k(logs, min(most, logs.shape[1]))
    return Predictions(
        loss=-came[:, 0],
        entropy=-(jnp.exp(logs) * logs).sum(1),
        rank=1 + (logs > came).sum(1),
        likeliest=likeliest,
        probability=jnp.exp(top),
    )


def both_measures(
    cell: Cell,
    params: Params,
    carry: Carry,
    tokens: Int[Array, " N"],
    *,
    lags: int,
    vocab_size: int,
) -> dict[str, Float[Array, "P L"]]:
    """Connectivity in both published measures, {"square_root", "squared"}, of the predictions of
    `predict`.

    The first is of the embedding where the model has a value of that name, else of the one-hot
    input, as the second always is.
    """
    xs, targets = tokens[:-1], tokens[1:]
    reader = reading_one_hot(cell, vocab_size)
    embeds = "embed" in name_values(cell, params, carry, xs[0]).shapes
    first, at = (cell, "embed") if embeds else (reader, ONE_HOT)
    return {
        "square_root": connectivity(
            first, params, carry, xs, targets, SQUARE_ROOT, at=at, lags=lags
        ),
        "squared": connectivity(reader, params, carry, xs, targets, SQUARED, at=ONE_HOT, lags=lags),
    }


def reading_one_hot(cell: Cell, vocab_size: int) -> Cell:
    """`cell` that makes its tokens one-hot vectors itself, as the value `ONE_HOT`: a text of them
    would be V times as large."""

    def step(params, carry, token):
        x = checkpoint_name(one_hot_vectors(token, vocab_size), ONE_HOT)
        return cell.step(params, carry, x)

    return cell._replace(step=step)


def unit_values(
    cell: Cell,
    params: Params,
    carry: Carry,
    tokens: Int[Array, " N"],
    patterns: Sequence[str] = (),
) -> dict[str, Float[Array, "N U"]]:
    """What units hold after each token has been read, by the name of their layer.

    Args:
      patterns: names of `jaxrnn.analysis.named` as shells have them, such as "layer_2/*"; empty
        takes the leaves of the carry.
      cell, params, carry, tokens: as in `predict`.

    Raises:
      ValueError: a pattern that no name follows, or a carry without numbers.
    """
    every = activations(cell, params, carry, tokens).named
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise ValueError(f"--units is {pattern!r}; the names are {', '.join(every)}")
    carried = name_values(cell, params, carry, tokens[0]).carry
    chosen = [n for n in every if any(fnmatchcase(n, pattern) for pattern in patterns)]
    wanted = chosen if patterns else carried
    if not wanted:
        raise ValueError("the cell's carry holds no numbers; name other values with --units")
    values = {}
    for name in wanted:
        flat = every[name].reshape(len(tokens), -1)
        if jnp.iscomplexobj(flat):
            values[f"{name} (real)"], values[f"{name} (imaginary)"] = flat.real, flat.imag
        else:
            values[name] = flat.astype(jnp.float32)
    return values


def most_varied(values: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Of each name's units the numbers of those to keep, so that at most `count` remain: the same
    part of every name, and of it those whose values vary the most."""
    part = min(1.0, count / sum(array.shape[1] for array in values.values()))
    kept = {}
    for name, array in values.items():
        order = np.argsort(-array.std(0), kind="stable")
        kept[name] = np.sort(order[: int(part * array.shape[1])])
    return kept
