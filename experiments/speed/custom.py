"""Gradients of cells that no library has a kernel for, beside what its users would write."""

import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speed.cells import CUSTOM
from experiments.speed.layers import (
    Problem,
    beside_ours,
    chosen_devices,
    flax_as_ours,
    jax_side,
    make_problem,
)
from experiments.speed.libraries import Layer, flax_forward
from experiments.speed.measuring import Case, Side, Unsuitable
from experiments.speed.presets import Preset, Shape
from jaxrnn.cells.layer_norm_lstm import EPSILON
from jaxrnn.token_model import Precision


def custom_cases(preset: Preset) -> Iterator[Case]:
    for name in CUSTOM:
        yield custom_case(name, preset.cell, preset.torch_compile, preset.precision)


def custom_case(
    name: str, shape: Shape, torch_compile: bool = False, precision: Precision = "float32"
) -> Case:
    problem = make_problem(CUSTOM[name], shape)
    devices = chosen_devices(shape)
    layer = FLAX[name]
    builders: dict[str, Callable[[], Side]] = {
        "Flax": lambda: jax_side("Flax", layer(problem.params), problem, devices[:1]),
    }
    as_ours = flax_as_ours(devices)
    builders[as_ours] = lambda: jax_side(
        as_ours, layer(problem.params), problem, devices, pages_kept=True
    )
    builders["PyTorch loop"] = lambda: torch_loop("PyTorch loop", name, problem, compile=False)
    if torch_compile:
        title_compiled = "PyTorch loop, torch.compile of a step"
        builders[title_compiled] = lambda: torch_loop(title_compiled, name, problem, compile=True)
    return beside_ours(name, shape, problem, builders, precision)


# Flax: a cell of Dense and LayerNorm modules inside nn.RNN


def flax_layer_norm_lstm(params: Any) -> Layer:
    from flax import linen as nn

    size = params.w_hh.shape[0]

    class LayerNormLSTM(nn.RNNCellBase):
        @nn.compact
        def __call__(self, carry, x):
            h, c = carry
            z = nn.Dense(4 * size, use_bias=False, name="x")(x)
            z += nn.Dense(4 * size, use_bias=False, name="h")(h)
            i, f, o, g = (
                nn.LayerNorm(epsilon=EPSILON, name=name)(part)
                for name, part in zip("ifog", jnp.split(z, 4, axis=-1), strict=True)
            )
            c = nn.sigmoid(f + 1) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(nn.LayerNorm(epsilon=EPSILON, name="c")(c))
            return (h, c), h

        def initialize_carry(self, rng, input_shape):
            return _zeros(input_shape, size), _zeros(input_shape, size)

        @property
        def num_feature_axes(self):
            return 1

    gates = zip("ifog", params.scale.reshape(4, size), params.shift.reshape(4, size), strict=True)
    norms = {name: {"scale": scale, "bias": shift} for name, scale, shift in gates}
    norms["c"] = {"scale": params.scale_c, "bias": params.shift_c}
    theirs = {"x": {"kernel": params.w_ih}, "h": {"kernel": params.w_hh}} | norms

    def back(grads):
        return type(params)(
            w_ih=grads["x"]["kernel"],
            w_hh=grads["h"]["kernel"],
            scale=jnp.concatenate([grads[name]["scale"] for name in "ifog"]),
            shift=jnp.concatenate([grads[name]["bias"] for name in "ifog"]),
            scale_c=grads["c"]["scale"],
            shift_c=grads["c"]["bias"],
        )

    return _flax(LayerNormLSTM(), theirs, back)


def flax_mixture_gru(params: Any) -> Layer:
    from flax import linen as nn

    matrices, size = len(params.b_weigh), len(params.b_candidate)

    class MixtureGRU(nn.RNNCellBase):
        @nn.compact
        def __call__(self, h, x):
            gates = nn.Dense(2 * size, use_bias=False, name="x")(x)
            gates += nn.Dense(2 * size, name="h")(h)
            r, u = jnp.split(nn.sigmoid(gates), 2, axis=-1)
            weigh = nn.Dense(matrices, use_bias=False, name="weigh_x")(x)
            k = nn.softmax(weigh + nn.Dense(matrices, name="weigh_h")(h))
            every = nn.DenseGeneral((matrices, size), use_bias=False, name="mix")(x)
            mixed = jnp.einsum("...k,...kh->...h", k, every)
            n = jnp.tanh(mixed + nn.Dense(size, name="candidate")(r * h))
            h = u * h + (1 - u) * n
            return h, h

        def initialize_carry(self, rng, input_shape):
            return _zeros(input_shape, size)

        @property
        def num_feature_axes(self):
            return 1

    theirs = {
        "x": {"kernel": params.w_ih},
        "h": {"kernel": params.w_hh, "bias": params.b},
        "weigh_x": {"kernel": params.w_weigh},
        "weigh_h": {"kernel": params.u_weigh, "bias": params.b_weigh},
        "mix": {"kernel": params.w_mix.reshape(-1, matrices, size)},
        "candidate": {"kernel": params.w_candidate, "bias": params.b_candidate},
    }

    def back(grads):
        return type(params)(
            w_ih=grads["x"]["kernel"],
            w_hh=grads["h"]["kernel"],
            b=grads["h"]["bias"],
            w_mix=grads["mix"]["kernel"].reshape(params.w_mix.shape),
            w_weigh=grads["weigh_x"]["kernel"],
            u_weigh=grads["weigh_h"]["kernel"],
            b_weigh=grads["weigh_h"]["bias"],
            w_candidate=grads["candidate"]["kernel"],
            b_candidate=grads["candidate"]["bias"],
        )

    return _flax(MixtureGRU(), theirs, back)


def flax_two_speed(params: Any) -> Layer:
    from flax import linen as nn

    size = params.w_fast.shape[0]

    class TwoSpeed(nn.RNNCellBase):
        @nn.compact
        def __call__(self, carry, x):
            fast, slow = carry
            for_gate, for_fast = jnp.split(nn.Dense(2 * size, name="x")(x), 2, axis=-1)
            gate = nn.sigmoid(for_gate + nn.Dense(size, use_bias=False, name="slow")(slow))
            recurrent = nn.Dense(size, use_bias=False, name="fast")(gate * fast)
            fast = jnp.tanh(for_fast + recurrent)
            rate = self.param("rate", nn.initializers.zeros, (size,))
            slow = slow + nn.sigmoid(rate) * (fast - slow)
            return (fast, slow), fast

        def initialize_carry(self, rng, input_shape):
            return _zeros(input_shape, size), _zeros(input_shape, size)

        @property
        def num_feature_axes(self):
            return 1

    theirs = {
        "x": {"kernel": params.w_ih, "bias": params.b},
        "slow": {"kernel": params.w_slow},
        "fast": {"kernel": params.w_fast},
        "rate": params.rate,
    }

    def back(grads):
        return type(params)(
            w_ih=grads["x"]["kernel"],
            w_slow=grads["slow"]["kernel"],
            w_fast=grads["fast"]["kernel"],
            b=grads["x"]["bias"],
            rate=grads["rate"],
        )

    return _flax(TwoSpeed(), theirs, back)


def _zeros(input_shape: tuple[int, ...], size: int) -> jax.Array:
    return jnp.zeros((*input_shape[:-1], size))


def _flax(cell: Any, theirs: Any, back: Callable[[Any], Any]) -> Layer:
    from flax import linen as nn

    forward = flax_forward(nn.RNN(cell, time_major=True))
    return Layer({"cell": theirs}, forward, lambda grads: back(grads["cell"]), 1)


FLAX: dict[str, Callable[[Any], Layer]] = {
    "layer-norm-lstm": flax_layer_norm_lstm,
    "mixture-gru": flax_mixture_gru,
    "two-speed": flax_two_speed,
}


# PyTorch: a step of a batch inside a Python loop


def torch_layer_norm_lstm(p, carry, x):
    from torch import sigmoid, tanh  # pyright: ignore[reportMissingImports]
    from torch.nn.functional import layer_norm  # pyright: ignore[reportMissingImports]

    h, c = carry
    parts = (x @ p.w_ih + h @ p.w_hh).chunk(4, dim=-1), p.scale.chunk(4), p.shift.chunk(4)
    i, f, o, g = (
        layer_norm(part, part.shape[-1:], scale, shift, EPSILON)
        for part, scale, shift in zip(*parts, strict=True)
    )
    c = sigmoid(f + 1) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(layer_norm(c, c.shape[-1:], p.scale_c, p.shift_c, EPSILON))
    return (h, c), h


def torch_mixture_gru(p, carry, x):
    import torch  # pyright: ignore[reportMissingImports]

    (h,) = carry
    r, u = torch.sigmoid(x @ p.w_ih + h @ p.w_hh + p.b).chunk(2, dim=-1)
    k = torch.softmax(x @ p.w_weigh + h @ p.u_weigh + p.b_weigh, dim=-1)
    mixed = torch.einsum("bk,bkh->bh", k, (x @ p.w_mix).unflatten(-1, (k.shape[-1], -1)))
    n = torch.tanh(mixed + (r * h) @ p.w_candidate + p.b_candidate)
    h = u * h + (1 - u) * n
    return (h,), h


def torch_two_speed(p, carry, x):
    import torch  # pyright: ignore[reportMissingImports]

    fast, slow = carry
    for_gate, for_fast = (x @ p.w_ih + p.b).chunk(2, dim=-1)
    gate = torch.sigmoid(for_gate + slow @ p.w_slow)
    fast = torch.tanh(for_fast + (gate * fast) @ p.w_fast)
    slow = slow + torch.sigmoid(p.rate) * (fast - slow)
    return (fast, slow), fast


TORCH = {
    "layer-norm-lstm": torch_layer_norm_lstm,
    "mixture-gru": torch_mixture_gru,
    "two-speed": torch_two_speed,
}


def torch_loop(title: str, name: str, problem: Problem, *, compile: bool) -> Side:
    import torch  # pyright: ignore[reportMissingImports]

    step = torch.compile(TORCH[name]) if compile else TORCH[name]
    params = jax.tree.map(lambda a: torch.tensor(np.asarray(a), requires_grad=True), problem.params)
    xs = torch.tensor(np.asarray(problem.xs), requires_grad=True)
    dys = torch.tensor(np.asarray(problem.dys))
    leaves = [*params, xs]
    carry_leaves = jax.tree.leaves(problem.cell.init_carry(problem.params, jax.random.key(0)))
    carry = tuple(torch.zeros(xs.shape[1], leaf.shape[0]) for leaf in carry_leaves)

    def call():
        for leaf in leaves:
            leaf.grad = None
        current, ys = carry, []
        for x in xs:
            current, y = step(params, current, x)
            ys.append(y)
        torch.stack(ys).backward(dys)

    def check():
        call()
        grads = [leaf.grad.numpy() for leaf in leaves]
        return {"params": type(problem.params)(*grads[:-1]), "xs": grads[-1]}

    if compile:
        try:
            call()
        except RuntimeError as error:  # it needs a C++ compiler, for one
            text = textwrap.shorten(str(error), 200, placeholder=" ...")
            raise Unsuitable(f"torch.compile fails: {text}") from error

    return Side(title, call, check)
