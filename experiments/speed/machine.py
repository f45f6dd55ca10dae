"""What the machine could do: the rate of its matmuls, and how many of them the work needs."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrnn.base import Cell
from jaxrnn.unstable import jaxprs_in


def matmul_rate(size: int, repeats: int = 7) -> float:
    """Operations per second of a matmul [size, size] @ [size, size]: the best seen with one device
    and its threads, or with all devices and a share of the rows on each."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    mesh = Mesh(np.array(jax.devices()), ("row",))
    rows, whole = (jax.device_put(a, NamedSharding(mesh, spec)) for spec in (P("row"), P()))
    product = jax.jit(jnp.matmul)
    return 2 * size**3 / min(_seconds(product, pair, repeats) for pair in ((a, a), (rows, whole)))


def _seconds(function: Callable, arguments: tuple, repeats: int) -> float:
    jax.block_until_ready(function(*arguments))
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        best = min(best, time.perf_counter() - start)
    return best


def gradient_flops(cell: Cell, x: Any, num_steps: int, batch_size: int) -> int:
    """Of a loss and its gradients to weights and inputs: each matmul of the forward pass has two
    more behind it, one for each factor."""
    return 3 * step_flops(cell, x) * num_steps * batch_size


def step_flops(cell: Cell, x: Any) -> int:
    """Of one time step of one example; `x` is an example's input, or its shape and type."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    carry = jax.eval_shape(cell.init_carry, params, jax.random.key(0))
    return matmul_flops(cell.step, params, carry, x)


def matmul_flops(function: Callable, *arguments: Any) -> int:
    """Multiplications and additions of the matmuls in `function`. What is inside a loop counts
    once."""
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left: Any = equation.invars[0].aval
            summed = math.prod(left.shape[axis] for axis in contracted)
            product: Any = equation.outvars[0].aval
            total += 2 * summed * math.prod(product.shape)
        total += sum(_flops(inner) for inner in jaxprs_in(equation))
    return total
