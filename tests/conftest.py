"""Strict JAX for all tests: set up before jaxrnn is imported and before a backend starts."""

import functools
import gc
import inspect
import logging
import os
import signal
import typing
from pathlib import Path

import beartype
import hypothesis
import jax
import jaxtyping
import numpy as np
import optax
import pytest


def names_axes(hint) -> bool:
    """Whether an annotation, or a part of it, is one of jaxtyping's, or a name that may be."""
    if typing.get_origin(hint) is typing.Literal:
        return False
    if isinstance(hint, list | tuple):  # of a Callable
        return any(map(names_axes, hint))
    if isinstance(hint, str | typing.ForwardRef):
        return True
    ours = type(hint).__module__.startswith("jaxtyping")
    return ours or any(map(names_axes, typing.get_args(hint)))


def sparing(jaxtyped):
    """`jaxtyped` for what has axes to compare, the type checker alone for other annotations, which
    takes a tenth of the time of a call, and nothing for none: the hook decorates every inner
    function anew, each time it is made, and to build its checker took half of the time of
    tracing."""

    def decorator(*, typechecker):
        check = jaxtyped(typechecker=typechecker)

        def decorate(made):
            if not inspect.isfunction(made):
                return check(made)
            if not made.__annotations__:
                return made
            return (check if names_axes(tuple(made.__annotations__.values())) else alone)(made)

        return decorate

    return decorator


# What jaxtyping raises is a TypeError, too.
alone = beartype.beartype(conf=beartype.BeartypeConf(violation_type=TypeError))

# The annotations of jaxrnn hold in every call that a test makes.
jaxtyping.jaxtyped = sparing(jaxtyping.jaxtyped)
jaxtyping.install_import_hook("jaxrnn", "beartype.beartype")

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

# A command that a shell puts into the background ignores Ctrl-C, and so would the tests of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# And one that outlives its terminal ignores its end.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Half of all time is XLA's compiling for a CPU, and in JAX 0.10 half of that its fusion emitters:
# without them the tests take two thirds of their time. Of the rest LLVM is most: a module that is
# split into 32 takes longer than in one piece, and loops that run a few times need not be unrolled,
# which together saves a third of what large programs take. Later releases know not all of it, and
# test with the emitters; an XLA_FLAGS from outside, empty or not, is left as it is. Not with less
# optimisation: at level 0 XLA:CPU (jaxlib 0.10.2) compiled a wrong gradient of a random step.
QUICK = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_backend_extra_options=xla_cpu_optimize_for_size,xla_cpu_disable_loop_unrolling"
)
if jax.__version_info__ < (0, 11):
    os.environ.setdefault("XLA_FLAGS", QUICK)


def hash_that_compiles_quickly() -> None:
    """A random draw's hash as one function without a loop, as JAX has it for all but a CPU: its
    loop of five takes six times as long to compile. A product with the identity comes before the
    key, since XLA fuses what is elementwise, and would compute the key's own hash anew at each of
    its ten uses. All of it is exact on integers, so that every draw is the one that users have."""
    from jax._src.interpreters import mlir
    from jax._src.random import threefry2x32

    def unrolled(key_1, key_2, x_1, x_2):
        key = jax.numpy.stack([key_1, key_2])
        identity = np.eye(2, dtype=np.uint32)
        key_1, key_2 = jax.lax.dot_general(identity, key, (((1,), (0,)), ((), ())))
        return threefry2x32._threefry2x32_lowering(key_1, key_2, x_1, x_2, use_rolled_loops=False)

    mlir.register_lowering(
        threefry2x32.threefry2x32_p,
        mlir.lower_fun(unrolled, multiple_results=True),
        platform="cpu",
    )


if jax.__version_info__ < (0, 11) and os.environ["XLA_FLAGS"] == QUICK:
    hash_that_compiles_quickly()

# test_parallel starts itself again with more
jax.config.update("jax_num_cpu_devices", int(os.environ.get("JAXRNN_TEST_DEVICES", "2")))
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Most of the time goes into compiling; what was compiled once is read the next time.
cache = Path(__file__).parent.parent / ".pytest_cache" / "jax"
jax.config.update("jax_compilation_cache_dir", str(cache))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# the commands that tests start read and write it too
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# and, as pyproject.toml has it for the tests, say nothing of a file of it that is cut short or gone
os.environ["PYTHONWARNINGS"] = ",".join(
    f"ignore:Error {doing} persistent compilation cache" for doing in ("reading", "writing")
)


def lenient(inject_hyperparams):
    """optax raises under strict dtype promotion (`decay**count`), so the updates of the
    optimizers of jaxrnn.training are let off; all our own code stays strict."""

    @functools.wraps(inject_hyperparams)
    def inject(*arguments, **options):
        build = inject_hyperparams(*arguments, **options)

        @functools.wraps(build)
        def make(*arguments, **options):
            optimizer = build(*arguments, **options)

            def update(*arguments, **options):
                with jax.numpy_dtype_promotion("standard"):
                    return optimizer.update(*arguments, **options)

            return optimizer._replace(update=update)

        return make

    return inject


optax.inject_hyperparams = lenient(optax.inject_hyperparams)


def pytest_collection_finish():
    """What was imported and collected stays: the garbage collector need not look at it again and
    again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def compilations(caplog):
    """`compilations(name)`: how often a jitted function of that name was compiled in this test."""
    with jax.log_compiles(True), caplog.at_level(logging.DEBUG):
        yield lambda name: sum(
            record.getMessage().startswith(f"Compiling jit({name})") for record in caplog.records
        )
