"""Sweeps: runs side by side that are each what they are alone."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from experiments_support import error_of, logged, searches, small_char, write_text
from stopping import assert_same_run, dies_after
from sweep_support import like_the_fixture, make_sweep
from tiers import mostly_full
from trained_runs import OFTEN

from experiments import char, toy
from jaxrnn.runs.config import record_of, replaced
from jaxrnn.runs.sweep.directory import SweepRecord, read_sweep, write_sweep
from jaxrnn.runs.sweep.grouping import SWEPT, groups_of
from jaxrnn.runs.sweep.main import _compare as compare_all
from jaxrnn.runs.sweep.points import points_of

# One setting of two seeds.
TOY = ["--preset", "smoke", "--length", "600", "--batch-size", "10", "--log-every", "4"]
TOY += ["--devices", "2", *OFTEN]
MEMBERS = 2
RATES = ("0.05", "0.2", "0.5")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "whole"
    assert toy.main([*TOY, "--sweep", f"learning_rate={','.join(RATES)}", "--run", str(path)]) == 0
    return path


def test_a_run_of_a_sweep_is_the_run_alone(swept, tmp_path):
    """Between two others, which change no bit of its numbers."""
    assert {*read_sweep(swept).runs} == {f"learning_rate={rate}" for rate in RATES}
    alone, rate = tmp_path / "alone", RATES[1]
    assert toy.main([*TOY, "--learning-rate", rate, "--run", str(alone)]) == 0
    assert_same_run(swept / f"learning_rate={rate}", alone, MEMBERS)


def died(path, lines) -> None:
    """Leaves in `path` the same sweep, which died when it had written so many lines."""
    flags = [*TOY, "--sweep", f"learning_rate={','.join(RATES)}", "--run", str(path)]
    dies_after(lines, lambda: toy.main(flags))


@pytest.mark.parametrize("lines", mostly_full([1, 30], 30))
def test_a_sweep_that_dies_goes_on(swept, tmp_path, lines):
    path = tmp_path / "run"
    died(path, lines)
    assert toy.main(["--resume", str(path), *OFTEN]) == 0
    for name in read_sweep(swept).runs:
        assert_same_run(path / name, swept / name, MEMBERS)


def test_a_run_whose_folder_alone_was_made_begins(swept, tmp_path):
    """The process died between the folder and the config."""
    path, (name, *_) = Path(shutil.copytree(swept, tmp_path / "run")), read_sweep(swept).runs
    shutil.rmtree(path / name)
    (path / name / "tensorboard").mkdir(parents=True)
    for left in (".lock", ".config.json.77"):
        (path / name / left).touch()
    assert toy.main(["--resume", str(path)]) == 0
    assert_same_run(path / name, swept / name, MEMBERS)
    assert not (path / name / ".config.json.77").exists()


def test_a_run_that_was_raised_alone_stays_so(swept, tmp_path, capsys):
    path, (name, *_) = Path(shutil.copytree(swept, tmp_path / "run")), read_sweep(swept).runs
    assert toy.main(["--resume", str(path / name), "--epochs", "3"]) == 0
    raised = Path(shutil.copytree(path / name, tmp_path / "raised"))
    assert json.loads((raised / "config.json").read_text())["config"]["epochs"] == [3]
    assert toy.main(["--resume", str(path)]) == 0
    assert_same_run(path / name, raised, MEMBERS)
    assert "epochs 3" in capsys.readouterr().out


def test_a_sweep_over_epochs_is_not_raised(tmp_path, capsys):
    config, runs = record_of(toy.PRESETS["smoke"]), {"epochs=1": {"epochs": [1]}}
    write_sweep(tmp_path, SweepRecord("toy", config, runs, False, 0, []))
    said = error_of(capsys, toy.main, ["--resume", str(tmp_path), "--epochs", "9"])
    assert "--epochs is [9], and the sweep goes through epochs" in said


def test_a_sweep_over_splits_ends_without_a_comparison(tmp_path, capsys):
    """Its runs are what they are, and are compared by whoever chooses some that are alike."""
    path = make_sweep(tmp_path / "sweep", begun=2)
    like_the_fixture(path / "rate_3", {"valid_fraction": 0.2})
    compare_all(char.EXPERIMENT, char.PRESETS["smoke"], [], path)
    assert "not compared: " in (told := capsys.readouterr().err)
    assert "differ in split: --valid-fraction is 0.1 and 0.2" in told
    assert not (path / "summary.json").exists()


@pytest.mark.full
@pytest.mark.parametrize("others", [False, True])
def test_a_run_of_a_sweep_goes_on_alone(swept, tmp_path, others):
    """And then the others without it, which are another number and so another program."""
    path, name = tmp_path / "run", f"learning_rate={RATES[1]}"
    died(path, 17)
    assert toy.main(["--resume", str(path / name)]) == 0
    assert_same_run(path / name, swept / name, MEMBERS)
    if others:
        assert toy.main(["--resume", str(path)]) == 0  # and that one is left as it is
        for name in read_sweep(swept).runs:
            assert_same_run(path / name, swept / name, MEMBERS)


# Of each flag two values that are not 0, no two of them alike in what they do.
NUMBERS = {
    "dropout": (0.2, 0.4),
    "zoneout": (0.3, 0.1),
    "weight_drop": (0.1, 0.5),
    "weight_decay": (0.3, 3.0),
    "momentum": (0.5, 0.9),
    "max_norm": (0.5, 0.05),
}


FEW = ("adamw", ("dropout", "weight_decay", "max_norm"))
ALL = [
    ("adamw", tuple(name for name in NUMBERS if name != "momentum")),
    ("momentum", tuple(name for name in NUMBERS if name != "weight_decay")),
]


@pytest.mark.parametrize(("optimizer", "names"), mostly_full([FEW, *ALL], FEW))
def test_swept_numbers_are_those_of_each_alone(optimizer, names):
    """One program computes with every member's own: the last point has those that it has alone, and
    the first has others."""
    assert {*NUMBERS} == {*SWEPT}
    sizes = {"num_steps": (3,), "state_size": (2,), "epochs": (1,), "length": 600}
    config = replaced(toy.PRESETS["smoke"], **sizes, batch_size=10, seeds=2)
    config = replaced(config, cell="elman", optimizer=optimizer, learning_rate=0.01)
    rows = [{name: NUMBERS[name][i] for name in names} for i in (0, 1)]
    devices = jax.devices()[:1]

    def chunks(points, bit_exact):
        groups = groups_of(toy.EXPERIMENT, points, devices, bit_exact=bit_exact)
        return [prepared.chunk(prepared.init())[1]["loss"] for _, prepared in groups]

    points = points_of(config, rows)
    (together,) = chunks(points, bit_exact=False)
    (alone,) = chunks(points[1:], bit_exact=True)
    np.testing.assert_allclose(together[2:], alone, rtol=1e-5)
    assert abs(together[0] - together[2]).max() > 1e-3  # of one seed


def test_what_is_part_of_a_program_has_its_own(tmp_path):
    """A momentum that the optimizer does not have, a rate of 0, and another size."""
    config = replaced(toy.PRESETS["smoke"], length=600, batch_size=10, seeds=1)
    rows = [{"momentum": 0.1}, {"momentum": 0.2}, {"dropout": 0.0}, {"dropout": 0.1}]
    rows += [{"dropout": 0.2}, {"cell": "gru"}]
    points = points_of(
        config, [{"momentum": 0.8, "dropout": 0.0, "cell": "elman"} | r for r in rows]
    )
    groups = groups_of(toy.EXPERIMENT, points, jax.devices()[:1], bit_exact=False)
    found = sorted(len(group.points) for group, _ in groups)
    assert found == [1, 1, 1, 1, 2]


def test_what_diverges_ends_alone(tmp_path, capsys, swept):
    path = tmp_path / "run"
    assert toy.main([*TOY, "--sweep", "learning_rate=0.05,0.2,3e38", "--run", str(path)]) == 0
    assert "seed 0 is not finite" in capsys.readouterr().err
    fine, lost = logged(path / "learning_rate=0.2"), logged(path / "learning_rate=3e+38")
    assert all(line["loss"] is not None for line in fine if "loss" in line)
    assert lost[-1]["train_loss"] is None
    for name in ("learning_rate=0.05", "learning_rate=0.2"):
        assert_same_run(path / name, swept / name, MEMBERS)


@pytest.mark.full
def test_successive_halving_goes_on_where_it_died(tmp_path):
    """Behind the first of two halvings."""
    text = write_text(tmp_path)
    flags = [*small_char(text), "--epochs", "4", "--sample-length", "0", "--halving", "2"]
    flags += ["--sweep", "learning_rate=1e-5,1e-2,1e-3,3e-2", "--checkpoint-seconds", "0"]
    whole, died = tmp_path / "whole", tmp_path / "died"
    assert char.main([*flags, "--run", str(whole)]) == 0
    assert [int(search.alive.sum()) for search in searches(whole, "char")] == [2, 1]
    assert not searches(whole, "char")[0].alive[0]
    epochs = {name: logged(whole / name)[-1]["epoch"] for name in read_sweep(whole).runs}
    assert sorted(epochs.values()) == [1, 1, 2, 4]
    dies_after(40, lambda: char.main([*flags, "--run", str(died)]))
    assert char.main(["--resume", str(died)]) == 0
    expected = searches(whole, "char")
    jax.tree.map(np.testing.assert_array_equal, searches(died, "char"), expected)
    for name in epochs:
        assert logged(died / name) == logged(whole / name)
    shutil.rmtree(died / "search")  # what came beyond a rung is left as it is
    assert char.main(["--resume", str(died)]) == 0
    jax.tree.map(np.testing.assert_array_equal, searches(died, "char"), expected)
    for name in epochs:
        assert logged(died / name) == logged(whole / name)


def test_what_a_sweep_refuses(tmp_path, capsys, swept):
    def refused(*flags):
        return error_of(capsys, toy.main, [*TOY, "--run", tmp_path / "new", *flags])

    assert "there is no flag rate" in refused("--sweep", "rate=1")
    assert "cell 'none' is not known" in refused("--sweep", "cell=elman,none")
    assert "--halving is 3" in refused("--halving", "3")
    assert not (tmp_path / "new").exists()
    copy = Path(shutil.copytree(swept, tmp_path / "copy"))
    written = (copy / "sweep.json").read_text()
    (copy / "sweep.json").write_text(written.replace('"halving": 0', '"halving": 2'))
    assert "sweep.json was altered" in error_of(capsys, toy.main, ["--resume", str(copy)])
    record = json.loads(written)
    del record["sha256"]  # as older ones are
    for field, value in [("runs", {"../x": {}}), ("rungs", [{"epochs": 1, "kept": ["no"]}])]:
        (copy / "sweep.json").write_text(json.dumps(record | {field: value}))
        assert "sweep.json" in error_of(capsys, toy.main, ["--resume", str(copy)])
    (copy / "sweep.json").write_text(json.dumps(record))
    assert "as it began" in error_of(
        capsys, toy.main, ["--resume", str(copy), "--sweep", "cell=gru"]
    )
    log = next(copy.glob("*/metrics.jsonl"))
    log.write_text(log.read_text().replace('"loss": 0.', '"loss": 1.', 1))
    assert str(log) in error_of(capsys, toy.main, ["--resume", str(copy)])


def test_what_the_page_says_of_its_table(swept, monkeypatch):
    """The documentation's block, of this sweep."""
    page = (Path(__file__).parent.parent / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found = {}
    exec(source.replace("runs/rates", str(swept)), found)
    assert len(found["ends"]) == len(RATES) * 2
    assert {*found["ends"]["learning_rate"]} == {*map(float, RATES)}
    assert found["table"]["loss"].notna().any()
