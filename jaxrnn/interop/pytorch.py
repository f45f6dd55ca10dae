"""Weights of PyTorch's `nn.RNN`, `nn.GRU` and `nn.LSTM`, under the names of their `state_dict`.

Nothing here imports PyTorch: weights are plain arrays by name. A tensor on the CPU is one.

    params = from_pytorch("lstm", layer.state_dict())     # a list, one a layer
    layer.load_state_dict({name: torch.tensor(a) for name, a in to_pytorch("lstm", params).items()})

PyTorch has the gates of an LSTM as i, f, g, o, the matrices transposed, and two biases where one
does: the sum is kept, and in the inverse the second one is zero but for the n of a GRU.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxrnn.base import Params, require_one_of
from jaxrnn.interop.gates import (
    Weights,
    from_order,
    order_of,
    params_of,
    plain,
    require_matrix,
    require_names,
    require_shape,
    require_zero,
    to_order,
    weights_of,
)

ORDERS = {"elman": "n", "elman_relu": "n", "gru": "rzn", "lstm": "ifgo"}

Direction = Literal["single", "forward", "backward"]
SUFFIXES: dict[Direction, str] = {"single": "", "forward": "", "backward": "_reverse"}


def to_pytorch(
    cell: str,
    layers: Sequence[Params],
    *,
    prefix: str = "",
    direction: Direction = "single",
    bias: bool = True,
) -> dict[str, np.ndarray]:
    """Params of one or more layers as a `state_dict` of numpy arrays.

    Args:
      cell: "elman" (nn.RNN), "elman_relu" (nn.RNN with nonlinearity="relu"), "gru" or "lstm".
      layers: the params of each layer, the first one first.
      prefix: before every name, such as "rnn." for the attribute `rnn` of a module.
      direction: "backward" for the names of a bidirectional layer's second direction. Its halves
        are two calls, joined by `|`.
      bias: False for a layer made with `bias=False`.

    Raises:
      ValueError: a cell that PyTorch does not have, params of another cell, or a bias that is not
        zero with `bias=False`.
    """
    order = order_of(cell, ORDERS, "PyTorch")
    require_one_of(SUFFIXES, direction=direction)
    if hasattr(layers, "_fields"):
        raise ValueError(f"layers is one {type(layers).__name__}; give a list of them")
    weights = {}
    for k, params in enumerate(layers):
        ours = weights_of(cell, params)
        # its rows are our columns
        w_ih, w_hh = (to_order(cell, w, order).T for w in ours[:2])
        b_x, b_h = (to_order(cell, b, order) for b in ours[2:])
        arrays = (w_ih, w_hh, b_x, b_h)
        names = _names(prefix, k, direction)
        if not bias:
            for name, array in zip(names[2:], arrays[2:], strict=True):
                require_zero(name, array, "give bias=True, or params whose bias is zero")
        kept = 4 if bias else 2
        pairs = zip(names[:kept], arrays[:kept], strict=True)
        weights |= {name: np.ascontiguousarray(array) for name, array in pairs}
    return weights


def from_pytorch(
    cell: str,
    weights: Mapping[str, Any],
    *,
    prefix: str = "",
    direction: Direction = "single",
) -> list[Params]:
    """The params of every layer in a `state_dict`, as many as there are.

    Args:
      cell: as in `to_pytorch`; the names do not tell "elman" from "elman_relu".
      weights: arrays by name; a layer made with `bias=False` has no biases, ours are then zero.
      prefix: only names that begin with it are looked at.
      direction: "forward" or "backward": one half of a bidirectional layer, whose layers but the
        first take the outputs of both. "single" refuses a second direction.

    Returns:
      A list of params, in float32; in float64 where weights are and `jax_enable_x64` is set.

    Raises:
      ValueError: names the array that is missing, unexpected or of another shape.
    """
    order = order_of(cell, ORDERS, "PyTorch")
    require_one_of(SUFFIXES, direction=direction)
    where = f"the weights under {prefix!r}" if prefix else "weights"
    mine = {name: value for name, value in weights.items() if name.startswith(prefix)}
    if projected := [name for name in mine if name.startswith(f"{prefix}weight_hr_l")]:
        raise ValueError(
            f"{where} hold {projected[0]}, of an nn.LSTM with proj_size, whose h is projected "
            "before it is fed back; no cell here does that: give a layer with proj_size=0"
        )
    layers, seen = [], []
    while not layers or _names(prefix, len(layers), direction)[0] in mine:
        names = _names(prefix, len(layers), direction)
        kept = 4 if names[2] in mine or names[3] in mine else 2
        require_names(mine, names[:kept], mine, of=where)
        arrays = [plain(name, mine[name]) for name in names[:kept]]
        layers.append(params_of(cell, _layer(cell, order, names, arrays)))
        seen += names
    if direction != "single":
        other: Direction = "backward" if direction == "forward" else "forward"
        seen += [name for k in range(len(layers)) for name in _names(prefix, k, other)]
    elif any(name.endswith("_reverse") for name in mine):
        raise ValueError(
            f"{where} hold a second direction; give direction='forward' or 'backward', one a call"
        )
    require_names(mine, (), seen, of=where)
    return layers


def _layer(cell: str, order: str, names: Sequence[str], arrays: Sequence[np.ndarray]) -> Weights:
    w_ih, w_hh = arrays[:2]
    for name, array in zip(names, (w_ih, w_hh), strict=False):
        require_matrix(name, array)
    k = len(order)
    size, input_size = w_hh.shape[-1], w_ih.shape[-1]
    require_shape(names[0], w_ih, (k * size, input_size), f"{cell} of hidden_size {size}")
    require_shape(names[1], w_hh, (k * size, size), f"{cell} of hidden_size {size}")
    biases = list(arrays[2:]) or [np.zeros(k * size, w_ih.dtype)] * 2
    for name, b in zip(names[2:], biases, strict=True):
        require_shape(name, b, (k * size,), f"{cell} of hidden_size {size}")
    return Weights(*(from_order(cell, a, order) for a in (w_ih.T, w_hh.T, *biases)))


def _names(prefix: str, k: int, direction: Direction) -> list[str]:
    """Of layer k: the matrices for x and h, the biases with them."""
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [f"{prefix}{part}_l{k}{SUFFIXES[direction]}" for part in parts]
