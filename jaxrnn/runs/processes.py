"""Several processes that train one run, on one machine or many: who writes, what is agreed on, and
how they end.

Every process runs the same program on its own devices. The first one writes and prints, and decides
what a clock or a signal decides; the others follow. In a single process all this means nothing.

What is agreed on goes through the key-value store of `jax.distributed`, and needs no devices.
"""

import pickle
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrnn.base import PyTree
from jaxrnn.parallel import Devices
from jaxrnn.runs.interrupt import Interrupts
from jaxrnn.runs.watching import BEAT, ENDED, SILENT, Joined, end, found, on_abort, quieten, watch
from jaxrnn.unstable import distributed_state

T = TypeVar("T")

FOREVER = 10 * 24 * 3600 * 1000
"""Milliseconds of a wait that the watching thread ends."""
ASKED = "jaxrnn/asked"
SLACK = 100
"""Agreements after which one is forgotten; no process is ever so many behind."""


class Place(NamedTuple):
    """Where a process stands among all, as the command line says it.

    Attributes:
      coordinator: HOST:PORT at which the first process can be reached.
      process: counts from 0.
      processes: how many they are.
    """

    coordinator: str
    process: int
    processes: int


_joined: Joined | None = None


def place_of(coordinator: str | None, process: int | None, count: int | None) -> Place | None:
    """The place that three flags name; None where none is given, and JAX finds it out.

    Raises:
      ValueError: one of them without the others, or what cannot be.
    """
    given = {"--coordinator": coordinator, "--process-id": process, "--process-count": count}
    missing = [flag for flag, value in given.items() if value is None]
    if coordinator is None or process is None or count is None:
        if len(missing) == len(given):
            return None
        raise ValueError(
            f"{' and '.join(missing)} missing; give all of {', '.join(given)}, or none"
        )
    host, colon, port = coordinator.rpartition(":")
    if not host or not colon or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"--coordinator is {coordinator!r}; give HOST:PORT of the first process")
    if count < 1:
        raise ValueError(f"--process-count is {count}; give at least 1")
    if not 0 <= process < count:
        raise ValueError(f"--process-id is {process}; give 0 to {count - 1}, each once")
    return Place(coordinator, process, count)


def join(place: Place | None) -> None:
    """Joins the other processes, before JAX's backend starts.

    Args:
      place: None takes it from the environment, as JAX detects it (SLURM, Open MPI, GKE, TPU pods).

    Raises:
      ValueError: nothing is detected, or the others are not there in time.
    """
    global _joined
    # SIGTERM is ours: a run saves and ends, whatever JAX would do
    jax.config.update("jax_enable_preemption_service", False)
    if jax.config.jax_cpu_collectives_implementation is None:  # pyright: ignore
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    where = {}
    if place is not None:
        where = {"coordinator_address": place.coordinator, "num_processes": place.processes}
        where |= {"process_id": place.process, "cluster_detection_method": "deactivate"}
    try:
        jax.distributed.initialize(**where, heartbeat_timeout_seconds=int(3 * SILENT))
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"--distributed: JAX finds no cluster here ({error}); give --coordinator HOST:PORT, "
            "--process-id and --process-count"
        ) from None
    except RuntimeError as error:
        raise ValueError(
            f"--distributed: the processes did not come together ({str(error).splitlines()[0]}); "
            "is the coordinator's port free, and does each process have a number of its own?"
        ) from None
    index, count, client = distributed_state()
    _joined = Joined(index, count, client, quieten(index))
    on_abort(_joined)
    threading.Thread(target=watch, args=(_joined,), daemon=True).start()


def count() -> int:
    return 1 if _joined is None else _joined.count


def several() -> bool:
    return count() > 1


def writes() -> bool:
    """Whether this process writes files: the first one alone."""
    return _joined is None or _joined.index == 0


def agreed(value: T) -> T:
    """The value that the first process has, in every process; it must pickle."""
    if not several():
        return value
    assert _joined is not None
    number = next(_joined.agreements)
    key = f"jaxrnn/agreed/{number}"
    if not writes():
        return pickle.loads(_joined.client.blocking_key_value_get_bytes(key, FOREVER))
    _joined.client.key_value_set_bytes(key, pickle.dumps(value))
    if number >= SLACK:
        _joined.client.key_value_delete(f"jaxrnn/agreed/{number - SLACK}")
    return value


def by_first(action: Callable[[], T]) -> T:
    """What the first process makes of `action`, once all are there, while the others wait; what it
    raises is raised in all."""
    if not several():
        return action()
    assert _joined is not None
    _joined.client.wait_at_barrier(f"jaxrnn/barrier/{next(_joined.agreements)}", FOREVER)
    made: Any = None
    error: Exception | None = None
    if writes():
        try:
            made = action()
        except Exception as raised:
            error = raised
    made, error = agreed((made, error))
    if error is not None:
        raise error
    return made


def stop_asked(asked: Interrupts) -> bool:
    """Whether any process was asked to stop; the same answer in all."""
    if not several():
        return asked.requested
    assert _joined is not None
    if asked.requested and not writes():
        _joined.client.key_value_set(ASKED, "1", allow_overwrite=True)
    return agreed(asked.requested or (writes() and found(_joined, ASKED) is not None))


def meet(devices: Devices) -> None:
    """Connects the devices of all processes, while all are there: gloo waits 30 seconds for it, and
    to compile a training step may take one process so much longer than another."""
    if not several():
        return
    mesh = Mesh(np.array(devices), ("any",))
    whole, divided = NamedSharding(mesh, P()), NamedSharding(mesh, P("any"))
    each = jax.jit(partial(jnp.arange, len(devices)), out_shardings=divided)()
    gather = jax.jit(_same, out_shardings=whole).lower(each).compile()
    by_first(lambda: None)
    jax.block_until_ready(gather(each))


def gathered(tree: PyTree, devices: Devices) -> PyTree:
    """The arrays of `tree`, which lie on devices of all processes, whole on a device of each."""
    if not several():
        return tree
    whole = NamedSharding(Mesh(np.array(devices), ("any",)), P())
    return jax.tree.map(lambda a: a.addressable_data(0), jax.jit(_same, out_shardings=whole)(tree))


def say_how_to_go_on(command: str) -> None:
    """What is said, should another process be lost."""
    if _joined is not None:
        _joined.remedy = f"resume from the last checkpoint with: {command}"


def leave_together() -> None:
    """Ends the connection once every process has come here."""
    global _joined
    if _joined is not None:
        with _joined.leaving:
            _joined.left = True
            jax.distributed.shutdown()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        _joined = None


def await_cause(error: Exception) -> None:
    """Of an error inside a computation, waits for the word that another process is gone, which ends
    this one; returns where none comes, and the error is this process's own."""
    if several() and isinstance(error, jax.errors.JaxRuntimeError):
        for _ in range(round(SILENT / BEAT) + 5):
            time.sleep(BEAT)  # by beats, as `watch`: where this process was stopped, both go on


def leave_alone(code: int, said: str) -> None:
    """Ends this process, which the others do not know of yet: they are told, and end too.

    Args:
      said: what went wrong here. The first process has said it.
    """
    if _joined is None:
        return
    if several():
        _joined.ending = True
        with suppress(Exception):  # another has said so before, or the store is gone
            _joined.client.key_value_set(ENDED, f"{_joined.index} {said}")
        if writes():  # the store ends with this process, and they are to read it
            time.sleep(4 * BEAT)
    end(code)


def _same(tree: PyTree) -> PyTree:
    return tree
