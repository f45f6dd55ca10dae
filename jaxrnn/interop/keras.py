"""Weights of Keras's `SimpleRNN`, `GRU` (both reset modes) and `LSTM`, one layer at a time.

Nothing here imports Keras: weights are plain arrays under the names of the layer's weights, in the
order of `layer.get_weights()`.

    params = from_keras("lstm", dict(zip(NAMES, layer.get_weights())))
    layer.set_weights(list(to_keras("lstm", params).values()))

Keras has the gates of an LSTM as i, f, c, o (c is our g), those of a GRU as z, r, h (our n). Its
`reset_after=True` is our `gru`, with a second row of biases for h; `reset_after=False` is
`gru_reset_before`. A layer whose `activation` or `recurrent_activation` is not the default computes
something else on the same weights; before Keras 2.3 the default was `hard_sigmoid`.

The CuDNNLSTM and CuDNNGRU of Keras before 2.3 are read too: they have both biases one behind the
other, twice as many numbers, and each gate's matrices in the layout of cuDNN.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrnn.base import Params
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

ORDERS = {"elman": "n", "elman_relu": "n", "gru": "zrn", "gru_reset_before": "zrn", "lstm": "ifgo"}
NAMES = ("kernel", "recurrent_kernel", "bias")


def to_keras(cell: str, params: Params, *, use_bias: bool = True) -> dict[str, np.ndarray]:
    """Params as "kernel", "recurrent_kernel" and, unless `use_bias` is False, "bias".

    Raises:
      ValueError: a cell that Keras does not have, params of another cell, or a bias that is not
        zero without `use_bias`.
    """
    order = order_of(cell, ORDERS, "Keras")
    w_ih, w_hh, b_x, b_h = (to_order(cell, array, order) for array in weights_of(cell, params))
    weights = {"kernel": w_ih, "recurrent_kernel": w_hh}
    bias = np.stack([b_x, b_h]) if _two_biases(cell) else b_x
    if not use_bias:
        require_zero("bias", bias, "give use_bias=True, or params whose bias is zero")
        return weights
    return weights | {"bias": bias}


def from_keras(cell: str, weights: Mapping[str, Any]) -> Params:
    """The inverse; a layer without biases has ours zero.

    Args:
      cell: "elman" (SimpleRNN), "elman_relu" (with activation="relu"), "gru" (reset_after=True),
        "gru_reset_before" or "lstm". A GRU without biases does not show its reset mode. CuDNNGRU is
        "gru", CuDNNLSTM "lstm".
      weights: arrays by name.

    Raises:
      ValueError: names the array that is missing, unexpected or of another shape.
    """
    order = order_of(cell, ORDERS, "Keras")
    require_names(weights, NAMES[:2], NAMES[2:], of="weights")
    arrays = {name: plain(name, value) for name, value in weights.items()}
    w_ih, w_hh = arrays["kernel"], arrays["recurrent_kernel"]
    for name in NAMES[:2]:
        require_matrix(name, arrays[name])
    size, width = len(w_hh), len(order) * len(w_hh)
    why = f"{cell} of hidden_size {size}"
    require_shape("recurrent_kernel", w_hh, (size, width), why)
    require_shape("kernel", w_ih, (len(w_ih), width), why)
    shape = (2, width) if _two_biases(cell) else (width,)
    if arrays.get("bias", w_hh).shape == (2 * width,) and cell in ("gru", "lstm"):
        halves = np.split(arrays["bias"], 2)
        matrices = _of_cudnn(w_ih, len(order)), _of_cudnn(w_hh, len(order))
        return params_of(cell, Weights(*(from_order(cell, a, order) for a in (*matrices, *halves))))
    bias = arrays.get("bias", np.zeros(shape, w_ih.dtype))
    _require_reset_mode(cell, bias, width)
    require_shape("bias", bias, shape, why)
    b_x, b_h = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return params_of(cell, Weights(*(from_order(cell, a, order) for a in (w_ih, w_hh, b_x, b_h))))


def _of_cudnn(matrix: np.ndarray, gates: int) -> np.ndarray:
    """Of each gate cuDNN has the transpose, row after row, in the place of the matrix [I, H]."""
    blocks = np.split(matrix, gates, axis=-1)
    return np.concatenate([b.reshape(b.shape[::-1]).T for b in blocks], axis=-1)


def _two_biases(cell: str) -> bool:
    return cell == "gru"


def _require_reset_mode(cell: str, bias: np.ndarray, width: int) -> None:
    other = {("gru", (width,)): "False", ("gru_reset_before", (2, width)): "True"}
    if mode := other.get((cell, bias.shape)):
        fit = "gru_reset_before" if cell == "gru" else "gru"
        raise ValueError(
            f"bias has shape {bias.shape}, that of a GRU with reset_after={mode}; "
            f"give cell {fit!r} in place of {cell!r}"
        )
