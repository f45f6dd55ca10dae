"""Runs as tables: every logged number is in one row, with what the run was told."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from experiments_support import logged
from sweep_support import FIXTURE, like_the_fixture, make_sweep
from trained_runs import toy_run

from jaxrnn import runs
from jaxrnn.runs.bound import check_config
from jaxrnn.runs.comparing.reading import read
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.frame import KEYS, results_rows, run_paths
from jaxrnn.runs.records import read_record

pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return toy_run(tmp_path_factory)


@pytest.fixture
def sweep(tmp_path):
    """The last of its three runs has not begun."""
    return make_sweep(tmp_path / "sweep", begun=2)


def test_every_logged_number_is_in_one_row(toys):
    found = runs.frame([FIXTURE, toys])
    assert list(found.columns[: len(KEYS)]) == list(KEYS)
    assert not found.duplicated(["run", "setting", "seed", "step"]).any()
    by_key = found.set_index(["run", "setting", "seed", "step"]).sort_index()
    for run in (FIXTURE, toys):
        for line in logged(run):
            row = by_key.loc[(str(run), *(line[name] for name in ("setting", "seed", "step")))]
            named = [name for name in line if name not in (*KEYS, "seconds")]
            assert [row[name] for name in named] == [line[name] for name in named]
            assert row["epoch"] == line["epoch"]
    places = {
        (run, a["setting"], a["seed"], a["step"]) for run in (FIXTURE, toys) for a in logged(run)
    }
    assert len(by_key) == len(places)


def test_the_config_is_beside_what_it_made(toys):
    found = runs.frame([FIXTURE, toys])
    char = found[found.experiment == "char"]
    assert set(char.learning_rate) == {0.01}
    # of two cells the setting's own, and not the one that --cells replaced
    assert dict(zip(char.setting, char.cell, strict=True)) == {"gru": "gru", "elman": "elman"}
    assert set(char.cells) == {"gru elman"}
    assert "seeds" not in found
    toy = found[found.experiment == "toy"]
    assert dict(zip(toy.setting, toy.num_steps, strict=True)) == {
        "steps_2_state_2": 2,
        "steps_3_state_3": 3,
    }


def test_a_setting_has_its_own_numbers_before_it_ends(toys, tmp_path):
    """As a point that a halved sweep left out: it was compared as another setting."""
    path = Path(shutil.copytree(toys, tmp_path / "run"))
    (path / "summary.json").unlink()
    for name in ("num_steps", "state_size", "epochs"):
        ended, left_out = (runs.results(run).set_index(["setting", "seed"]) for run in (toys, path))
        assert list(left_out[name]) == list(ended[name])
    record = read_record(RunDirectory(path))
    more = json.loads(json.dumps(record))
    for setting in more["settings"]:
        setting["flags"]["epochs"] += 1
    check_config(path, record, more)  # --epochs was raised
    with pytest.raises(ValueError, match=r"settings\[0\].flags.epochs is 1, the run was trained"):
        check_config(path, more, record)


def test_results_are_those_of_the_summary(toys):
    found = runs.results([toys, FIXTURE])
    found = found.set_index(["experiment", "setting", "seed"]).sort_index()
    rows = json.loads((toys / "summary.json").read_text())["results"]
    for row in rows:
        mine = found.loc["toy", row["setting"]]
        assert list(mine.final_loss) == pytest.approx(row["final_loss"])
        assert list(mine.index) == row["seeds"]
        assert mine.valid_loss.isna().all()
    for row in json.loads((FIXTURE / "summary.json").read_text())["results"]:
        mine = found.loc["char", row["setting"]]
        assert list(mine.valid_loss) == row["best_valid_loss_per_seed"]
        assert list(mine.train_loss) == row["train_loss_per_seed"]
        assert set(mine.parameters) == {row["parameters"]}
    assert found.finished.all()
    assert not found.diverged.any()


def test_a_limit_is_not_what_a_result_counts(tmp_path):
    """Two cells that were given no limit of parameters do not differ in it."""
    path = shutil.copytree(FIXTURE, tmp_path / "run")
    record = json.loads((path / "config.json").read_text())
    record["config"]["parameters"] = 0
    (path / "config.json").write_text(json.dumps(record))
    rows = json.loads((path / "summary.json").read_text())["results"]
    found = runs.results(path)
    assert set(found.parameters) == {row["parameters"] for row in rows}
    assert set(found.config_parameters) == {0}
    assert {each["parameters"] for each in read(path)} == {0}


def test_a_sweep_is_all_its_runs(sweep, capsys):
    found = runs.results(sweep)
    assert set(found.learning_rate) == {0.001, 0.01}
    assert set(found.run) == {str(sweep / "rate_1"), str(sweep / "rate_2")}
    assert "3 runs, 1 of which have not begun" in capsys.readouterr().err
    assert run_paths([sweep, sweep / "rate_2"]) == [sweep / "rate_1", sweep / "rate_2"]


def test_a_sweep_that_cannot_be_read_is_refused(sweep):
    for name in ("rate_1", "rate_2"):
        shutil.rmtree(sweep / name)
    with pytest.raises(FileNotFoundError, match="a sweep of which no run has begun"):
        runs.frame([sweep])
    for content, said in (
        ([], "no object fields"),
        ({"fields": {}, "runs": {"../x": {}}}, "no folder"),
    ):
        (sweep / "sweep.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=said):
            runs.frame([sweep])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        runs.frame(["nowhere"])


def test_a_run_without_a_log_is_said(sweep, capsys):
    """It has logged nothing yet, or has lost what it logged."""
    begun = RunDirectory(sweep / "rate_2")
    begun.metrics.unlink()
    for table in (runs.frame, runs.results):
        with pytest.raises(ValueError, match=f"{begun.metrics} is missing or empty"):
            table([sweep])
    begun.summary.unlink()
    shutil.rmtree(begun.checkpoints)
    assert set(runs.results([sweep]).run) == {str(sweep / "rate_1")}
    assert f"{begun.path} has logged nothing yet; there is no row" in capsys.readouterr().err


def test_a_number_that_is_text_is_refused_with_its_line(tmp_path):
    log = RunDirectory(Path(shutil.copytree(FIXTURE, tmp_path / "run"))).metrics
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text(json.dumps(json.loads(first) | {"loss": "low"}) + "\n" + "".join(rest))
    with pytest.raises(ValueError, match="line 1: loss is 'low', no number; restore it"):
        runs.results(log.parent)


def test_what_diverged_or_goes_on_is_said(tmp_path):
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(FIXTURE, run.path)
    run.summary.unlink()
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    mine = [line for line in lines if (line["setting"], line["seed"]) == ("gru", 1)]
    mine[-2]["loss"] = mine[-1]["valid_loss"] = None
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.diverged.write_text(json.dumps({"elman": "the loss is not finite"}))
    rows = {(row["setting"], row["seed"]): row for row in results_rows(run.path)}
    assert {key for key, row in rows.items() if row["diverged"]} == {
        ("gru", 1),
        ("elman", 0),
        ("elman", 1),
    }
    assert not any(row["finished"] for row in rows.values())
    assert rows["gru", 1]["valid_loss"] is None
    assert rows["gru", 1]["final_loss"] is None
    assert np.isnan(
        runs.results(run.path).set_index(["setting", "seed"]).loc[("gru", 1), "valid_loss"]
    )


def test_the_lowest_validation_loss_counts_and_the_last_training_loss(tmp_path):
    run = RunDirectory(like_the_fixture(tmp_path / "run", {}))
    (before,) = (
        row for row in results_rows(run.path) if (row["setting"], row["seed"]) == ("gru", 0)
    )
    place = {"setting": "gru", "seed": 0, "epoch": 2, "step": 58, "seconds": 9.0}
    with open(run.metrics, "a") as file:
        for numbers in ({"steps": 29, "loss": 2.0}, {"train_loss": 2.1, "valid_loss": 3.5}):
            file.write(json.dumps(place | numbers) + "\n")
    (after,) = (
        row for row in results_rows(run.path) if (row["setting"], row["seed"]) == ("gru", 0)
    )
    assert after["valid_loss"] == before["valid_loss"]
    told = {"last_valid_loss": 3.5, "train_loss": 2.1, "final_loss": 2.0, "step": 58, "epoch": 2}
    assert {name: after[name] for name in told} == told


def test_pandas_is_asked_for_by_the_name_of_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .*\[frame\]'"):
        runs.frame([FIXTURE])
    assert len([*results_rows(FIXTURE)]) == 4
