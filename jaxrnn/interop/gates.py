"""What every framework's layer consists of: a matrix for x, one for h and a bias with each of them,
their columns in blocks, one a gate.

The frameworks differ in the order of the blocks, in which biases exist, and in the names.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.base import Params, widest_float
from jaxrnn.cells import CELLS

# Ours, a letter for each block of columns; n is the candidate of elman and gru.
GATES = {
    "elman": "n",
    "elman_relu": "n",
    "gru": "rzn",
    "gru_reset_before": "rzn",
    "lstm": "ifog",
}


class Weights(NamedTuple):
    """A layer in our order of gates.

    Attributes:
      w_ih: [I, k*H], applied as x @ w.
      w_hh: [H, k*H].
      b_x: [k*H], added to x @ w_ih.
      b_h: [k*H], added to h @ w_hh.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_x: np.ndarray
    b_h: np.ndarray


def weights_of(cell: str, params: Params) -> Weights:
    """Our params as plain arrays. Where one bias serves both products it is with x, and the one
    with h is zero.

    Raises: ValueError, params of another cell, or not of one layer.
    """
    _require_params(cell, params)
    leaves = {name: np.array(leaf) for name, leaf in params._asdict().items()}
    b_h = np.zeros_like(leaves["b"])
    if "b_hn" in leaves:
        block(cell, b_h, "n")[:] = leaves["b_hn"]
    return Weights(leaves["w_ih"], leaves["w_hh"], leaves["b"], b_h)


def params_of(cell: str, weights: Weights) -> Params:
    """The inverse: two biases that are added to the same sum become one. Of the widest type of the
    weights, at least float32."""
    dtype = widest_float(tuple(weights))
    like = _params_like(cell, *weights.w_ih.shape[:1], *weights.w_hh.shape[:1])
    # a sum of 16 bits would be rounded to as many
    weights = Weights(*(a.astype(np.float64) for a in weights))
    b = weights.b_x + weights.b_h
    leaves = {"w_ih": weights.w_ih, "w_hh": weights.w_hh, "b": b}
    if "b_hn" in like._fields:  # the reset gate multiplies it, so it is no part of the other
        block(cell, b, "n")[:] = block(cell, weights.b_x, "n")
        leaves["b_hn"] = block(cell, weights.b_h, "n")
    return type(like)(**{name: jnp.array(leaf, dtype) for name, leaf in leaves.items()})


def _require_params(cell: str, params: Params) -> None:
    expected = type(_params_like(cell, 1, 1))
    if type(params) is not expected:
        raise ValueError(
            f"params are {type(params).__name__}, those of {cell} are {expected.__name__}; "
            "give the params of the cell itself, and its own name"
        )
    for name in ("w_ih", "w_hh"):
        require_matrix(f"params.{name}", getattr(params, name))
    like = _params_like(cell, len(params.w_ih), len(params.w_hh))
    for name, leaf in params._asdict().items():
        why = f"{cell} of hidden_size {len(params.w_hh)}"
        require_shape(f"params.{name}", leaf, getattr(like, name).shape, why)


def _params_like(cell: str, input_size: int, hidden_size: int) -> Any:
    return jax.eval_shape(CELLS[cell](input_size, hidden_size).init, jax.random.key(0))


def block(cell: str, array: np.ndarray, gate: str) -> np.ndarray:
    """The columns of one gate of an array in our order, a view."""
    gates = GATES[cell]
    size = array.shape[-1] // len(gates)
    start = gates.index(gate) * size
    return array[..., start : start + size]


def to_order(cell: str, array: np.ndarray, order: str) -> np.ndarray:
    """An array of ours with its blocks of columns in another order."""
    return np.concatenate([block(cell, array, gate) for gate in order], axis=-1)


def from_order(cell: str, array: np.ndarray, order: str) -> np.ndarray:
    """The inverse."""
    blocks = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in GATES[cell]], axis=-1)


def order_of(cell: str, orders: Mapping[str, str], framework: str) -> str:
    """The order of gates in which a framework has this cell.

    Raises: ValueError if it has not.
    """
    known = [name for name in orders if name in CELLS]
    if cell not in known:
        raise ValueError(f"cell is {cell!r}; {framework} has {', '.join(known)}")
    return orders[cell]


def plain(name: str, value: Any) -> np.ndarray:
    """A copy of a framework's array. Raises: ValueError, it is none or holds no floats."""
    try:
        array = np.asarray(value).copy()
    except Exception as error:
        raise ValueError(
            f"{name} is a {type(value).__name__} that numpy cannot read; give a numpy array "
            "(of a PyTorch tensor, .detach().cpu().float().numpy())"
        ) from error
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} has dtype {array.dtype}; give an array of floats")
    return array


def require_names(found: Mapping[str, Any], required: Any, allowed: Any = (), *, of: str) -> None:
    """All the names of a layer and no other. Raises: ValueError that lists them."""
    if missing := [name for name in required if name not in found]:
        names = ", ".join(list(found)[:8]) + (", ..." if len(found) > 8 else "")
        raise ValueError(f"{of} lacks {', '.join(missing)}; it holds {names or 'nothing'}")
    if unexpected := [name for name in found if name not in {*required, *allowed}]:
        raise ValueError(
            f"{of} holds {', '.join(unexpected)}, for which the cell has no place; leave it out, "
            "or name the cell it belongs to"
        )


def require_shape(
    name: str, array: np.ndarray | jax.Array, shape: tuple[int, ...], why: str
) -> None:
    """Raises: ValueError."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; {why} takes {shape}")


def require_matrix(name: str, array: np.ndarray | jax.Array) -> None:
    """Raises: ValueError."""
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}; give a matrix")


def require_zero(name: str, array: np.ndarray, remedy: str) -> None:
    """A bias that the other side has no place for is never dropped unless it adds nothing.

    Raises: ValueError.
    """
    largest = float(np.abs(array).max(initial=0))
    if largest:
        raise ValueError(f"{name} is not zero (up to {largest:.3g}); {remedy}")
