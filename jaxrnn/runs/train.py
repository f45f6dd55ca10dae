"""Trains a setting of one run, or of several side by side, with all that follows it."""

from collections.abc import Mapping, Sequence
from functools import partial

from jaxrnn.runs.checkpoints import latest_record
from jaxrnn.runs.choosing import choose_at_once, describe
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Experiment
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.keeping import Diverged
from jaxrnn.runs.kept import keep, kept
from jaxrnn.runs.loop import train_setting
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.processes import writes
from jaxrnn.runs.progress import warn
from jaxrnn.runs.recorder import Recorder, Several
from jaxrnn.runs.sampling import Sampler
from jaxrnn.runs.user_recorders import RecorderFactory, Sheltered


def train(
    experiment: Experiment,
    runs: Sequence[RunDirectory],
    prepared: Prepared,
    flags: TrainingFlags,
    theirs: Mapping[str, RecorderFactory],
    *,
    epochs: int | None = None,
    lenient: bool = False,
    like: RunDirectory | None = None,
) -> None:
    """One setting, to its end or for so many epochs; where it may diverge, that ends it alone.

    Args:
      runs: an even share of the members each, in order.
      theirs: the researcher's own callbacks, by what they are called.
      epochs, lenient: as in `train_setting`.
      like: a run that computes its members as this one should.
    """
    setting = prepared.setting
    diverged = runs[0].diverged
    ended = (kept(runs[0], diverged) or {}) if len(runs) == 1 else {}
    if setting.name in ended:
        return

    def record(run: RunDirectory, prepared: Prepared, step: int) -> Recorder:
        prefix = "" if setting.name == experiment.name else setting.name
        recorders: list[Recorder] = [Sampler(run, setting, prepared.seeds, prefix)]
        recorders += [make(run, setting.name, prepared.seeds) for make in setting.recorders]
        if with_tensorboard(run, flags):
            from jaxrnn.runs.tensorboard.boards import Boards

            recorders.append(Boards(run, prepared, step, flags.tensorboard_every))
        for name, make in theirs.items():
            recorders.append(Sheltered(name, partial(make, run, setting.name, prepared.seeds)))
        return Several(recorders)

    if not flags.bit_exact:
        before = latest_record((like or runs[0]).checkpoints / setting.name)
        prepared = choose_at_once(prepared, None if before is None else before.get("members", {}))
        if line := describe(prepared.members):
            print(f"{setting.name}: {line}", flush=True)
    try:
        train_setting(
            runs,
            prepared,
            checkpoint_seconds=flags.checkpoint_seconds,
            keep=flags.keep,
            record=record,
            epochs=epochs,
            lenient=lenient,
        )
    except Diverged as error:
        if not setting.may_diverge:
            raise
        if writes():
            keep(runs[0], diverged, ended | {setting.name: str(error)})
        warn(str(error))


def with_tensorboard(run: RunDirectory, flags: TrainingFlags) -> bool:
    """A resumed run goes on with the files that it has."""
    return flags.tensorboard or (flags.resume is not None and run.tensorboard.is_dir())
