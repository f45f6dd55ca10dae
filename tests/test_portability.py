"""Whatever trains is a program for GPU and TPU too, as far as that shows without one.

`jax.export` lowers for a platform that is not there; an operation that it lacks raises.
"""

import functools
import importlib
from typing import get_args

import jax
import jax.numpy as jnp
import pytest
from experiments_support import write_text
from jax import export

from experiments.__main__ import experiments
from jaxrnn import OPTIMIZERS, STYLES, init_state, make_train_step
from jaxrnn.base import Batch
from jaxrnn.laws.styles import Case, as_declared
from jaxrnn.models import Precision, TokenModel, build_model, cross_entropy
from jaxrnn.runs import loop
from jaxrnn.unroll import Schedule

MODULES = {name: importlib.import_module(f"experiments.{name}") for name in experiments()}
TRAINING = [name for name, module in MODULES.items() if hasattr(module, "EXPERIMENT")]
PLATFORMS = ["cuda", "tpu"]
PRECISIONS, SCHEDULES = get_args(Precision), get_args(Schedule)
# Schedules do not know devices or optimizers: one of these with every schedule, all with "auto".
WAYS = [(schedule, 1) for schedule in SCHEDULES] + [("auto", 2)]
# Nor do optimizers know styles.
STEPS = [(name, schedule, "float32", "adam") for name in STYLES for schedule in SCHEDULES]
STEPS += [(name, "auto", "bfloat16", "adam") for name in STYLES]
STEPS += [("bptt", "auto", precision, rule) for precision in PRECISIONS for rule in OPTIMIZERS]


def program(function, platform: str, *arguments) -> export.Exported:
    """A jitted function as a program for `platform`."""
    found = export.export(function, platforms=[platform])(*arguments)
    assert found.platforms == (platform,)
    return found


def computes_in(found: export.Exported) -> str:
    return "bfloat16" if "bf16" in found.mlir_module() else "float32"


class _Reached(BaseException):
    """What no handler catches, with the setting that a command is about to train."""


@functools.cache
def prepared(name: str, folder, precision: str, schedule: str, devices: int) -> loop.Prepared:
    """The first setting of an experiment's smoke preset, when its command begins to train it."""

    class Stop:
        def __init__(self, run, prepared, *rest):
            raise _Reached(prepared)

    flags = ["--precision", precision, "--schedule", schedule, "--devices", str(devices)]
    if hasattr(MODULES[name].Config, "corpus"):
        flags += ["--corpus", str(write_text(folder))]
    flags += ["--run", str(folder / f"{name}-{precision}-{schedule}-{devices}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_Keeper", Stop)
        with pytest.raises(_Reached) as reached:
            MODULES[name].main(["--preset", "smoke", *flags])
    return reached.value.args[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("portability")


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("schedule", "devices"), WAYS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", TRAINING)
def test_the_chunk_as_run(name, precision, schedule, devices, platform, folder):
    """With its donation and its shardings, and all members; it can be called again with what it
    returns."""
    setting = prepared(name, folder, precision, schedule, devices)
    found = program(setting.chunk, platform, setting.like.state)
    assert computes_in(found) == precision
    assert found.nr_devices == devices
    entered, left = (
        [(leaf.shape, leaf.dtype) for leaf in leaves]
        for leaves in (found.in_avals, found.out_avals)
    )
    assert left[: len(entered)] == entered


@pytest.mark.parametrize("name", TRAINING)
def test_validation_as_run(name, folder):
    setting = prepared(name, folder, "float32", "auto", 1)
    for platform in PLATFORMS:
        program(setting.validate, platform, setting.like.state.params)


@pytest.mark.parametrize(("name", "schedule", "precision", "optimizer"), dict.fromkeys(STEPS))
def test_the_training_step_of_every_style(name, schedule, precision, optimizer):
    model = TokenModel(5, 5, "lstm", 4, 2, embedding_size=3, dropout=0.2, precision=precision)
    cell = build_model(model, training=True)
    case = as_declared(STYLES[name], Case(6, 3, 9, 2))
    style = STYLES[name](cell, cross_entropy, case.window, case.stride, schedule=schedule)
    rule = OPTIMIZERS[optimizer]()
    state = jax.eval_shape(lambda key: init_state(cell, style, rule, key, 2), jax.random.key(0))
    inputs = jnp.zeros((case.history + case.scored, 2), jnp.int32)
    step = jax.jit(make_train_step(style, rule))
    for platform in PLATFORMS:
        found = program(step, platform, state, Batch(inputs, inputs[case.history :]))
        assert computes_in(found) == precision


def test_every_experiment_that_makes_a_training_is_here():
    assert {name for name, module in MODULES.items() if hasattr(module, "make_train")} == set(
        TRAINING
    )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_program_that_cannot_go_there_is_noticed(platform):
    def calls_python(x):
        return jax.pure_callback(lambda x: x, x, x)

    with pytest.raises(ValueError, match="platform"):
        program(jax.jit(calls_python), platform, jnp.ones(2))
