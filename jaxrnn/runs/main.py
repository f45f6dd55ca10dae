"""The one path from a command line to a finished run."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.runs import processes
from jaxrnn.runs.checking import members
from jaxrnn.runs.command import guarded, in_flags, one_line
from jaxrnn.runs.devices import alone, start_devices
from jaxrnn.runs.directory import RunDirectory, open_run
from jaxrnn.runs.environment import as_recorded
from jaxrnn.runs.experiment import Experiment, Setting
from jaxrnn.runs.flags import TrainingFlags, placed, read_flags
from jaxrnn.runs.interrupt import Interrupted, Interrupts, interrupts
from jaxrnn.runs.lock import lock_run, releasing_locks
from jaxrnn.runs.log import RunLog
from jaxrnn.runs.opening import check_texts, open_directory, with_stored_code
from jaxrnn.runs.places import GIVEN_BY, code_of
from jaxrnn.runs.preparing import of_seeds, prepare
from jaxrnn.runs.report import finish
from jaxrnn.runs.sweep.directory import is_sweep
from jaxrnn.runs.sweep.main import sweep
from jaxrnn.runs.train import train
from jaxrnn.runs.user_recorders import recorder_factories
from jaxrnn.unroll import Schedule, explain


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Runs an experiment from its command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body():
        # Ctrl-C waits for a moment when it does no harm: one that breaks into XLA's compiler is
        # lost, or makes Python crash when it ends.
        with interrupts() as asked, releasing_locks():
            config, flags = read_flags(experiment, arguments)
            if flags.resume is None and not flags.sweep:
                own = experiment.swept(config)
                flags = replace(flags, sweep=tuple(own.sweep), halving=own.halving)
            if flags.distributed:
                processes.join(
                    processes.place_of(flags.coordinator, flags.process_id, flags.process_count)
                )
            if flags.sweep or (flags.resume is not None and is_sweep(flags.resume)):
                with _saying_how_to_go_on(
                    experiment,
                    config,
                    flags := processes.by_first(lambda: placed(flags, experiment.name)),
                ):
                    sweep(experiment, config, flags, asked)
            else:
                run(experiment, config, flags, asked)

    return guarded(body)


def run(
    experiment: Experiment,
    config: Any,
    flags: TrainingFlags,
    asked: Interrupts,
    repeated: RunDirectory | None = None,
) -> RunDirectory:
    """Makes a run, or goes on with one; returns it.

    Args:
      config: the experiment's.
      flags: of the command line.
      asked: whether somebody asked to stop.
      repeated: a run that the new one repeats: on as many devices, with its draws, its members
        computed as there.
    """
    if flags.resume is not None and processes.writes():
        lock_run(flags.resume)  # before minutes are spent on what is refused then
    devices = start_devices(flags, experiment.workload(config))
    flags = processes.by_first(lambda: placed(flags, experiment.name))
    theirs = recorder_factories(flags)
    origin = flags.resume if repeated is None else repeated.path
    with _saying_how_to_go_on(experiment, config, flags), as_recorded(origin):
        resumed = None if flags.resume is None else open_run(flags.resume)
        config = experiment.resolved(config, resumed)
        seeds = members(config.loop.seed, config.loop.seeds)
        # members of several seeds take the devices; a single one divides its batch over them
        over = devices if len(seeds) == 1 else ()
        parts = experiment.settings(with_stored_code(config, flags))
        settings = [
            experiment.build(part, over)._replace(name=name) for name, part in parts.items()
        ]
        every = [
            prepare(
                each,
                of_seeds(each, seeds),
                devices if each.divides or len(seeds) > 1 else alone(each, devices),
            )
            for each in settings
        ]
        if repeated is not None:
            check_texts(repeated, settings, "DIR")
        if processes.stop_asked(asked):
            raise KeyboardInterrupt
        run = processes.by_first(
            lambda: open_directory(
                experiment, config, flags, settings, [*parts.values()], seeds, devices
            )
        )
        print(f"{'run' if resumed is None else 'resuming'} {run.path}", flush=True)
        if resumed is None and (notice := experiment.notice(config)):
            print(notice, flush=True)
        if flags.explain:
            for each in settings:
                print(f"{each.name}, {_explained(each, config.gradient.schedule)}")
        for prepared in every:
            train(experiment, [run], prepared, flags, theirs, like=repeated)
        processes.by_first(lambda: finish(experiment, config, RunLog(run)))
    return run


def _explained(setting: Setting, schedule: Schedule) -> str:
    """How a training step unrolls the model."""
    ingredients = setting.training.ingredients
    assert ingredients is not None  # every experiment shows what it trains
    inputs = jax.eval_shape(ingredients.batch).inputs
    xs = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), inputs)
    params = ingredients.cell.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), jax.tree.leaves(xs)[0].shape[1])
    carry = jax.vmap(ingredients.cell.init_carry, in_axes=(None, 0))(params, keys)
    return str(explain(ingredients.cell, params, carry, xs, schedule=schedule))


@contextlib.contextmanager
def _saying_how_to_go_on(
    experiment: Experiment, config: Any, flags: TrainingFlags
) -> Iterator[None]:
    """What stops a run says how to resume it, calls what is refused by its flag, and names the cell
    where it may be to blame."""
    path = flags.path
    command = f"{experiment.command} --resume {shlex.quote(str(path))}"
    processes.say_how_to_go_on(command)

    def begun() -> bool:  # whichever of them it is: a new one is not there yet
        return is_sweep(path) or RunDirectory(path).config.is_file()

    try:
        yield
    except Interrupted as interrupted:
        if not begun():
            gone = f"{path} was removed meanwhile, so there is nothing to resume"
            raise Interrupted(f"{interrupted}; {gone}") from None
        raise Interrupted(f"{interrupted}; resume with: {command}") from None
    except KeyboardInterrupt:
        if not begun():
            raise  # nothing has begun
        raise Interrupted(f"stopped; resume from the last checkpoint with: {command}") from None
    except ValueError as error:
        # what a file of the run holds is named as it stands there
        said = str(error) if str(path) in str(error) else in_flags(str(error), config)
        if said == str(error):
            raise
        raise ValueError(said) from error
    except Exception as error:
        theirs = code_of(config)
        if isinstance(error, OSError) or not theirs:
            raise
        # it may well come from the researcher's file
        named = ", ".join(name for _, name in theirs)
        raise ValueError(f"with {GIVEN_BY[theirs[0][0]]} {named}: {one_line(error)}") from error
