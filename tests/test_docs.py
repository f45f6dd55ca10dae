"""The experiment of the documentation, run as a reader would run it."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from experiments_support import error_of, write_text

from experiments import generate

PAGE = (Path(__file__).parent.parent / "docs" / "experiment.md").read_text(encoding="utf-8")
(SOURCE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def smoothing(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "smoothing.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("smoothing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["smoothing"] = module  # where flags look for the docstrings of fields
    spec.loader.exec_module(module)
    yield module
    del sys.modules["smoothing"]


def test_it_is_short():
    assert len(SOURCE.splitlines()) <= 80


@pytest.mark.full
def test_it_trains_resumes_and_writes(smoothing, tmp_path, capsys):
    text, run = write_text(tmp_path), tmp_path / "run"
    arguments = ["--preset", "smoke", "--corpus", str(text), "--epochs", "1", "--seeds", "1"]
    arguments += ["--cell", "elman", "--sample-length", "5"]  # compiles fastest
    assert smoothing.main([*arguments, "--devices", "1", "--run", str(run)]) == 0
    first = json.loads((run / "summary.json").read_text())
    assert [row["setting"] for row in first["results"]] == ["smoothed", "certain"]
    (claim,) = first["claims"]
    losses = [row["valid_loss"] for row in first["results"]]
    assert claim["holds"] == (losses[0] < losses[1])
    assert (run / "plots" / "validation.png").is_file()
    assert len(list((run / "samples").glob("*.txt"))) == 2
    assert smoothing.main(["--resume", str(run), "--epochs", "2"]) == 0
    assert len(json.loads((run / "summary.json").read_text())["results"][0]["per_epoch"]) == 2
    capsys.readouterr()
    assert generate.main(["--run", str(run), "--setting", "certain", "--length", "20"]) == 0
    assert len(capsys.readouterr().out) >= 20


def test_it_refuses_in_one_line(smoothing, tmp_path, capsys):
    arguments = ["--smoothing", "1.0", "--run", str(tmp_path / "run")]
    assert "--smoothing is 1.0" in error_of(capsys, smoothing.main, arguments)
    assert not (tmp_path / "run").exists()
