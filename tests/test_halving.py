"""Halving where an experiment has several settings: each has its own points that go on."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments_support import logged, searches
from hypothesis import given
from hypothesis import strategies as st
from stopping import dies_after
from trained_runs import OFTEN

from experiments import toy
from jaxrnn.runs.config import replaced
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.preparing import Prepared
from jaxrnn.runs.sweep import training
from jaxrnn.runs.sweep.directory import SweepRecord, read_sweep, save_search, write_sweep
from jaxrnn.runs.sweep.grouping import Group, Trained, groups_of
from jaxrnn.runs.sweep.halving import first_search, halved, kept_of, score_of
from jaxrnn.runs.sweep.main import _rungs
from jaxrnn.runs.sweep.points import Point, points_of
from jaxrnn.runs.sweep.training import side_by_side, train_groups

# The loss of each point in each setting.
LOSSES = {
    "first": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0},
    "second": {"a": 4.0, "b": 3.0, "c": float("nan"), "d": 1.0},
}


NOTHING: Any = [None] * len(Prepared._fields)


def group_of(setting):
    model: Any = None
    named = Setting(model, model, 0.1, 2, name=setting)
    return Group([Trained(Point(name, {}, None), None, named) for name in "abcd"], [], [])


def record_of(rungs=()):
    return SweepRecord("toy", {}, {name: {} for name in "abcd"}, False, 2, [*rungs])


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """What is trained, one after the other, of points that have these losses."""
    done: list[Any] = []

    def train(experiment, group, prepared, left, runs, flags, theirs, epochs):
        done.append((group.setting, "".join(left), epochs))

    monkeypatch.setattr(training, "_train", train)
    monkeypatch.setattr(training, "score_of", lambda run, name, _: LOSSES[name][run.path.name])

    def make(record, rungs):
        write_sweep(tmp_path, record)
        pairs = [(group_of(setting), Prepared(*NOTHING)) for setting in LOSSES]
        runs = {name: RunDirectory(Path(name)) for name in "abcd"}
        flags = TrainingFlags(run=tmp_path)
        left_out = train_groups(toy.EXPERIMENT, pairs, rungs, record, runs, flags, {})
        assert not pairs
        return left_out

    return SimpleNamespace(make=make, done=done, path=tmp_path)


def test_every_setting_has_its_own_points(trained, capsys):
    record = record_of()
    assert trained.make(record, [1, 2]) == {"a", "b", "c", "d"}
    said = "4 runs were left out on the way, and are compared as far as they came"
    assert said in capsys.readouterr().out
    assert trained.done == [
        *(("first", "abcd", 1), ("first", "ab", 2), ("first", "a", None)),
        *(("second", "abcd", 1), ("second", "bd", 2), ("second", "d", None)),
    ]
    first, last = searches(trained.path, "second")
    np.testing.assert_array_equal(last.alive, [False, False, False, True])
    np.testing.assert_array_equal(first.scores, last.scores)


def test_a_halved_sweep_goes_on_with_what_it_chose(trained, capsys):
    """Its carry is in checkpoints: a damaged one is said, and its rung gone through again."""
    trained.make(record_of(), [1, 2])
    trained.done.clear()
    assert trained.make(record_of(), [1, 2]) == {*"abcd"}
    assert trained.done == [("first", "a", None), ("second", "d", None)]
    damaged = trained.path / "search" / "first" / "0000000002" / "manifest.json"
    damaged.write_text(damaged.read_text().replace("a", "b", 1))
    trained.make(record_of(), [1, 2])
    assert "checkpoint 2 is damaged" in capsys.readouterr().err
    assert trained.done[2:4] == [("first", "ab", 2), ("first", "a", None)]
    for damaged in trained.path.glob("search/second/*/manifest.json"):
        damaged.unlink()
    trained.make(record_of(), [1, 2])
    assert "no sound one is left, so the first rung is decided anew" in capsys.readouterr().err
    assert trained.done[-3:] == [("second", "abcd", 1), ("second", "bd", 2), ("second", "d", None)]
    save_search(trained.path, "first", "bcda", searches(trained.path, "first")[0])
    with pytest.raises(ValueError, match="is of other points"):
        trained.make(record_of(), [1, 2])


def test_a_sweep_halved_by_an_older_version_goes_on(trained):
    """sweep.json had what was chosen, without a setting where there is but one."""
    trained.make(record_of([{"setting": "first", "epochs": 1, "kept": ["c", "d"]}]), [1, 2])
    assert trained.done[:2] == [("first", "cd", 2), ("first", "c", None)]
    assert trained.done[2] == ("second", "abcd", 1)


def test_a_halved_sweep_without_a_named_setting(trained):
    trained.make(record_of([{"epochs": 1, "kept": ["c", "d"]}]), [1])
    assert trained.done[0] == ("first", "cd", None)


@given(
    scores=st.lists(st.sampled_from([1.0, 2.0, 3.0, np.inf, np.nan]), min_size=7, max_size=7),
    alive=st.lists(st.booleans(), min_size=7, max_size=7).filter(any),
    halving=st.integers(2, 4),
)
def test_the_best_of_those_that_are_left_go_on(scores, alive, halving):
    """As sorting the points says it; the first of two alike, and what is NaN last."""
    before = first_search(7)._replace(alive=jnp.array(alive))
    search = halved(before, jnp.array(scores), halving=halving)
    left = [n for n in range(7) if alive[n]]
    worst_last = [np.inf if np.isnan(score) else score for score in scores]
    best = sorted(left, key=worst_last.__getitem__)[: kept_of(len(left), halving)]
    assert [*np.flatnonzero(search.alive)] == sorted(best)
    np.testing.assert_array_equal(search.scores, np.where(alive, scores, np.nan))


def test_a_rung_is_decided_by_its_own_epochs(tmp_path):
    """Also where a run was trained beyond it, alone."""
    lines = [(1, 0, 5.0, 4.0), (1, 1, 5.0, 2.0), (2, 0, 1.0, 1.0), (2, 1, 1.0, None)]
    names = ("epoch", "seed", "train_loss", "valid_loss")
    log = [{"setting": "a", "step": 1} | dict(zip(names, line, strict=True)) for line in lines]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    assert [score_of(RunDirectory(tmp_path), "a", epochs) for epochs in (1, 2)] == [3.0, 1.5]


def test_without_halving_all_go_to_the_end(trained):
    assert trained.make(record_of(), []) == set()
    assert trained.done == [("first", "abcd", None), ("second", "abcd", None)]


@pytest.mark.parametrize(
    ("platform", "devices", "seeds", "expected"),
    [("cpu", 2, 2, 1), ("cpu", 1, 3, 1), ("cpu", 2, 3, 0), ("cpu", 2, 1, 0), ("gpu", 1, 2, 0)],
)
def test_one_program_is_for_as_many_as_go_to_the_end(platform, devices, seeds, expected):
    """Where these take the devices evenly, and where members are computed one after another."""
    every = [SimpleNamespace(platform=platform)] * devices
    assert side_by_side([1, 2], record_of(), seeds, every) == expected
    assert side_by_side([], record_of(), seeds, every) == 0


def test_rungs_are_those_of_the_sweep():
    """Whatever epochs a point has that was resumed alone; settings of other epochs are named."""
    config = replaced(toy.PRESETS["smoke"], num_steps=(2, 3), state_size=(2, 2), epochs=(4, 4))
    points = points_of(config, [{"learning_rate": rate} for rate in (0.01, 0.1, 0.2, 0.5)])
    points[1] = points[1]._replace(config=replaced(points[1].config, epochs=(8, 4)))
    record = record_of()._replace(runs={point.name: point.values for point in points})
    assert _rungs(toy.EXPERIMENT, config, points, record) == [1, 2]
    with pytest.raises(ValueError, match="steps_2_state_2 has 8, steps_3_state_2 has 4: give each"):
        _rungs(toy.EXPERIMENT, points[1].config, points, record)
    by_steps = points_of(config, [{"num_steps": [2, steps]} for steps in (3, 4)])
    with pytest.raises(ValueError, match="sweep neither epochs nor what says which settings"):
        _rungs(toy.EXPERIMENT, config, by_steps, record)


TOY = ["--preset", "smoke", "--length", "600", "--batch-size", "10", "--log-every", "4", *OFTEN]
TOY += ["--devices", "2", "--num-steps", "2", "3", "--state-size", "2", "2", "--epochs", "2", "2"]
TOY += ["--sweep", "learning_rate=0.01,0.1,0.5", "--seeds", "2"]


@pytest.mark.full
def test_points_that_share_a_program_have_the_numbers_of_each_alone(tmp_path):
    """One after the other, to the rung and on from there, also where it dies between."""
    whole, halved, died = (tmp_path / name for name in ("whole", "halved", "died"))
    assert toy.main([*TOY, "--run", str(whole)]) == 0
    assert toy.main([*TOY, "--halving", "2", "--run", str(halved)]) == 0
    settings = sorted(folder.name for folder in (halved / "search").iterdir())
    rungs = [searches(halved, setting) for setting in settings]
    assert [[int(each.alive.sum()) for each in its] for its in rungs] == [[1], [1]]
    for name in read_sweep(halved).runs:
        every = logged(whole / name)
        assert all(line in every for line in logged(halved / name))
    dies_after(40, lambda: toy.main([*TOY, "--halving", "2", "--run", str(died)]))
    assert toy.main(["--resume", str(died), *OFTEN]) == 0
    jax.tree.map(
        np.testing.assert_array_equal, [searches(died, setting) for setting in settings], rungs
    )
    for name in read_sweep(halved).runs:
        assert logged(died / name) == logged(halved / name)


def test_the_last_point_of_a_swept_flag_goes_on_alone():
    """A single member has a number of its own, and no others to differ from."""
    config = replaced(toy.PRESETS["smoke"], cell="elman", num_steps=(3,), state_size=(2,))
    config = replaced(config, epochs=(1,), length=600, batch_size=10, seeds=1)
    points = points_of(config, [{"dropout": 0.1}, {"dropout": 0.2}])
    devices = jax.devices()[:1]
    ((group, prepared),) = groups_of(toy.EXPERIMENT, points, devices, bit_exact=False)
    assert len(prepared.seeds) == 2
    alone = group.among([points[1].name]).programmed(prepared, toy.EXPERIMENT)
    assert len(alone.seeds) == 1
