"""Weights of Flax's `SimpleCell`, `GRUCell`, `LSTMCell` and `OptimizedLSTMCell`, as nested dicts of
arrays under Flax's own names. Nothing here imports Flax.

    params = from_flax("lstm", variables["params"])
    variables = {"params": to_flax("lstm", params)}

    params = from_flax("gru", nnx.to_pure_dict(nnx.state(module)), style="nnx")
    nnx.update(module, to_flax("gru", params, style="nnx"))

linen has a matrix for each gate; nnx has one for all of them, i, f, g, o or r, z, n, and no bias
inside the product of a GRU's reset gate. nnx.LSTMCell is as linen's, with the name `if_`.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from jaxrnn.base import Params, require_one_of
from jaxrnn.interop.gates import (
    Weights,
    block,
    order_of,
    params_of,
    plain,
    require_matrix,
    require_names,
    require_shape,
    require_zero,
    weights_of,
)

Style = Literal["linen", "nnx", "nnx.LSTMCell"]
ORDERS: dict[Style, dict[str, str]] = {
    "linen": {"elman": "n", "elman_relu": "n", "gru": "rzn", "lstm": "ifgo"},
    "nnx": {"elman": "n", "elman_relu": "n", "gru": "rzn", "lstm": "ifgo"},
    "nnx.LSTMCell": {"lstm": "ifgo"},
}

# Where a name's array belongs: a field of `Weights`, and the gates whose blocks it holds.
Places = dict[str, tuple[str, str]]


def to_flax(cell: str, params: Params, *, style: Style = "linen") -> dict[str, Any]:
    """Params as the nested dict of a Flax cell.

    Args:
      cell: "elman" (SimpleCell), "elman_relu" (with activation_fn=relu), "gru" or "lstm".
      params: of one layer.
      style: which of Flax's cells.

    Raises:
      ValueError: a cell that Flax does not have, params of another cell, or a bias that is not
        zero and has no place.
    """
    places = _places(cell, style)
    ours = weights_of(cell, params)._asdict()
    if ("b_h", "n") not in places.values():
        require_zero("b_hn", ours["b_h"], f"{style} has no such bias; give style='linen', or zeros")
    nested: dict[str, Any] = {}
    for name, (part, gates) in places.items():
        module, leaf = name.split(".")
        blocks = [block(cell, ours[part], gate) for gate in gates]
        nested.setdefault(module, {})[leaf] = np.concatenate(blocks, axis=-1)
    return nested


def from_flax(cell: str, weights: Mapping[str, Any], *, style: Style = "linen") -> Params:
    """The inverse.

    Raises:
      ValueError: names the array that is missing, unexpected or of another shape.
    """
    places = _places(cell, style)
    flat = {
        f"{module}.{leaf}": value
        for module, leaves in weights.items()
        for leaf, value in (leaves.items() if hasattr(leaves, "items") else [("", leaves)])
    }
    require_names(flat, places, of="weights")
    arrays = {name: plain(name, value) for name, value in flat.items()}
    first = {part: arrays[name] for name, (part, _) in reversed(places.items())}
    for name, (part, _) in places.items():
        if part in ("w_ih", "w_hh"):
            require_matrix(name, arrays[name])
    k, input_size, size = len(ORDERS[style][cell]), len(first["w_ih"]), len(first["w_hh"])
    rows = {"w_ih": (input_size,), "w_hh": (size,), "b_x": (), "b_h": ()}
    dtype = first["w_ih"].dtype
    ours = Weights(*(np.zeros((*rows[part], k * size), dtype) for part in Weights._fields))
    for name, (part, gates) in places.items():
        shape = (*rows[part], len(gates) * size)
        require_shape(name, arrays[name], shape, f"{cell} of hidden_size {size}")
        blocks = np.split(arrays[name], len(gates), axis=-1)
        for gate, values in zip(gates, blocks, strict=True):
            block(cell, getattr(ours, part), gate)[:] = values
    return params_of(cell, ours)


def _places(cell: str, style: Style) -> Places:
    require_one_of(ORDERS, style=style)
    gates = order_of(cell, ORDERS[style], f"Flax ({style})")
    # the one bias stands with h in its LSTM, with x elsewhere
    side = "h" if cell == "lstm" else "i"
    if style == "nnx":
        joint: Places = {"dense_i.kernel": ("w_ih", gates), "dense_h.kernel": ("w_hh", gates)}
        return joint | {f"dense_{side}.bias": ("b_x", gates)}
    places: Places = {}
    for gate in gates:
        suffix = "" if gates == "n" else gate
        from_x = "if_" if style == "nnx.LSTMCell" and gate == "f" else f"i{suffix}"
        bias = from_x if side == "i" else f"h{suffix}"
        places |= {f"{from_x}.kernel": ("w_ih", gate), f"h{suffix}.kernel": ("w_hh", gate)}
        places[f"{bias}.bias"] = ("b_x", gate)
    if cell == "gru":
        places["hn.bias"] = ("b_h", "n")
    return places
