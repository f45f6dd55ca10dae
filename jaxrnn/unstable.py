"""Every name of JAX that is not both public and stable, and which releases have what.

The rest of the library takes these from here, so that a release that moves one is met in one place.
Checked on JAX 0.10.2, 0.11.2 and 0.12.0.1.

* `jax.experimental.hijax`, primitives with rules of their own: the class is `VJPHiPrimitive` in
  0.10 and `HiPrim` from 0.11 on, where its `batch_dim_rule` is gone and `batch` remains. Where
  neither is found, `HAS_RULES` is False, and `unroll` takes the plain loop.
* `jax.extend.core`: a jaxpr with its constants is a `ClosedJaxpr` around a `Jaxpr` up to 0.10, and
  one class under both names from 0.12 on (`consts` are then its own).
* Names of primitives that only call a jaxpr: `closed_call` up to 0.10, `eval_jaxpr` from 0.11 on.
* A `scan` tells how many of its inputs are the same at every time step, and how many are carried,
  as `num_consts` and `num_carry` up to 0.10, and by the lengths of the parts of `ft_in` from 0.11
  on.
* A function with a `jax.custom_jvp` of its own inside `lax.scan`: up to 0.11 its second derivative
  is that of what it computes, from 0.12 on that of its rule (`RULES_END_IN_SCANS`).
* The key-value store of `jax.distributed`, which is public only to be started and ended: the client
  of its state has it (all three releases).
* An abstract value inside `jax.shard_map` tells the axes over which it varies as
  `manual_axis_type.varying` (all three releases).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core, source_info_util

try:
    from jax.experimental import hijax
except ImportError:  # JAX gives no promise that it stays
    hijax = None

HiPrimitive: Any = getattr(hijax, "HiPrim", None) or getattr(hijax, "VJPHiPrimitive", object)
Zero: Any = getattr(hijax, "Zero", None)
HAS_RULES = HiPrimitive is not object and Zero is not None

# Equations that only call a jaxpr: what they call is read instead.
CALLS = (
    *("jit", "pjit", "closed_call", "core_call", "eval_jaxpr"),
    *("remat", "checkpoint", "remat2"),
)
# The same, with a derivative of their own: kept whole where derivatives are taken.
CUSTOM = {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}

RULES_END_IN_SCANS = ("custom_jvp_call",) if jax.__version_info__ < (0, 12) else ()

no_scopes = source_info_util.new_name_stack


def is_literal(atom: Any) -> bool:
    return isinstance(atom, core.Literal)


def new_variable(like: Any) -> Any:
    """A variable for values of the same kind as those of the atom."""
    return core.Var(like.aval)


def opened(body: Any) -> tuple[Any, list[Any]]:
    """A jaxpr, with or without its constants: its inputs, outputs and equations, and the constants
    in the order of its `constvars`."""
    return getattr(body, "jaxpr", body), list(getattr(body, "consts", ()))


def jaxprs_in(equation: Any) -> list[Any]:
    """What an equation's parameters hold of jaxprs: bodies of loops, branches, functions."""

    def is_jaxpr(value):
        return isinstance(value, core.Jaxpr | core.ClosedJaxpr)

    found = jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr)
    return [opened(value)[0] for value in found if is_jaxpr(value)]


def as_callable(equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """The equations as a function of the values of `inputs`, variables; `outputs` are atoms."""
    info = core.DebugInfo(
        "jaxrnn.schedule",
        "equations",
        tuple(f"inputs[{i}]" for i in range(len(inputs))),
        tuple(f"result[{i}]" for i in range(len(outputs))),
    )
    jaxpr = core.Jaxpr((), tuple(inputs), tuple(outputs), tuple(equations), debug_info=info)
    return core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, ()))


def scan_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """Of the parameters of a `scan`: how many inputs are the same at every time step, and how many
    are carried; the others are scanned over."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    fixed, carried, _ = params["ft_in"].unpack()
    return len(fixed), len(carried)


def varying_axes(aval: Any) -> frozenset[Any]:
    """The axes of devices over which an abstract value varies, inside `jax.shard_map`."""
    return aval.manual_axis_type.varying


def draws_depend_on_mapping(aval: Any) -> bool:
    """Whether a key is of an implementation whose draws under `jax.vmap` depend on what else is
    mapped: all but threefry's. Raw keys (uint32) are not known for keys."""
    return jnp.issubdtype(aval.dtype, jax.dtypes.prng_key) and "fry" not in str(aval.dtype)


def distributed_state() -> tuple[int, int, Any]:
    """Of `jax.distributed` once it is initialised: the number of this process, how many there are,
    and the client of what they share. Starts no backend."""
    from jax._src import distributed

    state = distributed.global_state
    return state.process_id, state.num_processes, state.client
