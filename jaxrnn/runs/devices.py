"""The devices that a training command runs on, chosen before JAX starts."""

import contextlib
import os

import jax

from jaxrnn.parallel import Devices, Workload, choose_devices
from jaxrnn.runs import processes
from jaxrnn.runs.allocator import keep_pages
from jaxrnn.runs.environment import recorded_devices
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.progress import warn


def start_devices(flags: TrainingFlags, workload: Workload) -> Devices:
    """Chooses the devices and starts JAX's backend. On a CPU the number of devices is chosen here,
    before the backend exists, and the process keeps its memory from training step to training
    step."""
    count = flags.devices
    recorded = 0
    if flags.resume is not None and (flags.resume / "environment.json").is_file():
        recorded = recorded_devices(flags.resume)
    automatic = count == 0
    others = processes.count()
    if others > 1:  # each has as many devices, and an even share of the work
        recorded, before = recorded // others if recorded % others == 0 else 0, recorded
        workload = workload._replace(
            members=-(-workload.members // others),
            batch_size=max(workload.batch_size // others, 1),
        )
    else:
        before = recorded
    if automatic and recorded:
        count = recorded
    elif automatic:
        count = choose_devices("cpu", cores(), workload)
    offer_cpu_devices(count)
    there = jax.local_devices()
    if jax.default_backend() == "cpu":
        keep_pages()
    if automatic and not recorded and jax.default_backend() != "cpu":
        count = choose_devices(jax.default_backend(), len(there), workload)
    elif automatic:
        count = min(count, len(there))
    if count > len(there):
        raise ValueError(f"--devices is {count}; give at most {len(there)} here")
    if before not in (0, count * others):
        warn(
            f"{flags.resume} began on {before} devices and goes on with {count * others}: its "
            "numbers may differ in their last digits from those that it would have had"
        )
    if others == 1:
        return there[:count]
    if (first := processes.agreed(count)) != count:
        raise ValueError(
            f"--distributed: this process uses {count} devices, the first one {first}; give "
            "--devices with what each of them has"
        )
    every = [[d for d in jax.devices() if d.process_index == i][:count] for i in range(others)]
    together = [device for own in every for device in own]
    processes.meet(together)
    return together


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def offer_cpu_devices(count: int) -> None:
    """Has JAX make of a CPU so many devices, or four times as many as there are cores. Where its
    backend is up already (a notebook, a test) what exists is used; never fewer than somebody asked
    for before."""
    with contextlib.suppress(RuntimeError):
        asked = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_num_cpu_devices", max(min(count, 4 * cores()), asked))


def alone(setting: Setting, devices: Devices) -> Devices:
    """For a single member that does not divide its batch.

    Raises:
      ValueError: they are of several processes, of which all but one would have nothing to do.
    """
    if processes.several():
        raise ValueError(
            f"--distributed: {setting.name or 'it'} trains one member that cannot be divided; give "
            "--seeds 2 or more, or leave --distributed out"
        )
    return devices[:1]
