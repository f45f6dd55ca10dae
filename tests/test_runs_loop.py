"""The host's loop, on a training of next to no mathematics: it stops anywhere and goes on."""

import errno
import functools
import io
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import logged
from stopping import after_lines, dies_after

from jaxrnn.base import TrainState
from jaxrnn.models import TokenModel
from jaxrnn.runs import keeping
from jaxrnn.runs.checkpoints import committed_steps, restore_checkpoint
from jaxrnn.runs.directory import MetricsLog, create_run, open_run
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.files import DiskFull, write_json
from jaxrnn.runs.interrupt import Interrupted, interrupts
from jaxrnn.runs.keeping import Diverged
from jaxrnn.runs.loop import train_setting
from jaxrnn.runs.preparing import Prepared, of_seeds, prepare
from jaxrnn.runs.recorder import Recorder
from jaxrnn.training import Training

STEPS = 5  # of an epoch, in chunks of 2, 2 and 1
ENDS = [2, 4, 5, 7, 9, 10, 12, 14, 15]
# Of both seeds a line for every chunk and for every epoch.
LINES = [end for end in ENDS for _ in range(4 if end % STEPS == 0 else 2)]
NEVER = 100.0


def init(key, lost):
    """Member k begins at 5 k. From the training step `lost` on the loss is NaN; where it is above
    1000, the weights alone are lost, at `lost` - 1000."""
    w = STEPS * jax.random.key_data(key)[-1].astype(jnp.float32)
    zero = jnp.int32(0)
    return TrainState({"w": w, "v": jnp.stack([w, -w])}, lost, jnp.zeros(1), key, zero, zero)


def chunk(state):
    """A training step adds 1 to w, and the loss is the step and a hundredth of w."""
    place = jnp.arange(1, 3)
    count = jnp.minimum(2, STEPS - state.position)
    step = jnp.where(place <= count, state.step + place, 0)
    number, lost = step.astype(jnp.float32), state.opt_state
    w = state.params["w"] + count.astype(jnp.float32)
    loss = jnp.where(number >= lost, jnp.nan, number + state.params["w"] / 100)
    weights_are_lost = (lost > 1000) & (number.max() >= lost - 1000)
    v = jnp.where(weights_are_lost, jnp.inf, w)
    return state._replace(
        params={"w": w, "v": jnp.stack([v, -v])},
        step=state.step + count,
        position=(state.position + count) % STEPS,
    ), {"loss": loss, "step": step}


def nearest_to_ten(params):
    return {"valid_loss": (params["w"] - 10) ** 2}


@functools.cache
def prepared(lost: float = 2000.0, validate=nearest_to_ten, epochs: int = 3) -> Prepared:
    training = Training(init, chunk, 3 * epochs, STEPS)
    setting = Setting(TokenModel(2, 2), training, lost, epochs, validate, name="tiny")
    return prepare(setting, of_seeds(setting, [0, 1]), jax.devices()[:1])


class Epochs(Recorder):
    """Notes the epochs that end."""

    def __init__(self, ended: list[int]):
        self._ended = ended

    def epoch(self, step, state, best):
        self._ended.append(step // STEPS)


def train(path: Path, of: Prepared, seconds: float = 0.0, keep: int = 2) -> list[int]:
    """Trains on, or from the start; returns the epochs that ended."""
    if not path.exists():
        record = {"experiment": "tiny", "config": {}, "settings": [], "seeds": [0, 1]}
        write_json(create_run(path).config, record)
    ended = []
    train_setting(
        [open_run(path)],
        of,
        checkpoint_seconds=seconds,
        keep=keep,
        record=lambda *_: Epochs(ended),
    )
    return ended


def steps_kept(path: Path) -> list[int]:
    return committed_steps(path / "checkpoints" / "tiny")


def saved(path: Path, step: int = ENDS[-1]):
    directory = path / "checkpoints" / "tiny"
    return restore_checkpoint(directory, step, prepared().like)[0]


def assert_same(path: Path, whole: Path) -> None:
    assert logged(path) == logged(whole)
    same = jax.tree.map(np.array_equal, *(leaves(saved(run)) for run in (path, whole)))
    assert jax.tree.all(same)


def leaves(tree):
    return jax.tree.leaves(tree._replace(state=tree.state._replace(key=())))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped."""
    path = tmp_path_factory.mktemp("loop") / "whole"
    assert train(path, prepared()) == [1, 2, 3]
    return path


def test_lines_and_checkpoints(whole):
    found = logged(whole)
    assert [line["step"] for line in found] == LINES
    assert steps_kept(whole) == ENDS[-2:]
    for seed in (0, 1):
        mine = [line for line in found if line["seed"] == seed]
        chunks = [line for line in mine if "loss" in line]
        assert [line["steps"] for line in chunks] == [2, 2, 1] * 3
        # the mean of both steps; w is what it was when the chunk began
        assert chunks[1]["loss"] == pytest.approx(3.5 + (5 * seed + 2) / 100)
        epochs = [line for line in mine if "loss" not in line]
        assert [line["valid_loss"] for line in epochs] == [
            (5 * seed + end - 10) ** 2 for end in (5, 10, 15)
        ]
        for epoch in epochs:
            losses = [(x["loss"], x["steps"]) for x in chunks if x["epoch"] == epoch["epoch"]]
            mean = np.average([x for x, _ in losses], weights=[n for _, n in losses])
            assert epoch["train_loss"] == pytest.approx(mean)


def test_best_is_the_epoch_with_the_lowest_validation_loss_of_each_member(whole):
    state, best = saved(whole)
    assert state.step.tolist() == [15, 15]
    assert best.step.tolist() == [10, 5]
    assert best.loss.tolist() == [0, 0]
    assert best.params["w"].tolist() == [10, 10]
    assert best.params["v"].tolist() == [[10, -10], [10, -10]]


def test_while_nothing_was_validated_best_is_the_latest(tmp_path):
    for name, of in (("none", prepared(validate=lambda params: {})), ("not yet", prepared())):
        # behind the checkpoint of step 4
        dies_after(7, lambda path=tmp_path / name, of=of: train(path, of))
        best = saved(tmp_path / name, 4).best
        assert best.step.tolist() == [4, 4]
        assert best.params["w"].tolist() == [4, 9]
        assert np.isinf(best.loss).all()


def test_nothing_compiles_twice(tmp_path):
    """Neither the second epoch nor a resumed run has its arrays elsewhere."""
    of = prepared.__wrapped__()
    run = create_run(tmp_path / "run")
    write_json(run.config, {"experiment": "tiny", "config": {}, "settings": [], "seeds": [0, 1]})
    for epochs in (2, 3):
        train_setting([run], of, checkpoint_seconds=0.0, epochs=epochs)
    jitted: list[Any] = [of.first_best, of.update_best, of.finalize_best]
    assert [function._cache_size() for function in jitted] == [1] * 3


@pytest.mark.parametrize("lines", [(1, 2), (4, 7, 9), (24,), (6, 8, 6)])
def test_killed_anywhere_and_resumed(whole, tmp_path, lines):
    """Again and again: each process dies when it has written so many lines."""
    path = tmp_path / "broken"
    for count in lines:
        dies_after(count, lambda: train(path, prepared()))
    train(path, prepared())
    assert_same(path, whole)


def test_runs_side_by_side_go_on_from_a_step_that_all_have(whole, tmp_path):
    """A process that died while it saved left a newer checkpoint in some of them."""
    both = [create_run(tmp_path / name) for name in "ab"]
    for seed, run in enumerate(both):
        record = {"experiment": "tiny", "config": {}, "settings": [], "seeds": [seed]}
        write_json(run.config, record)

    def train_both():
        train_setting(both, prepared(), checkpoint_seconds=0.0)

    dies_after(7, train_both)
    assert [steps_kept(run.path) for run in both] == [[2, 4]] * 2
    shutil.rmtree(both[1].checkpoints / "tiny" / f"{4:010d}")
    train_both()
    for seed, run in enumerate(both):
        assert logged(run.path) == [line for line in logged(whole) if line["seed"] == seed]


def test_raised_epochs_are_more_epochs_from_the_start(whole, tmp_path):
    path = tmp_path / "raised"
    assert train(path, prepared(epochs=1), NEVER) == [1]
    assert train(path, prepared(), NEVER) == [2, 3]
    assert train(path, prepared(), NEVER) == []
    assert_same(path, whole)


def test_a_checkpoint_that_is_damaged_is_passed_over(whole, tmp_path, capsys):
    path = tmp_path / "broken"
    dies_after(12, lambda: train(path, prepared()))
    first, newest = steps_kept(path)
    folder = path / "checkpoints" / "tiny" / f"{newest:010d}"
    victim = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    train(path, prepared())
    assert f"falling back to checkpoint {first}" in capsys.readouterr().err
    assert_same(path, whole)


@pytest.mark.parametrize(
    ("number", "lines", "step"),
    [(signal.SIGTERM, 0, 0), (signal.SIGINT, 5, 5), (signal.SIGTERM, 22, 15)],
)
def test_a_signal_saves_after_the_chunk(whole, tmp_path, number, lines, step):
    """Before the first one nothing; after the last one the whole training."""
    path = tmp_path / "broken"
    with pytest.MonkeyPatch.context() as patch, interrupts():
        after_lines(patch, lines, lambda log: signal.raise_signal(number))
        if not lines:
            signal.raise_signal(number)
        with pytest.raises(Interrupted, match=f"tiny stopped at step {step} of 15"):
            train(path, prepared(), NEVER)
    assert steps_kept(path) == ([step] if step else [])
    train(path, prepared(), NEVER)
    assert_same(path, whole)


def test_a_loss_that_is_no_number(tmp_path):
    """In the second step of a chunk: what was saved before is kept, and is where it goes on."""
    kept = "the checkpoint of step 2 is kept"
    for _ in range(2):
        with pytest.raises(Diverged, match=rf"of seed 0 is not finite at step 4 .*; {kept}"):
            train(tmp_path / "run", prepared(lost=4.0))
        assert logged(tmp_path / "run")[-1]["loss"] is None
        assert steps_kept(tmp_path / "run") == [2]


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    with pytest.raises(Diverged, match=r"at step 2 .*; no checkpoint was due before that"):
        train(tmp_path / "run", prepared(lost=1001.0))
    assert logged(tmp_path / "run")[0]["loss"] is not None
    assert steps_kept(tmp_path / "run") == []


def test_so_many_checkpoints_stay(tmp_path):
    train(tmp_path / "run", prepared(), keep=3)
    assert steps_kept(tmp_path / "run") == ENDS[-3:]


def test_a_checkpoint_counts_on_no_line_that_may_be_lost(tmp_path, monkeypatch):
    log, flush, synced = tmp_path / "run" / "metrics.jsonl", MetricsLog.flush, []
    save = keeping.save_checkpoint

    def flushing(self):
        flush(self)
        synced.append(log.stat().st_size)

    def saving(*arguments, **options):
        assert synced.pop() == log.stat().st_size
        return save(*arguments, **options)

    monkeypatch.setattr(MetricsLog, "flush", flushing)
    monkeypatch.setattr(keeping, "save_checkpoint", saving)
    train(tmp_path / "run", prepared())


# A full disk


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile(io.FileIO):
    """Takes half of what is written, and then nothing."""

    room = 50

    def write(self, data):
        taken = super().write(data[: self.room])
        self.room -= taken
        return taken or no_space()


@pytest.mark.parametrize(
    ("what", "lines", "kept"),
    [("metrics.jsonl", 5, [2, 4]), ("checkpoints/tiny/0000000009", 11, [5, 7])],
)
def test_a_full_disk(whole, tmp_path, what, lines, kept):
    path = tmp_path / "broken"

    def fill(log):
        if what == "metrics.jsonl":
            log._file.close()
            log._file = FullFile(path / what, "ab")
        else:
            patch.setattr(os, "posix_fallocate", no_space)

    with pytest.MonkeyPatch.context() as patch:
        after_lines(patch, lines, fill)
        with pytest.raises(DiskFull, match=f"could not write {path / what}"):
            train(path, prepared())
    assert steps_kept(path) == kept
    train(path, prepared())
    assert_same(path, whole)
