"""What a trained model keeps in its carry, and what its predictions depend on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from experiments.memorization.phases import windows_of
from jaxrnn.analysis.connectivity import SQUARE_ROOT, window_connectivity
from jaxrnn.analysis.memory import half_life, mean_lag, share_beyond
from jaxrnn.base import Cell, Params
from jaxrnn.models import cross_entropy
from jaxrnn.unroll import unroll

PLACES = (130, *range(177, 193), 699)
"""Windows whose connectivity the notebook shows, by their first character."""
INTO_NVIDIA = range(177, 193)
"""Of these the windows that run into the word "nvidia"."""
FIRST, LENGTH = 130, 64
"""Where the notebook's activations begin, and over how many windows."""


class Seen(NamedTuple):
    """What one model shows.

    Attributes:
      loss: nats, mean over all windows of the text.
      accuracy: of the likeliest next character.
      connectivity: [N, W] of the windows at `places_in`, by lag.
      activations: name of a carry leaf to [M, H], squared, after each window of `shown_in`.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    connectivity: Float[Array, "N W"]
    activations: dict[str, Float[Array, "M H"]]


def places_in(count: int) -> list[int]:
    """The published places that a text of `count` windows has; its last window where it has
    none."""
    return [place for place in PLACES if place < count] or [count - 1]


def shown_in(count: int) -> range:
    """The windows whose activations are shown, in a text of `count`: the published ones, or the
    first ones where it has none of them."""
    first = FIRST if count > FIRST else 0
    return range(first, min(first + LENGTH, count))


def see(cell: Cell, params: Params, tokens: Int[Array, " N"], window: int) -> Seen:
    """Pure; every window is read from a fresh carry."""
    xs, targets = windows_of(tokens, window)
    key = jax.random.key(0)
    carry = jax.vmap(lambda _: cell.init_carry(params, key))(targets)
    last, logits = unroll(cell, params, carry, xs)
    places = jnp.array(places_in(len(targets)))
    shown = jnp.array(shown_in(len(targets)))
    squares = {
        jax.tree_util.keystr(path, simple=True) or "h": leaf[shown] ** 2
        for path, leaf in jax.tree.leaves_with_path(last["layer_1"])
        if leaf.ndim == 2 and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    return Seen(
        loss=cross_entropy(logits[-1], targets).mean(),
        accuracy=(logits[-1].argmax(-1) == targets).mean(),
        connectivity=window_connectivity(
            cell, params, key, xs[:, places].T, targets[places], SQUARE_ROOT, at="embed"
        ),
        activations=squares,
    )


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
