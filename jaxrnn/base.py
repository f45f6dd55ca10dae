"""Types: what a cell, a batch, a gradient estimator and a training state are; and what every part
of the library does with leaves and arguments."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int, UInt32
from jaxtyping import Key as KeyArray

PyTree = Any
"""A tree of arrays. The names below say which tree is meant; jax treats all of them alike."""
Params = PyTree
"""What a cell learns."""
Carry = PyTree
"""What a cell hands from one time step to the next, or a gradient estimator from one batch to the
next."""
X = PyTree
"""What a cell reads at a time step."""
Y = PyTree
"""What a cell gives out at a time step."""

# Of an axis: an int, or a symbolic dimension where `jax.export` leaves it open.
Size = Any

Key = KeyArray[Array, ""] | UInt32[Array, " words"]
"""Of `jax.random.key`, or of the older `jax.random.PRNGKey`: there a key is words along an axis."""
Keys = KeyArray[Array, " B"] | UInt32[Array, "B words"]
"""One to a sequence."""
Metrics = dict[str, Array]
"""What a training step reports, by name; "loss" is always there."""


class Cell(NamedTuple):
    """A recurrence, written for one example and one time step.

    Attributes:
      init: `key -> params`.
      init_carry: `(params, key) -> carry`, the carry before the first time step of one example.
        It may depend on `params` (a learnt initial carry); deterministic cells ignore the key.
      step: `(params, carry, x) -> (carry, y)`. `partial(step, params)` is a `lax.scan` body, so the
        carry that comes out has the structure, shapes and dtypes of the one that went in.

    A whole model is a cell too (tokens to logits), made with `jaxrnn.chain`. A stochastic cell
    keeps a key leaf and an int32 step leaf in its carry and draws from `jax.random.fold_in(key,
    step)`; its factory takes `training`, and with False draws nothing, on the same trees.
    """

    init: Callable[[Key], Params]
    init_carry: Callable[[Params, Key], Carry]
    step: Callable[[Params, Carry, X], tuple[Carry, Y]]


Objective = Callable[[Y, PyTree], Array]
"""`(outputs, targets) -> losses`, one loss per time step. It sees outputs and targets with whatever
leading axes they have, e.g. logits [T, B, V] and targets [T, B] to losses [T, B]; optax's losses
fit as they are."""


class Batch(NamedTuple):
    """A stretch of every stream, time first as in `lax.scan`.

    Attributes:
      inputs: leaves [K + T, B, ...]: K time steps of history, then T scored ones.
      targets: leaves [T, B, ...], the targets of the last T inputs.
    """

    inputs: PyTree
    targets: PyTree


class GradientEstimator(NamedTuple):
    """A gradient style, orthogonal to cells.

    Attributes:
      init: `(params, key, batch_size) -> carry`, every leaf with the batch as its leading axis. The
        carry says where each sequence starts fresh; there the estimate begins from `init_carry`
        inside the differentiated function, so a learnt initial carry receives its gradient.
      estimate: `(params, carry, batch) -> (grads, carry, metrics)`; `metrics["loss"]` is the mean
        of the objective over the scored time steps and the batch.

    Truncation is where the carry crosses a call of `estimate`: a carry that arrives as an
    argument is a constant.
    """

    init: Callable[[Params, Key, int], Carry]
    estimate: Callable[[Params, Carry, Batch], tuple[Params, Carry, Metrics]]


class TrainState(NamedTuple):
    """All that training threads from one training step to the next.

    Attributes:
      params: of the cell.
      opt_state: of the optimizer; the learning rate is in it.
      carry: of the gradient estimator.
      key: a key of this training alone; what is drawn at a step comes from `fold_in(key, step)`.
      step: int32 [], training steps taken.
      position: int32 [], the next segment in the data of this epoch.
    """

    params: Params
    opt_state: PyTree
    carry: Carry
    key: Key
    step: Int[Array, ""]
    position: Int[Array, ""]


def widest_float(*trees: PyTree) -> Any:
    """The widest type of real numbers in `trees`, at least float32; of a complex number that of its
    parts. What is made beside them has this type and not JAX's own, which is float64 as soon as
    any part of a program sets `jax_enable_x64`."""
    kinds = [leaf.dtype for leaf in jax.tree.leaves(trees) if hasattr(leaf, "dtype")]
    floats = [jnp.finfo(kind).dtype for kind in kinds if jnp.issubdtype(kind, jnp.inexact)]
    widest = max([jnp.dtype(jnp.float32), *floats], key=lambda kind: kind.itemsize)
    return jax.dtypes.canonicalize_dtype(widest)


def distinct(tree: PyTree) -> PyTree:
    """`tree` with a copy in each place where an array comes again. Donated to a compiled function,
    one array in two places would be given away twice, which JAX refuses."""
    seen = set()

    def own(leaf):
        if not isinstance(leaf, jax.Array):
            return leaf
        again = id(leaf) in seen
        seen.add(id(leaf))
        return jnp.copy(leaf) if again else leaf

    return jax.tree.map(own, tree)


def draw_bernoulli(key: Key, probability: ArrayLike, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Truth values that are the same with `jax_enable_x64` and without: a Python number would be
    compared with numbers of more bits there, which are other draws."""
    return jax.random.bernoulli(key, jnp.float32(probability), shape)


def named_leaves(tree: PyTree, separator: str = ".") -> dict[str, Any]:
    """The leaves of a tree under their paths: "layer_1.w_hh"."""
    return {path_name(path, separator): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def path_name(path: tuple, separator: str = ".") -> str:
    return jax.tree_util.keystr(path, simple=True, separator=separator)


def require_positive(**sizes: int) -> None:
    """The one check that every factory makes: sizes are whole numbers of at least 1.

    Raises:
      ValueError: names the first size that is not.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} is {size!r}; give a whole number of at least 1")


def require_one_of(known: Iterable[str], **choices: str) -> None:
    """A choice of a factory is one of those that are `known`.

    Raises:
      ValueError: names the first choice that is not.
    """
    known = tuple(known)
    for name, choice in choices.items():
        if choice not in known:
            raise ValueError(f"{name} is {choice!r}; give one of {', '.join(known)}")
