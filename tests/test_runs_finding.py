"""Which runs are below a folder, and which code made them."""

import pytest

from experiments import toy, word
from jaxrnn.runs.code import source_of, source_sha256
from jaxrnn.runs.files import write_json
from jaxrnn.runs.finding import made, runs_below


def test_code_is_its_files(tmp_path):
    """Names count and content does, and nothing but Python."""
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "b.py").write_text("x = 1")
    seen = [source_sha256(folder)]
    (folder / "data.csv").write_text("1")
    assert source_sha256(folder) == seen[0]
    (folder / "b.py").write_text("x = 2")
    seen.append(source_sha256(folder))
    (folder / "b.py").rename(folder / "c.py")
    seen.append(source_sha256(folder))
    seen.append(source_sha256(folder / "c.py"))
    assert len(set(seen)) == 4


def test_an_experiments_file_or_folder(tmp_path):
    assert toy.EXPERIMENT.source is not None
    assert toy.EXPERIMENT.source.name == "toy.py"
    assert word.EXPERIMENT.source is not None
    assert word.EXPERIMENT.source.name == "word"
    assert source_of(None) is None
    assert source_of(str(tmp_path / "mine.py")) == tmp_path / "mine.py"


@pytest.fixture
def folder(tmp_path):
    record = {"experiment": "toy", "config": {"seed": 1}}
    environment = {"code": {"jaxrnn": "1", "experiment": "2"}, "versions": {"jax": "3"}}
    for name, file in (("begun", "config"), ("b/timed", "summary"), ("swept", "sweep")):
        write_json_at(tmp_path / name / f"{file}.json", record)
        write_json(tmp_path / name / "environment.json", environment)
    write_json_at(tmp_path / "swept" / "point" / "config.json", record)
    write_json_at(tmp_path / "swept" / "summary.json", {"results": []})
    write_json_at(tmp_path / "notes" / "summary.json", [1])
    (tmp_path / "notes" / "config.json").write_text("{")
    return tmp_path


def write_json_at(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)


def test_runs_below_a_folder(folder):
    """A sweep is one; what cannot be read is none."""
    found = {each.path.name: each for each in runs_below(folder)}
    assert {name: each.finished for name, each in found.items()} == {
        "begun": False,
        "timed": True,
        "swept": True,
    }
    assert all(each.code == {"jaxrnn": "1", "experiment": "2"} for each in found.values())
    assert {each.jax for each in found.values()} == {"3"}
    assert list(runs_below(folder / "nowhere")) == []


def test_an_older_run_has_no_code(folder):
    (folder / "begun" / "environment.json").unlink()
    found = made(folder / "begun")
    assert found is not None
    assert found.code is found.jax is None
