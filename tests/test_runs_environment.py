"""What a run depends on is recorded, and nothing of it can stop a run."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxrnn.runs import environment
from jaxrnn.runs.environment import (
    as_recorded,
    describe_checkout,
    describe_environment,
    recorded_devices,
)
from jaxrnn.runs.files import write_json


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_environment_is_json_and_says_what_ran(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_x=1")
    monkeypatch.setenv("JAX_LOG_COMPILES", "0")
    monkeypatch.setenv("JAXRNN_DATA", "somewhere")
    described = describe_environment({"a": hashlib.sha256(b"a").hexdigest()}, 1)
    path = tmp_path / "environment.json"
    write_json(path, described)
    assert json.loads(path.read_text()) == described
    assert described["versions"]["jax"] == jax.__version__
    assert None not in described["versions"].values()
    assert described["devices"]["count"] == jax.device_count()
    assert recorded_devices(tmp_path) == 1
    assert described["variables"]["XLA_FLAGS"] == "--xla_x=1"
    assert "JAX_LOG_COMPILES" in described["variables"]
    assert "JAXRNN_DATA" not in described["variables"]
    assert list(described["texts"]) == ["a"]


def test_a_missing_package_is_null(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("jax", "no-such-package"))
    assert describe_environment({}, 1)["versions"]["no-such-package"] is None


def test_recorded_devices_leaves_jax_alone(tmp_path):
    write_json(tmp_path / "environment.json", {"devices": {"used": 3}})
    code = f"""
import sys
from pathlib import Path
sys.modules["jax"] = None
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("environment", {environment.__file__!r})
import types
sys.modules["jaxrnn"] = package = types.ModuleType("jaxrnn")
package.__path__ = [{str(Path(environment.__file__).parents[1])!r}]
sys.modules["jaxrnn.runs"] = runs = types.ModuleType("jaxrnn.runs")
runs.__path__ = [{str(Path(environment.__file__).parent)!r}]
module = module_from_spec(spec)
spec.loader.exec_module(module)
print(module.recorded_devices(Path({str(tmp_path)!r})))
"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "3\n"


@pytest.mark.parametrize("numerics", [True, False])
@pytest.mark.parametrize("began", [True, False])
def test_draws_are_those_that_a_run_began_with(began, numerics, tmp_path, monkeypatch, capsys):
    """Whatever JAX_THREEFRY_PARTITIONABLE says here; an older run has the variable alone."""
    monkeypatch.setenv("JAX_THREEFRY_PARTITIONABLE", str(began))
    with jax.threefry_partitionable(began):
        described = describe_environment({}, 1)
    if not numerics:
        del described["numerics"]
    write_json(tmp_path / "environment.json", described)
    with jax.threefry_partitionable(not began):
        with as_recorded(tmp_path):
            assert describe_environment({}, 1)["numerics"]["threefry_partitionable"] is began
        assert describe_environment({}, 1)["numerics"]["threefry_partitionable"] is not began
    said = f"JAX_THREEFRY_PARTITIONABLE is {not began} here; {tmp_path} goes on with {began}\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize("content", [{}, {"devices": None}, {"devices": {"used": None}}, []])
def test_no_recorded_devices_is_one_line(tmp_path, content):
    write_json(tmp_path / "environment.json", content)
    with pytest.raises(ValueError, match=r"environment\.json records no device count .*; restore"):
        recorded_devices(tmp_path)


def test_checkout(tmp_path, monkeypatch):
    assert describe_checkout(tmp_path) is None
    git(tmp_path, "init")
    assert describe_checkout(tmp_path) == {"commit": None, "diff": None, "untracked": []}
    tracked = tmp_path / "tracked.py"
    tracked.write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = describe_checkout(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert (clean["diff"], clean["untracked"]) == ("", [])

    tracked.write_bytes(b"a = 2 # \xff\n")
    (tmp_path / "né w.py").touch()
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook
    dirty = describe_checkout(tmp_path)
    assert dirty is not None
    assert dirty["commit"] == clean["commit"]
    assert "-a = 1\n+a = 2 # \ufffd\n" in dirty["diff"]
    assert dirty["untracked"] == ["né w.py"]

    monkeypatch.setattr(environment, "DIFF_LIMIT", 10)
    cut = describe_checkout(tmp_path)
    assert cut is not None
    size = len(dirty["diff"])
    assert cut["diff"] == f"{dirty['diff'][:10]}\n... cut: 10 of {size} characters\n"

    inside = tmp_path / "venv" / "site-packages"
    inside.mkdir(parents=True)
    assert describe_checkout(inside) is None  # somebody else's checkout
    monkeypatch.setenv("PATH", "")
    assert describe_checkout(tmp_path) is None
