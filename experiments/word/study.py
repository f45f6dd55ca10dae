"""The settings of a run: one, or those of a study, each a change of the config."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.word.config import Config
from jaxrnn.analysis.saturation import PINNED, saturation
from jaxrnn.base import Metrics, Params, TrainState
from jaxrnn.cell_files import find_cell
from jaxrnn.unroll import unroll

WATCHED = {"saturated": "the recurrent layer", "saturated_dense": "the tanh layer before the head"}
"""What is watched, by the field of the log."""

BASIC, RECOVERING, CLIPPED = "basic", "higher_rate", "clipped"
SHORT, WIDE, GRU, LSTM = "three_steps", "wide_weights", "gru", "lstm"

SATURATION: dict[str, dict[str, Any]] = {
    BASIC: {},
    RECOVERING: {"learning_rate": 0.05, "momentum": 0.8},
    CLIPPED: {"max_norm": 1.0},
    SHORT: {"num_steps": 3},
    WIDE: {"init": "default"},
    GRU: {"cell": "gru"},
    LSTM: {"cell": "lstm"},
}
"""What each setting of the diagnosis changes."""


def each_setting(config: Config) -> dict[str, Config]:
    """The config's trainings by name, in order."""
    if config.study == "none":
        return {"word": config}
    return {name: replace(config, **change) for name, change in SATURATION.items()}


Chunk = Callable[[TrainState], tuple[TrainState, Metrics]]


def watched(chunk: Chunk, config: Config, tokens: Array) -> Chunk:
    """`chunk` with the shares of saturated units, as its last params have them, among the metrics
    of all its steps."""

    def watching(state: TrainState):
        state, metrics = chunk(state)
        shares = shares_saturated(config, state.params, tokens)
        alike = {name: jnp.full_like(metrics["loss"], share) for name, share in shares.items()}
        return state, metrics | alike

    return watching


def shares_saturated(config: Config, params: Params, tokens: Array) -> Metrics:
    """Shares of units that are pinned at -1 or 1 (`PINNED`), on windows [T, B] of `tokens`: outputs
    of the (first) layer over all time steps, and the tanh units before the head at the last one."""
    layer = find_cell(config.cell)(config.embedding_size, config.hidden_size)
    keys = jax.random.split(jax.random.key(0), tokens.shape[1])
    carry = jax.vmap(layer.init_carry, in_axes=(None, 0))(params["layer_1"], keys)
    _, h = unroll(layer, params["layer_1"], carry, params["embed"]["w"][tokens])
    shares = {"saturated": saturation(h, PINNED.tanh).share}
    if config.dense_size and config.num_layers == 1:
        dense = params["hidden"]["linear"]
        units = jax.vmap(lambda h: jnp.tanh(h @ dense["w"] + dense["b"]))(h[-1])
        shares["saturated_dense"] = saturation(units, PINNED.tanh).share
    return shares
