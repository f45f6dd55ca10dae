"""A run once more, from its own directory."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from experiments_support import error_of, unbind
from trained_runs import char_run, toy_run

from experiments import rerun
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.files import write_json
from jaxrnn.runs.rerun import difference


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory)


def test_a_run_comes_out_as_it_did(trained, tmp_path, capsys):
    assert rerun.main([str(trained), "--out", str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"{trained} and {tmp_path / 'again'} are bit-equal")
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == json.loads(
        (trained / "config.json").read_text()
    )


def test_what_differs_is_said(trained, tmp_path):
    """A number of the log is a hundredth off."""
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    lines = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    lines[3]["loss"] *= 1.01
    (other / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    unbind(other)
    found = difference(RunDirectory(trained), RunDirectory(other))
    assert found.first == (lines[3]["setting"], lines[3]["seed"], lines[3]["step"])
    assert found.log == pytest.approx(0.01 / 1.01)
    assert (found.missing, found.params) == (1, 0)
    assert "at most 9.9e-03 of themselves" in str(found)


@pytest.mark.parametrize("there", [np.nan, np.inf, -np.inf])
def test_params_that_are_no_number_are_apart(there, trained, monkeypatch):
    params = iter([{"w": np.array([1.0, there])}, {"w": np.array([1.0, 2.0])}] * 6)
    monkeypatch.setattr("jaxrnn.runs.rerun.load", lambda *_, **__: (None, next(params)))
    found = difference(RunDirectory(trained), RunDirectory(trained))
    assert found.params == np.inf
    assert str(found).startswith("not equal: the log is equal; params by at most inf")


def test_what_cannot_be_repeated(trained, tmp_path, tmp_path_factory, capsys):
    def refused(path):
        return error_of(capsys, rerun.main, [str(path), "--out", str(tmp_path / "new")])

    assert "does not exist" in refused(tmp_path / "none")
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    record = json.loads((other / "config.json").read_text())
    write_json(other / "config.json", record | {"experiment": "mine"})
    assert "'mine', which is no experiment" in refused(other)
    text = Path(shutil.copytree(char_run(tmp_path_factory), tmp_path / "char"))
    environment = json.loads((text / "environment.json").read_text())
    environment["texts"] = {name: "0" * 64 for name in environment["texts"]}
    write_json(text / "environment.json", environment)
    assert "is not the one the run began with" in refused(text)
    assert not (tmp_path / "new").exists()
