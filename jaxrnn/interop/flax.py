"""Flax's recurrent cells, linen and nnx, as cells of jaxrnn.

    def mgu(input_size, hidden_size):
        return from_linen(nn.MGUCell(hidden_size), input_size)

    def nnx_gru(input_size, hidden_size):
        return from_nnx(lambda rngs: nnx.GRUCell(input_size, hidden_size, rngs=rngs), input_size)

They are read by the scheduler like any other cell.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from jaxrnn.base import Cell

# Of x: the number of features, or the whole shape for a cell that takes images, say.
Shape = int | tuple[int, ...]


def from_linen(module: linen.RNNCellBase, input_size: Shape) -> Cell:
    """A linen cell as a `Cell`; x [I], the carry and y are those of the module for one example.

    Params are the module's collection "params", so that weights of Flax fit as they are.

    Args:
      module: such as `nn.LSTMCell(hidden_size)`; its steps draw nothing.
      input_size: I, or the shape of x, such as (28, 28, 3) for an `nn.ConvLSTMCell`.

    Raises:
      ValueError: the module has other variables than params. A step could change them, and what
        changes belongs in the carry.
    """
    shape = _shape(input_size)

    def init(key):
        key_params, key_carry = jax.random.split(key)
        carry = module.initialize_carry(key_carry, shape)
        return module.init(key_params, carry, jnp.zeros(shape, jnp.float32))["params"]

    def init_carry(params, key):
        return module.initialize_carry(key, shape)

    def step(params, carry, x):
        return module.apply({"params": params}, carry, x)

    carry = module.initialize_carry(jax.random.key(0), shape)
    variables = jax.eval_shape(module.init, jax.random.key(0), carry, jnp.zeros(shape, jnp.float32))
    if others := [name for name in variables if name != "params"]:
        raise ValueError(
            f"{type(module).__name__} has the collections {', '.join(others)} beside params; "
            "keep what changes in the carry of the module"
        )
    return Cell(init, init_carry, step)


def from_nnx(make: Callable[[nnx.Rngs], Any], input_size: Shape) -> Cell:
    """An nnx cell as a `Cell`; x [I], the carry and y are those of the module for one example.

    Params are the module's variables as nested dicts, without random streams. What a step changes
    (a random stream it draws from, a running mean) is in the carry, for each example its own; the
    carry is then {"carry": the module's, "changed": those variables}.

    Args:
      make: makes the module, such as `lambda rngs: nnx.GRUCell(I, H, rngs=rngs)`.
      input_size: I, or the shape of x.

    Raises:
      ValueError: a step changes an `nnx.Param`.
    """
    shape = _shape(input_size)
    variables = _Variables(make, shape)

    def init(key):
        return variables.nested(make(nnx.Rngs(key)), variables.kept)

    def init_carry(params, key):
        key_module, key_carry = jax.random.split(key)
        changed = variables.nested(make(nnx.Rngs(key_module)), variables.changed)
        module = variables.module(params, changed, variables.idle())
        carry = module.initialize_carry(shape, nnx.Rngs(key_carry))
        return {"carry": carry, "changed": changed} if variables.changed else carry

    def step(params, carry, x):
        if not variables.changed:
            return variables.module(params, variables.idle())(carry, x)
        module = variables.module(params, carry["changed"], variables.idle())
        new, y = module(carry["carry"], x)
        return {"carry": new, "changed": variables.nested(module, variables.changed)}, y

    return Cell(init, init_carry, step)


class _Variables:
    """Which variables of an nnx module are params, and which a step changes."""

    def __init__(self, make: Callable[[nnx.Rngs], Any], shape: tuple[int, ...]):
        abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
        self._graph, state = nnx.split(abstract)
        kinds = dict(nnx.to_flat_state(state))
        self._types = {path: variable.get_value() for path, variable in kinds.items()}
        random = [path for path, variable in kinds.items() if isinstance(variable, nnx.RngState)]
        changes = self._changed_by_a_step(shape)
        for path in changes:
            if isinstance(kinds[path], nnx.Param):
                name = ".".join(map(str, path))
                raise ValueError(f"a step changes the parameter {name}; make it an nnx.Variable")
        if not set(random).isdisjoint(changes):  # the keys go with their counts
            changes = [path for path in kinds if path in changes or path in random]
        self.changed = changes
        self.kept = [path for path in kinds if path not in changes and path not in random]
        self._streams = [path for path in random if path not in changes]

    def module(self, *parts: dict[Any, Any]) -> Any:
        """The module with the values in nested dicts `parts`."""
        flat = [pair for part in parts for pair in _flat(part)]
        return nnx.merge(self._graph, nnx.from_flat_state(flat))

    def nested(self, module: Any, paths: list[tuple]) -> dict[Any, Any]:
        """The values of the variables at `paths`."""
        flat = dict(nnx.to_flat_state(nnx.state(module)))
        return _nested({path: flat[path].get_value() for path in paths})

    def idle(self) -> dict[Any, Any]:
        """Random streams that no step draws from: the module does not go together without them."""
        return _nested({path: _zero(self._types[path]) for path in self._streams})

    def _changed_by_a_step(self, shape: tuple[int, ...]) -> list[tuple]:
        """A variable that a step leaves alone comes out as what went in, of the same name in the
        step's equations."""
        paths = list(self._types)

        def made(values):
            flat = list(zip(paths, values, strict=True))
            return nnx.merge(self._graph, nnx.from_flat_state(flat))

        def run(values, carry, x):
            module = made(values)
            module(carry, x)
            after = dict(nnx.to_flat_state(nnx.state(module)))
            return [after[path].get_value() for path in paths]

        def first_carry(values):
            return made(values).initialize_carry(shape, nnx.Rngs(0))

        values = list(self._types.values())
        carry = jax.eval_shape(first_carry, values)
        jaxpr = jax.make_jaxpr(run)(values, carry, jnp.zeros(shape, jnp.float32)).jaxpr
        ins, outs = jaxpr.invars[: len(paths)], jaxpr.outvars
        return [path for path, a, b in zip(paths, ins, outs, strict=True) if a is not b]


def _flat(nested: Any, path: tuple = ()) -> list[tuple[tuple, Any]]:
    if not isinstance(nested, dict):
        return [(path, nested)]
    return [pair for name, part in nested.items() for pair in _flat(part, (*path, name))]


def _nested(flat: dict[tuple, Any]) -> dict[Any, Any]:
    nested: dict[Any, Any] = {}
    for path, value in flat.items():
        inner = nested
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return nested


def _zero(kind: jax.ShapeDtypeStruct) -> jax.Array:
    if jnp.issubdtype(kind.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0), kind.shape) if kind.shape else jax.random.key(0)
    return jnp.zeros(kind.shape, kind.dtype)


def _shape(input_size: Shape) -> tuple[int, ...]:
    return (input_size,) if isinstance(input_size, int) else tuple(input_size)
