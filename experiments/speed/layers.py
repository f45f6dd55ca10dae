"""Gradients of one LSTM or GRU layer, to its weights and its inputs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.speed.libraries import JAX_LIBRARIES, Layer, torch_layer
from experiments.speed.machine import gradient_flops
from experiments.speed.measuring import NARROW, Case, Side, Unsuitable, compiled, gather, tolerance
from experiments.speed.model import zero_carry
from experiments.speed.presets import Preset, Shape
from jaxrnn import CELLS, Cell, unroll
from jaxrnn.compose import computing_in
from jaxrnn.parallel import Workload, choose_devices
from jaxrnn.token_model import Precision
from jaxrnn.unroll import Schedule


class Problem(NamedTuple):
    """A layer and where its gradient is taken.

    Attributes:
      cell: the layer, H to H.
      params: its first weights, each moved a little, so that no bias is zero.
      xs: inputs [T, B, H].
      dys: cotangents of the outputs [T, B, H].
    """

    cell: Cell
    params: Any
    xs: jax.Array
    dys: jax.Array


def make_problem(factory: Callable[[int, int], Cell], shape: Shape) -> Problem:
    batch_size, num_steps, size = shape
    cell = factory(size, size)
    key_params, key_moves, key_xs, key_dys = jax.random.split(jax.random.key(0), 4)
    leaves, tree = jax.tree.flatten(cell.init(key_params))
    keys = jax.random.split(key_moves, len(leaves))
    moved = [
        leaf + 0.1 / np.sqrt(size) * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    xs, dys = (jax.random.normal(key, (num_steps, batch_size, size)) for key in (key_xs, key_dys))
    return Problem(cell, tree.unflatten(moved), xs, dys / xs.size**0.5)


def our_layer(problem: Problem, schedule: Schedule = "auto") -> Layer:
    """`unroll`, with everything at its default but where another schedule is asked for."""

    def forward(params, xs):
        carry = zero_carry(problem.cell, params, xs.shape[1])
        return unroll(problem.cell, params, carry, xs, schedule=schedule)[1]

    return Layer(problem.params, forward, lambda grads: grads, 1)


def jax_side(
    name: str,
    layer: Layer,
    problem: Problem,
    devices: Sequence[Any],
    *,
    pages_kept: bool = False,
) -> Side:
    """A layer on JAX, its batch divided over `devices`."""
    xs, dys = (a if layer.batch_axis else a.swapaxes(0, 1) for a in (problem.xs, problem.dys))

    def gradients(params, xs, dys):
        _, pull = jax.vjp(layer.forward, params, xs)
        return pull(dys)

    def local(params, xs, dys):
        d_params, d_xs = gradients(params, xs, dys)
        return lax.psum(d_params, "batch"), d_xs

    arguments = (layer.params, xs, dys)
    if len(devices) > 1:
        mesh = Mesh(np.array(devices), ("batch",))
        divided = P(*[None] * layer.batch_axis, "batch")
        specs = (P(), divided, divided)
        # the carry of zeros that a library makes is not marked as divided: nothing is checked
        function = jax.shard_map(
            local, mesh=mesh, in_specs=specs, out_specs=(P(), divided), check_vma=False
        )
        arguments = tuple(
            jax.device_put(argument, NamedSharding(mesh, spec))
            for argument, spec in zip(arguments, specs, strict=True)
        )
    else:
        function = gradients
    program, temporary = compiled(function, *arguments)

    def call():
        return jax.block_until_ready(program(*arguments))

    def check():
        d_params, d_xs = call()
        d_params = jax.tree.map(jnp.asarray, jax.device_get(d_params))
        d_xs = np.asarray(d_xs)
        return {
            "params": layer.back(d_params),
            "xs": d_xs if layer.batch_axis else d_xs.swapaxes(0, 1),
        }

    return Side(
        name,
        call,
        check,
        devices=len(devices),
        pages_kept=pages_kept,
        temporary_bytes=temporary,
    )


def torch_side(name: str, problem: Problem) -> Side:
    import torch  # pyright: ignore[reportMissingImports]

    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise Unsuitable("this PyTorch has no CUDA")
    device = "cuda" if on_gpu else "cpu"
    layer, back = torch_layer(name, problem.params)
    layer.to(device)
    xs = torch.tensor(np.asarray(problem.xs), device=device, requires_grad=True)
    dys = torch.tensor(np.asarray(problem.dys), device=device)

    def call():
        layer.zero_grad()
        xs.grad = None
        ys, _ = layer(xs)
        ys.backward(dys)
        if on_gpu:
            torch.cuda.synchronize()

    def check():
        call()
        assert xs.grad is not None
        return {"params": back(), "xs": xs.grad.cpu().numpy()}

    return Side("PyTorch", call, check)


def chosen_devices(shape: Shape) -> Sequence[Any]:
    """Those on which an experiment of this size trains."""
    workload = Workload(1, *shape)
    return jax.devices()[: choose_devices(jax.default_backend(), jax.device_count(), workload)]


def flax_as_ours(devices: Sequence[Any]) -> str:
    """Name of the side of Flax that has what ours has around it."""
    return f"Flax, {len(devices)} device{'s' * (len(devices) > 1)}, pages kept"


def beside_ours(
    name: str,
    shape: Shape,
    problem: Problem,
    peers: dict[str, Callable[[], Side]],
    precision: Precision,
) -> Case:
    """Ours as an experiment runs it, on one device and in `precision` if these are not the same;
    then the peers."""
    devices, layer = chosen_devices(shape), our_layer(problem)
    ours = [jax_side("jaxrnn", layer, problem, devices, pages_kept=True)]
    if len(devices) > 1:
        one = jax_side("jaxrnn, one device", layer, problem, devices[:1], pages_kept=True)
        ours.append(one)
    if precision != "float32":
        narrow = problem._replace(cell=computing_in(problem.cell, precision))
        title = f"jaxrnn, {precision}"
        side = jax_side(title, our_layer(narrow), narrow, devices, pages_kept=True)
        ours.append(side._replace(tolerance=NARROW))
    sides, missing = gather(peers)
    x = jax.ShapeDtypeStruct((shape.hidden_size,), jnp.float32)
    flops = gradient_flops(problem.cell, x, shape.num_steps, shape.batch_size)
    return Case(name, str(shape), [*ours, *sides], missing, flops=flops, tolerance=tolerance())


def layer_case(
    name: str, shape: Shape, libraries: Sequence[str], precision: Precision = "float32"
) -> Case:
    """The layer `name` of CELLS beside `libraries`."""
    problem = make_problem(CELLS[name], shape)
    devices = chosen_devices(shape)
    builders: dict[str, Callable[[], Side]] = {}
    for library, layer in JAX_LIBRARIES.items():
        builders[library] = lambda library=library, layer=layer: jax_side(
            library, layer(name, problem.params), problem, devices[:1]
        )
    as_ours = flax_as_ours(devices)
    builders[as_ours] = lambda: jax_side(
        as_ours, JAX_LIBRARIES["Flax"](name, problem.params), problem, devices, pages_kept=True
    )
    builders["PyTorch"] = lambda: torch_side(name, problem)
    wanted = {key: build for key, build in builders.items() if key.split(",")[0] in libraries}
    return beside_ours(name, shape, problem, wanted, precision)


def lstm_cases(preset: Preset) -> Iterator[Case]:
    return _layer_cases("lstm", preset)


def gru_cases(preset: Preset) -> Iterator[Case]:
    return _layer_cases("gru", preset)


def _layer_cases(name: str, preset: Preset) -> Iterator[Case]:
    for shape in preset.layers:
        yield layer_case(name, shape, preset.libraries, preset.precision)
