"""A run from elsewhere: its code is asked about, its names and links lead nowhere."""

import json
import os
import shutil
from pathlib import Path

import jax
import pytest
from experiments_support import error_of, small_char, unbind, write_text
from tiers import mostly_full

from experiments import char, generate, inspect, toy
from jaxrnn.cell_files import find_cell
from jaxrnn.runs import load
from jaxrnn.runs.cell_code import keep_code
from jaxrnn.runs.config import replaced
from jaxrnn.runs.flags import TrainingFlags
from jaxrnn.runs.lock import releasing_locks
from jaxrnn.runs.opening import open_directory

CELL = """
import helpers
from parts import layers


def mine(input_size, hidden_size):
    from late import cell
    return cell(helpers.CELL, layers.same(input_size), hidden_size)
"""
FILES = {
    "cells.py": CELL,
    "helpers.py": "from further import CELL\n",
    "further.py": "from jaxrnn import elman as CELL\n",
    "late.py": "def cell(factory, *sizes):\n    return factory(*sizes)\n",
    "parts/__init__.py": "",
    "parts/layers.py": "from . import numbers\ndef same(n):\n    return numbers.ONE * n\n",
    "parts/numbers.py": "ONE = 1\n",
    "unrelated.py": "raise SystemExit(3)\n",
}


def write_code(folder: Path) -> None:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def modules_of(run: Path) -> set[str]:
    folder = run / "cell_modules"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """With a cell that imports its neighbours, and relative paths to it and to the text."""
    folder = tmp_path_factory.mktemp("foreign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXRNN_CACHE", str(folder / "cache"))
        write_text(folder)
        write_code(folder / "code")
        patch.chdir(folder)
        flags = [*small_char(Path("text.txt")), "--seeds", "2", "--epochs", "1"]
        assert char.main([*flags, "--cell", "code/cells.py:mine", "--run", "run"]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy, in a folder that is not where it began."""
    monkeypatch.setenv("JAXRNN_CACHE", str(trained / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Path(shutil.copytree(trained / "run", tmp_path / "run"))


@pytest.fixture
def foreign(run, tmp_path, monkeypatch):
    """The same for somebody who never saw it: the code is another, and nobody trusted it here."""
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "cache"))
    marker = tmp_path / "it_ran"
    text = (run / "cell.py").read_text()
    (run / "cell.py").write_text(f"open({str(marker)!r}, 'a').close()\n{text}")
    unbind(run)
    return run


def commands(run: Path, trained: Path):
    text = trained / "text.txt"
    return {
        "resume": (char.main, ["--resume", str(run)]),
        "generate": (generate.main, ["--run", str(run), "--length", "3"]),
        "inspect": (inspect.main, ["--run", str(run), "--text", str(text), "--length", "5"]),
    }


def test_a_run_keeps_a_cell_that_no_setting_trains(tmp_path):
    """As that of truncation whose parts only measure."""
    cells = tmp_path / "cells.py"
    cells.write_text("from jaxrnn import elman as mine\n")
    config = replaced(toy.Config(), cell=f"{cells}:mine")
    flags = TrainingFlags(run=tmp_path / "run")
    with releasing_locks():
        begun = open_directory(toy.EXPERIMENT, config, flags, [], [], [0], jax.devices()[:1])
    assert begun.cell.read_text() == cells.read_text()


def test_what_a_cell_imports_is_kept_and_found(tmp_path, monkeypatch):
    """Nothing else from beside it; and it is built from there, where its files are no more."""
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "cache"))
    write_code(tmp_path / "code")
    kept = tmp_path / "run" / "cell.py"
    keep_code(kept, tmp_path / "code" / "cells.py")
    assert modules_of(kept.parent) == set(FILES) - {"cells.py", "unrelated.py"}
    shutil.rmtree(tmp_path / "code")
    cell = find_cell(f"{kept}:mine")(3, 4)
    assert jax.eval_shape(cell.init, jax.random.key(0)).w_ih.shape == (3, 4)


@pytest.mark.full
def test_a_run_keeps_what_its_cell_imports(run, trained):
    """And is trained, loaded and sampled from without the files that it was made of."""
    assert modules_of(run) == set(FILES) - {"cells.py", "unrelated.py"}
    (trained / "code").rename(trained / "away")
    try:
        load(run)
        assert generate.main(["--run", str(run), "--length", "3"]) == 0
        assert char.main(["--resume", str(run), "--epochs", "2"]) == 0
    finally:
        (trained / "away").rename(trained / "code")


def test_a_neighbour_that_changed_is_named(run, trained, capsys):
    path = trained / "code" / "helpers.py"
    path.write_text(FILES["helpers.py"] + "# another\n")
    try:
        said = error_of(capsys, char.main, ["--resume", str(run)])
        assert "is not the one the run began with" in said
        assert str(trained / "code" / "cells.py") in said
    finally:
        path.write_text(FILES["helpers.py"])


@pytest.mark.full
def test_the_same_text_elsewhere(run, trained, tmp_path, capsys):
    other = tmp_path / "another.txt"
    (trained / "text.txt").rename(other)
    try:
        assert "text.txt" in error_of(capsys, char.main, ["--resume", str(run)])
        assert char.main(["--resume", str(run), "--corpus", "../another.txt"]) == 0
        recorded = json.loads((run / "config.json").read_text())["config"]["corpus"]
        assert Path(recorded).samefile(other)
        assert char.main(["--resume", str(run), "--epochs", "2"]) == 0
        wrong = tmp_path / "wrong.txt"
        wrong.write_text(other.read_text() + "!")
        arguments = ["--resume", str(run), "--corpus", str(wrong)]
        assert "sha256" in error_of(capsys, char.main, arguments)
    finally:
        other.rename(trained / "text.txt")


@pytest.mark.parametrize("command", mostly_full(["resume", "generate", "inspect"], "generate"))
def test_code_is_asked_about(command, foreign, trained, tmp_path, capsys):
    source = trained / "code" / "cells.py"
    source.rename(trained / "code" / "away.py")
    main, arguments = commands(foreign, trained)[command]
    try:
        said = error_of(capsys, main, arguments)
        assert str(foreign / "cell.py") in said
        assert "--trust" in said
        assert "--no-cell-code" in error_of(capsys, main, [*arguments, "--no-cell-code"])
        assert not (tmp_path / "it_ran").exists()
        assert main([*arguments, "--trust"]) == 0
        assert (tmp_path / "it_ran").exists()
        assert main(arguments) == 0  # it is remembered
        assert "--no-cell-code" in error_of(capsys, main, [*arguments, "--no-cell-code"])
    finally:
        (trained / "code" / "away.py").rename(source)


def test_code_that_a_config_names_is_asked_about(run, tmp_path, monkeypatch, capsys):
    """A run that was killed before it kept its cell is resumed from the file that it names."""
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "cache"))
    shutil.rmtree(run / "checkpoints")
    (run / "summary.json").unlink()
    (run / "cell.py").unlink()
    other = tmp_path / "other.py"
    other.write_text("raise SystemExit(0)\n")
    content = json.loads((run / "config.json").read_text())
    content["config"]["cell"] = f"{other}:mine"
    (run / "config.json").write_text(json.dumps(content))
    assert "--trust" in error_of(capsys, char.main, ["--resume", str(run)])


def test_no_cell_code_of_a_new_run(trained, tmp_path, capsys):
    cell = f"{trained / 'code' / 'cells.py'}:mine"
    flags = [*small_char(trained / "text.txt"), "--cell", cell, "--no-cell-code"]
    said = error_of(capsys, char.main, [*flags, "--run", str(tmp_path / "run")])
    assert "--no-cell-code" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["../other", "/tmp/other", "..", "", "a\\b", "a\0b"])
def test_names_lead_nowhere(name, run, trained, capsys):
    content = json.loads((run / "config.json").read_text())
    content["settings"][0]["name"] = name
    (run / "config.json").write_text(json.dumps(content))
    for main, arguments in commands(run, trained).values():
        said = error_of(capsys, main, arguments)
        assert "config.json: settings[0].name" in said
        assert "no name of a file" in said


LINKS = ["config.json", "metrics.jsonl", "checkpoints", "checkpoints/char", "samples", "new.txt"]


@pytest.mark.parametrize("name", LINKS)
def test_links_lead_nowhere(name, run, trained, tmp_path, capsys):
    link, outside = run / name, tmp_path / "outside"
    if link.exists():
        link.rename(outside)
    else:
        outside.write_text("precious")
    link.symlink_to(os.path.relpath(outside, link.parent))
    before = outside.read_bytes() if outside.is_file() else sorted(outside.rglob("*"))
    every = commands(run, trained)
    for command in ("resume", "inspect"):
        main, arguments = every[command]
        said = error_of(capsys, main, arguments)
        assert f"{link} is a link out of {run}" in said
    assert before == (outside.read_bytes() if outside.is_file() else sorted(outside.rglob("*")))
