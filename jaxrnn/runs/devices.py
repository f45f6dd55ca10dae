"""The devices that a training command runs on, chosen before JAX starts."""

import contextlib
import os

import jax

from jaxrnn.parallel import Devices, Workload, choose_devices
from jaxrnn.runs.allocator import keep_pages
from jaxrnn.runs.environment import recorded_devices
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.progress import warn


def start_devices(flags: TrainingFlags, workload: Workload) -> Devices:
    """Chooses the devices and starts JAX's backend. On a CPU the number of devices is chosen here,
    before the backend exists, and the process keeps its memory from training step to training
    step."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    count = flags.devices
    recorded = 0
    if flags.resume is not None and (flags.resume / "environment.json").is_file():
        recorded = recorded_devices(flags.resume)
    automatic = count == 0
    if automatic and recorded:
        count = recorded
    elif automatic:
        count = choose_devices("cpu", cores, workload)
    # Raises where the backend is up already (a notebook, a test): then what exists is used. Never
    # fewer than somebody asked for before.
    with contextlib.suppress(RuntimeError):
        asked = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_num_cpu_devices", max(min(count, 4 * cores), asked))
    there = jax.devices()
    if jax.default_backend() == "cpu":
        keep_pages()
    if automatic and not recorded and jax.default_backend() != "cpu":
        count = choose_devices(jax.default_backend(), len(there), workload)
    elif automatic:
        count = min(count, len(there))
    if count > len(there):
        raise ValueError(f"--devices is {count}; give at most {len(there)} here")
    if recorded not in (0, count):
        warn(
            f"{flags.resume} began on {recorded} devices and goes on with {count}: its numbers may "
            "differ in their last digits from those that it would have had"
        )
    return there[:count]
