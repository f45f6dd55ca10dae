"""Whatever trains is a program for GPU and TPU too, as far as that shows without one.

`jax.export` lowers for a platform that is not there; an operation that it lacks raises.
"""

import functools
import importlib
import re
from typing import Any, get_args

import jax
import jax.numpy as jnp
import pytest
from experiments_support import write_text
from jax import export
from jax.extend.core import Primitive
from jax.interpreters import mlir
from tiers import mostly_full

from experiments.__main__ import experiments
from jaxrnn import OPTIMIZERS, STYLES, init_state, make_train_step
from jaxrnn.base import Batch
from jaxrnn.laws.styles import Case, as_declared
from jaxrnn.models import TokenModel, build_model, cross_entropy
from jaxrnn.runs import loop
from jaxrnn.runs.config import flags_of
from jaxrnn.runs.preparing import Prepared
from jaxrnn.token_model import Precision
from jaxrnn.unroll import Schedule

MODULES = {name: importlib.import_module(f"experiments.{name}") for name in experiments()}
TRAINING = [name for name, module in MODULES.items() if hasattr(module, "EXPERIMENT")]
PLATFORMS = ["cuda", "tpu"]
PRECISIONS, SCHEDULES = get_args(Precision), get_args(Schedule)
# Precision and devices decide what a chunk lowers to, and the library trains every experiment: each
# of them takes one of the two in turn. What the schedules lower to, the steps below show.
WAYS = [(name, PRECISIONS[n % 2], 2 - n % 2) for n, name in enumerate(TRAINING)]
# Each style, schedule, precision and optimizer once.
COVERING = [
    (
        style,
        SCHEDULES[n % len(SCHEDULES)],
        PRECISIONS[n % 2],
        tuple(OPTIMIZERS)[-n % len(OPTIMIZERS)],
    )
    for n, style in enumerate(STYLES)
]
# Styles that come to `unroll` in the same way take one schedule: the cutting ones with errors that
# they scale, the online ones with time steps that have no carry. Nor do optimizers know styles, or
# the precision of what made a gradient.
ALONE = ("artbp", "rtrl")  # draws, influences; the others are like these
APART = ("bptt", "artbp", "tbptt", "uoro")
STEPS = [(name, schedule, "float32", "adam") for name in APART for schedule in SCHEDULES]
STEPS += [(name, "auto", precision, "adam") for name in STYLES for precision in PRECISIONS]
STEPS += [("bptt", "auto", "bfloat16", rule) for rule in OPTIMIZERS]


def program(function, *arguments) -> export.Exported:
    """A jitted function as a program for every platform at once."""
    found = export.export(function, platforms=PLATFORMS)(*arguments)
    assert found.platforms == tuple(PLATFORMS)
    return found


def computes_in(found: export.Exported) -> str:
    # by the types of its arrays: elsewhere the text has addresses of functions, in any digits
    return "bfloat16" if re.search(r"[<x]bf16>", found.mlir_module()) else "float32"


class _Reached(BaseException):
    """What no handler catches, with the setting that a command is about to train."""


@functools.cache
def prepared(name: str, folder, precision: str, devices: int) -> Prepared:
    """The first setting of an experiment's smoke preset, when its command begins to train it."""

    class Stop:
        def __init__(self, share, *rest):
            raise _Reached(share.prepared)

    flags = ["--precision", precision, "--devices", str(devices)]
    if "corpus" in flags_of(MODULES[name].EXPERIMENT.presets["smoke"]):
        flags += ["--corpus", str(write_text(folder))]
    flags += ["--run", str(folder / f"{name}-{precision}-{devices}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Keeper", Stop)
        with pytest.raises(_Reached) as reached:
            MODULES[name].main(["--preset", "smoke", *flags])
    return reached.value.args[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("portability")


@pytest.mark.parametrize(
    ("name", "precision", "devices"),
    mostly_full([*WAYS, ("toy", "float32", 2)], ("toy", "float32", 2)),
)
def test_the_chunk_as_run(name, precision, devices, folder):
    """With its donation and its shardings, and all members; it can be called again with what it
    returns. And the validation beside it."""
    setting = prepared(name, folder, precision, devices)
    chunk: Any = setting.chunk  # a jitted function of what is swept, here nothing, and the state
    found = program(chunk.func, *chunk.args, setting.like.state)
    assert computes_in(found) == precision
    assert found.nr_devices == devices
    entered, left = (
        [(leaf.shape, leaf.dtype) for leaf in leaves]
        for leaves in (found.in_avals, found.out_avals)
    )
    assert left[: len(entered)] == entered
    validate: Any = setting.validate
    program(validate.func, *validate.args, setting.like.state.params)


@pytest.mark.parametrize(
    ("name", "schedule", "precision", "optimizer"),
    mostly_full(COVERING + STEPS, *(way for way in COVERING if way[0] in ALONE)),
)
def test_the_training_step_of_every_style(name, schedule, precision, optimizer):
    layer = "min_gru" if schedule == "associative" else "gru"  # a linear recurrence, or none
    model = TokenModel(5, 5, layer, 4, embedding_size=3, dropout=0.2, precision=precision)
    cell = build_model(model, training=True)
    case = as_declared(STYLES[name], Case(6, 3, 9, 2))
    style = STYLES[name](cell, cross_entropy, case.window, case.stride, schedule=schedule)
    rule = OPTIMIZERS[optimizer]()
    state = jax.eval_shape(lambda key: init_state(cell, style, rule, key, 2), jax.random.key(0))
    inputs = jnp.zeros((case.history + case.scored, 2), jnp.int32)
    step = jax.jit(make_train_step(style, rule))
    found = program(step, state, Batch(inputs, inputs[case.history :]))
    assert computes_in(found) == precision


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_precision_is_told_by_types_alone(dtype):
    def bf16(x):  # the name is in the program's text
        return jnp.sin(x)

    assert computes_in(program(jax.jit(bf16), jnp.ones(2, dtype))) == dtype


@pytest.mark.parametrize(("there", "lacking"), [PLATFORMS, PLATFORMS[::-1]])
def test_a_program_that_one_platform_lacks_is_noticed(there, lacking):
    only = Primitive(f"only_{there}")
    only.def_abstract_eval(lambda x: x)
    mlir.register_lowering(only, lambda context, x: [x], platform=there)
    with pytest.raises(NotImplementedError, match=f"only_{there}.*{lacking}"):
        program(jax.jit(only.bind), jnp.ones(2))


def test_a_program_that_calls_python_is_noticed():
    def calls_python(x):
        return jax.pure_callback(lambda x: x, x, x)

    with pytest.raises(NotImplementedError, match="callback"):
        program(jax.jit(calls_python), jnp.ones(2))
