"""The command `jaxrnn`: it is `python -m experiments`, and its commands are the modules there."""

import importlib.util
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from experiments_support import error_of
from tiers import mostly_full

from experiments import __main__ as console
from experiments import new_cell
from jaxrnn import starting
from jaxrnn.laws import CELL_LAWS
from jaxrnn.starting import module_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("argv", "module"),
    [
        (["toy", "--preset", "smoke"], "experiments.toy"),
        (["new-cell", "mine"], "experiments.new_cell"),
        (["check", "mine.py:mine"], "jaxrnn.check"),
    ],
)
def test_a_command_is_python_m(argv, module, monkeypatch):
    ran = []
    monkeypatch.setattr(sys, "argv", ["jaxrnn", *argv])
    monkeypatch.setattr(runpy, "run_module", lambda name, **_: ran.append((name, sys.argv[1:])))
    assert console.main() == 0
    assert ran == [(module, argv[1:])]


def test_every_command_of_the_list_is_one(capsys):
    assert console.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(":")[0] for line in lines if line[:1].strip()]
    assert {"toy", "char", "compare", "inspect", "new-cell", "check"} <= {*names}
    for name in names:
        assert importlib.util.find_spec(console.module_of(name)) is not None


def test_who_reads_a_part_of_the_list_sees_no_traceback():
    command = f"{shlex.quote(sys.executable)} -m experiments | head -1"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("baselines: ")
    assert done.stderr == ""


def test_what_is_no_command_is_said_in_one_line(capsys):
    assert console.main(["tou", "--seeds", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 'tou' is no command; give one of baselines, ")


def test_it_starts_as_a_command_does():
    """Signals are taken before anything is imported that takes seconds."""
    assert module_of(["/usr/bin/python3", "/usr/bin/jaxrnn", "toy"]) is not None
    assert module_of(["python", "/home/me/analyse.py", "jaxrnn"]) is None


def test_the_wheel_has_the_commands_and_says_that_it_is_typed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    target, _, function = project["project"]["scripts"]["jaxrnn"].partition(":")
    assert callable(getattr(importlib.import_module(target), function))
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == [
        "jaxrnn*",
        "experiments*",
    ]
    assert (ROOT / "jaxrnn" / "py.typed").is_file()
    package = importlib.import_module("jaxrnn")
    assert package.__version__ == project["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {package.__version__}\n" in citation


def test_words_follow_how_the_program_was_started(monkeypatch, capsys):
    """`jaxrnn toy --help`, what is listed, and what a refusal and a stop tell to type."""
    module = importlib.import_module("experiments.battery")
    assert module.EXPERIMENT.command == "python -m experiments.battery"
    monkeypatch.setattr(sys, "orig_argv", ["/bin/python3", "/bin/jaxrnn", "battery", "--help"])
    monkeypatch.setattr(sys, "argv", ["/bin/jaxrnn", "battery", "--help"])
    for name in ("battery", "report", "new_cell"):
        typed = f"jaxrnn {name.replace('_', '-')}"
        assert importlib.import_module(f"experiments.{name}").main(["--help"]) == 0
        said = capsys.readouterr().out
        assert f"usage: {typed} " in said
        assert "python -m" not in said
    assert module.EXPERIMENT.command == "jaxrnn battery"
    assert module.EXPERIMENT.program == "python -m experiments.battery"
    assert "see jaxrnn report --help" in error_of(
        capsys, importlib.import_module("experiments.report").main, ["--no-such-flag"], 2
    )
    console.show()
    listed = capsys.readouterr().out
    assert "Command:   jaxrnn battery --preset quick" in listed
    assert "Command:   jaxrnn new-cell NAME" in listed


def test_what_is_missing_is_installed_as_the_library_was(monkeypatch, tmp_path):
    """From a checkout, and from a wheel, which has no pyproject.toml beside it."""
    assert starting.installing("frame") == "pip install -c constraints.txt -e '.[frame]'"
    monkeypatch.setattr(starting, "__file__", str(tmp_path / "jaxrnn" / "starting.py"))
    assert starting.installing("frame") == "pip install 'jaxrnn[frame]'"


@pytest.fixture
def skeleton(tmp_path, capsys, monkeypatch):
    """The test of a new cell, as a module."""
    assert new_cell.main(["decay", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "decay.py"),
        str(tmp_path / "test_decay.py"),
    ]
    spec = importlib.util.spec_from_file_location("test_decay", tmp_path / "test_decay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_equations_of_a_new_cell_hold(skeleton):
    skeleton.test_equations()


@pytest.mark.parametrize("law", mostly_full(CELL_LAWS, "takes one example, no batch axis"))
def test_a_new_cell_obeys_the_laws(skeleton, law):
    skeleton.test_law(law)


@pytest.mark.full
def test_the_test_of_a_new_cell_passes_and_its_files_are_in_form(tmp_path):
    assert new_cell.main(["decay", "--out", str(tmp_path)]) == 0
    for command in (["pytest", "-q"], ["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=False)
        assert done.returncode == 0, command


@pytest.mark.parametrize("name", ["1x", "class", "gru", "a-b", "ä", ""])
def test_a_name_that_is_none_is_refused(name, tmp_path, capsys):
    assert "NAME is" in error_of(capsys, new_cell.main, [name, "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "test_decay.py").write_text("mine")
    assert "is there already" in error_of(capsys, new_cell.main, ["decay", "--out", str(tmp_path)])
    assert "is no folder" in error_of(
        capsys, new_cell.main, ["decay", "--out", str(tmp_path / "no")]
    )
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
