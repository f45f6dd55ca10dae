"""R2RT's character model in every library: embedding, LSTM layers, linear head, on our weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.libraries import LAST_TWO, flax_params, reorder
from experiments.speed.presets import Shape
from jaxrnn.base import Batch, Cell
from jaxrnn.models import TokenModel, build_model
from jaxrnn.token_model import Precision

VOCAB_SIZE = 65  # of tiny-shakespeare


class Problem(NamedTuple):
    """The model, its first weights and a batch."""

    model: Cell
    params: Any
    batch: Batch


def make_problem(shape: Shape, num_layers: int, precision: Precision = "float32") -> Problem:
    batch_size, num_steps, size = shape
    config = TokenModel(VOCAB_SIZE, VOCAB_SIZE, "lstm", size, num_layers, size, precision=precision)
    model = build_model(config)
    key = jax.random.key(1)
    tokens = jax.random.randint(key, (num_steps + 1, batch_size), 0, VOCAB_SIZE)
    params = jax.jit(model.init)(jax.random.key(0))
    return Problem(model, params, Batch(tokens[:-1], tokens[1:]))


def layers_of(params: Any) -> list[Any]:
    """Params of the recurrent layers, the first one first."""
    return [params[f"layer_{i + 1}"] for i in range(len(params) - 2)]


def flax_model(params: Any) -> tuple[Any, Any]:
    """A module `(tokens, carries) -> (carries, logits)` and its params; carries are (c, h)."""
    from flax import linen as nn

    vocab_size, size = params["embed"]["w"].shape

    class Model(nn.Module):
        @nn.compact
        def __call__(self, tokens, carries):
            x = nn.Embed(vocab_size, size)(tokens)
            new = []
            for carry in carries:
                layer = nn.RNN(nn.OptimizedLSTMCell(size), time_major=True, return_carry=True)
                carry, x = layer(x, initial_carry=carry)
                new.append(carry)
            return new, nn.Dense(vocab_size)(x)

    theirs = {"Embed_0": {"embedding": params["embed"]["w"]}}
    for i, layer in enumerate(layers_of(params)):
        theirs[f"OptimizedLSTMCell_{i}"] = flax_params("lstm", layer)
    theirs["Dense_0"] = {"kernel": params["head"]["w"], "bias": params["head"]["b"]}
    return Model(), theirs


def torch_model(params: Any) -> Any:
    """A module `(tokens, carry) -> (logits, carry)` with one nn.LSTM of all layers."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch import nn  # pyright: ignore[reportMissingImports]

    vocab_size, size = params["embed"]["w"].shape
    layers = layers_of(params)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(vocab_size, size)
            self.layers = nn.LSTM(size, size, num_layers=len(layers))
            self.head = nn.Linear(size, vocab_size)

        def forward(self, tokens, carry):
            x, carry = self.layers(self.embed(tokens), carry)
            return self.head(x), carry

    model = Model()
    ours = [np.asarray(params["embed"]["w"])]
    for layer in layers:
        w_ih, w_hh, b = (reorder(np.asarray(a), LAST_TWO) for a in layer)
        ours += [w_ih.T, w_hh.T, b, np.zeros_like(b)]
    ours += [np.asarray(params["head"]["w"]).T, np.asarray(params["head"]["b"])]
    with torch.no_grad():
        for weight, value in zip(model.parameters(), ours, strict=True):
            weight.copy_(torch.tensor(value))
    return model


def zero_carry(cell: Cell, params: Any, batch_size: int) -> Any:
    """The carry of a batch before its first time step, of a cell that begins with zeros."""
    return jax.vmap(cell.init_carry, in_axes=(None, 0))(
        params, jax.random.split(jax.random.key(0), batch_size)
    )


def zero_carries(params: Any, batch_size: int) -> list[Any]:
    """The same as Flax has it: of every layer, twice zeros [B, H]."""
    zeros = jnp.zeros((batch_size, params["embed"]["w"].shape[1]))
    return [(zeros, jnp.copy(zeros)) for _ in layers_of(params)]
