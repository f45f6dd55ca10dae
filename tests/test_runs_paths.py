"""Paths that lead to nothing, or to something else, and a platform that is not there: each is one
line with the flag, the value and what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from experiments_support import error_of

from experiments import char, generate, inspect, toy
from experiments.baselines.config import PRESETS
from experiments.baselines.samples import other_prompt
from jaxrnn.data import build_vocabulary
from jaxrnn.runs.tensorboard.events import EventFile

ROOT = Path(__file__).parents[1]
TINY = ["--num-steps", "2", "--state-size", "2", "--epochs", "1", "--length", "410"]
TINY += ["--batch-size", "10", "--seeds", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("paths") / "run"
    assert toy.main([*TINY, "--run", str(path)]) == 0
    return path


def places(folder: Path) -> dict[str, str]:
    (folder / "file").touch()
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    odd = os.fsdecode(os.fsencode(folder) + b"/\xff")
    Path(odd).mkdir()
    (Path(odd) / "config.json").write_text("{}")
    return {
        "": "is empty",
        str(folder / "file" / "run"): "not a directory",
        str(folder / "one"): "too many levels of symbolic links",
        odd: "is no UTF-8",
        str(folder / "none"): "does not exist",
    }


def test_a_run_that_is_none(tmp_path, capsys):
    for path, said in places(tmp_path).items():
        for main, flag, more in (
            (toy.main, "--resume", []),
            (generate.main, "--run", []),
            (inspect.main, "--run", ["--text", str(tmp_path / "file")]),
        ):
            code = 2 if flag == "--run" and not path else 1
            line = error_of(capsys, main, [flag, path, *more], code)
            assert flag in line
            assert said in line.lower().replace("utf-8", "UTF-8")


def test_a_new_run_that_cannot_be(tmp_path, capsys):
    places(tmp_path)
    said = error_of(capsys, toy.main, [*TINY, "--run", ""], 2)
    assert "--run" in said
    assert "it is empty; give a path" in said
    said = error_of(capsys, toy.main, [*TINY, "--run", str(tmp_path / "one" / "run")])
    assert f"{tmp_path / 'one'} is a link that leads nowhere" in said
    said = error_of(capsys, char.main, ["--preset", "smoke", "--corpus", "", "--run", "x"])
    assert "--corpus: name is ''; give one of" in said


@pytest.mark.parametrize("name", ["metrics.jsonl", "environment.json", "config.json"])
def test_files_that_cannot_be_read(name, trained, tmp_path, capsys):
    """A folder is in the place of each, which nobody can read, whatever the rights."""
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / name).unlink()
    (run / name).mkdir()
    line = error_of(capsys, toy.main, ["--resume", str(run)])
    assert name in line
    assert "[Errno" not in line


def test_a_platform_that_is_not_there():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.toy", *TINY, "--run", "/nowhere/else"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "rocm"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "JAX_PLATFORMS is 'rocm', of which JAX finds no device here; unset it" in line


def test_a_clock_that_was_set_back(tmp_path, monkeypatch):
    """TensorBoard reads files by their names, so the later session comes last all the same."""
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    EventFile(tmp_path, 0).close()
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    EventFile(tmp_path, 5).close()
    first, second = sorted(path.name for path in tmp_path.iterdir())
    assert (first, second) == (
        "events.out.tfevents.2000000000.0000",
        "events.out.tfevents.2000000001.0000",
    )
    EventFile(tmp_path, 9).close()
    assert sorted(tmp_path.iterdir())[-1].name == "events.out.tfevents.2000000002.0000"


def test_a_prompt_that_the_text_lacks_is_said():
    config = PRESETS["smoke"]
    (said,) = other_prompt(config, "character", build_vocabulary("abc", "character"))
    assert "--prompt holds 't', which is none of the text's characters" in said
    assert "instead" in said
    assert other_prompt(config, "character", build_vocabulary("the end", "character")) == []


@pytest.mark.parametrize("kind", ["link", "dataset", "virtual"])
def test_weights_in_another_file_are_not_read(kind, tmp_path):
    h5py = pytest.importorskip("h5py")
    from jaxrnn.interop.files import load_keras

    other, path = tmp_path / "other.h5", tmp_path / "model.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = [1.0, 2.0]
    with h5py.File(path, "w") as file:
        variables = file.create_group("layers/dense/vars")
        if kind == "link":
            variables["0"] = h5py.ExternalLink(str(other), "secret")
        elif kind == "dataset":
            variables.create_dataset("0", (2,), "f4", external=[(str(other), 0, 8)])
        else:
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(str(other), "secret", (2,))
            variables.create_virtual_dataset("0", layout)
    with pytest.raises(ValueError, match=r"/layers/dense/vars/0 .* another file.*; copy it in"):
        load_keras(path)
