"""A run computes with the types that it began with, whatever `jax_enable_x64` is later."""

import json
import shutil

import jax
import numpy as np
import pytest
from experiments_support import error_of, files_of, logged, small_char, write_text
from trained_runs import char_run

from experiments import char, generate, inspect
from jaxrnn.runs import load
from jaxrnn.runs.environment import describe_environment, recorded_x64
from jaxrnn.runs.files import write_json

EITHER = ["narrow", "wide"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """One of float32, one of float64, each of one epoch; and the text."""
    folder = tmp_path_factory.mktemp("x64")
    text = write_text(folder)
    for name, x64 in (("narrow", False), ("wide", True)):
        flags = [*small_char(text), "--epochs", "1", "--run", str(folder / name)]
        with jax.enable_x64(x64):
            assert char.main(flags) == 0
    return folder


def resumed(run, copy, x64):
    shutil.copytree(run, copy)
    with jax.enable_x64(x64):
        assert char.main(["--resume", str(copy), "--epochs", "2"]) == 0
    return copy


@pytest.mark.full
@pytest.mark.parametrize("name", EITHER)
def test_a_resumed_run_goes_on_as_it_would_have(begun, tmp_path, name):
    here, elsewhere = (resumed(begun / name, tmp_path / str(x64), x64) for x64 in (False, True))
    assert logged(here) == logged(elsewhere)
    ends = [load_all(path, name == "wide") for path in (here, elsewhere)]
    jax.tree.map(np.testing.assert_array_equal, *ends)


def load_all(run, x64):
    with jax.enable_x64(x64):
        return load(run, which="last")[1]


@pytest.mark.full
@pytest.mark.parametrize("name", EITHER)
def test_a_run_writes_the_same_text_and_is_inspected(begun, tmp_path, capsys, name):
    texts = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            assert generate.main(["--run", str(begun / name), "--length", "12"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    out = tmp_path / "seen"
    short = tmp_path / "short.txt"
    short.write_text((begun / "text.txt").read_text()[:40])
    with jax.enable_x64(name == "narrow"):  # the other one
        flags = ["--run", begun / name, "--text", short, "--out", out, "--lags", "5"]
        assert inspect.main([str(flag) for flag in flags]) == 0
    assert "inspect.html" in files_of(out)


@pytest.mark.full
def test_params_have_the_types_that_they_were_trained_in(begun):
    for name, x64, kind in (("narrow", False, 32), ("narrow", True, 32), ("wide", True, 64)):
        kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(load_all(begun / name, x64))}
        assert kinds == {f"float{kind}"}
    with pytest.raises(ValueError, match="wide was trained with jax_enable_x64; set JAX_ENABLE_X6"):
        load(begun / "wide")


def test_a_run_writes_the_same_text_with_its_own_types(tmp_path_factory, capsys):
    run, texts = char_run(tmp_path_factory), []
    capsys.readouterr()
    for x64 in (False, True):
        with jax.enable_x64(x64):
            assert generate.main(["--run", str(run), "--prompt", "the", "--length", "12"]) == 0
            kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(load(run)[1])}
        assert kinds == {"float32"}
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_what_a_run_recorded(tmp_path, tmp_path_factory, capsys):
    assert not recorded_x64(char_run(tmp_path_factory))
    assert not recorded_x64(tmp_path)
    path = tmp_path / "environment.json"
    for x64 in (False, True):
        with jax.enable_x64(x64):
            write_json(path, describe_environment({}, 1))
        assert recorded_x64(tmp_path) == x64
    # of a run that was made before the field was there
    for said, expected in (("1", True), ("True", True), ("0", False), ("", False)):
        path.write_text(json.dumps({"variables": {"JAX_ENABLE_X64": said}}))
        assert recorded_x64(tmp_path) == expected
    path.write_text("[]")
    (tmp_path / "config.json").write_text("{}")
    assert "environment.json records no variables" in error_of(
        capsys, generate.main, ["--run", tmp_path]
    )
