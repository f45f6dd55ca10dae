"""What stacks of today put around a cell: norms, gated layers, short convolutions, heads."""

import jax
import jax.numpy as jnp

from jaxrnn.base import Cell, require_positive
from jaxrnn.compose.stacks import chain, residual

_glorot = jax.nn.initializers.glorot_uniform()

EPSILON = 1e-6
"""Added to the mean square under the root."""


def rms_norm(size: int) -> Cell:
    """y = scale * x / sqrt(mean(x^2)); scale [size] is 1 at first; no carry.

    Reference: Zhang and Sennrich (2019), https://arxiv.org/abs/1910.07467
    """
    require_positive(size=size)

    def step(params, carry, x):
        return (), params["scale"] * x / jnp.sqrt((x**2).mean(-1, keepdims=True) + EPSILON)

    return Cell(
        init=lambda key: {"scale": jnp.ones(size)},
        init_carry=lambda params, key: (),
        step=step,
    )


def gated_mlp(size: int, inner_size: int) -> Cell:
    """y = (silu(x W_gate) * (x W_up)) W_down, from `size` numbers over `inner_size` to `size`; no
    carry. Matrices begin Glorot-uniform, W_gate and W_up side by side.

    Reference: Shazeer (2020), https://arxiv.org/abs/2002.05202
    """
    require_positive(size=size, inner_size=inner_size)

    def init(key):
        key_gate, key_up, key_down = jax.random.split(key, 3)
        inside = [_glorot(k, (size, inner_size)) for k in (key_gate, key_up)]
        return {
            "w_in": jnp.concatenate(inside, axis=1),
            "w_out": _glorot(key_down, (inner_size, size)),
        }

    def step(params, carry, x):
        gate, up = jnp.split(x @ params["w_in"], 2, axis=-1)
        return (), (jax.nn.silu(gate) * up) @ params["w_out"]

    return Cell(init=init, init_carry=lambda params, key: (), step=step)


def pre_norm(cell: Cell, size: int, inner_size: int, behind: Cell | None = None) -> Cell:
    """A residual block around `cell`, whose inputs and outputs are vectors of `size`:

        x' = x + cell(norm(x))
        y  = x' + mlp(norm(x'))

    norm is an `rms_norm` each, mlp a `gated_mlp` over `inner_size` numbers. What goes past is never
    normalised, so whatever reads the last block of a stack wants a norm in front of it. Params and
    carry are those of chain(mixer=(norm, cell), mlp=(norm, mlp)). `behind` stands behind mlp, as
    `behind`: dropout, say, which `cell` has inside where it is wanted there.

    Reference: Xiong et al. (2020), https://arxiv.org/abs/2002.04745; around a recurrence, De et al.
    (2024), https://arxiv.org/abs/2402.19427
    """
    layer = {"norm": rms_norm(size), "mlp": gated_mlp(size, inner_size)}
    if behind is not None:
        layer["behind"] = behind
    return chain(
        mixer=residual(chain(norm=rms_norm(size), cell=cell)), mlp=residual(chain(**layer))
    )


def short_convolution(size: int, width: int = 4) -> Cell:
    """Each number of x with its own weights for the last `width` time steps:

        y = w_1 * x_{t - width + 1} + ... + w_width * x_t + b

    The carry is the last width - 1 of x, zero at first. w [width, size] begins evenly within
    1 / sqrt(width), b at 0.

    Reference: Fu et al. (2023), https://arxiv.org/abs/2212.14052; in front of gates, keys and
    values, Gu and Dao (2023), https://arxiv.org/abs/2312.00752
    """
    require_positive(size=size, width=width)

    def init(key):
        limit = width**-0.5
        w = jax.random.uniform(key, (width, size), minval=-limit, maxval=limit)
        return {"w": w, "b": jnp.zeros(size)}

    def init_carry(params, key):
        return jnp.zeros((width - 1, size), params["w"].dtype)

    def step(params, before, x):
        seen = jnp.concatenate([before, x[None]])
        return seen[1:], (params["w"] * seen).sum(0) + params["b"]

    return Cell(init, init_carry, step)


def multi_head(cell: Cell, heads: int) -> Cell:
    """`heads` of `cell` side by side, each with params and a carry of its own: all see x, and y is
    their outputs, vectors, one after another. Leaves of params and carry have the heads as their
    first axis.

        multi_head(delta_net(64, 16), 4)        # x [64] to y [64], four matrices [16, 16]

    A cell that takes `heads` itself may divide more of its work among them.
    """
    require_positive(heads=heads)

    def init(key):
        each = [cell.init(k) for k in jax.random.split(key, heads)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def init_carry(params, key):
        return jax.vmap(cell.init_carry)(params, jax.random.split(key, heads))

    def step(params, carry, x):
        carry, y = jax.vmap(cell.step, in_axes=(0, 0, None))(params, carry, x)
        return carry, y.ravel()

    return Cell(init, init_carry, step)
