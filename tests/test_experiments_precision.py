"""Training and writing in bfloat16, and runs of a time when there was no choice."""

import json

import jax
import jax.numpy as jnp
import pytest
from experiments_support import SMALL_TOY, files_of, logged, small_char, summary, unbind, write_text

from experiments import char, generate, toy
from jaxrnn import runs
from jaxrnn.runs import replaced

NARROW = ["--precision", "bfloat16"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    flags = [*small_char(write_text(folder)), *NARROW, "--dropout", "0.1"]
    assert char.main([*flags, "--run", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.full
def test_a_run_in_bfloat16_is_loaded_as_it_was_trained(run):
    record = json.loads((run / "config.json").read_text())
    assert record["config"]["precision"] == "bfloat16"
    cell, params, _, config = runs.load(run)
    assert config == record["config"]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    carry = cell.init_carry(params, jax.random.key(0))
    assert carry["layer_1"].dtype == jnp.bfloat16
    assert cell.step(params, carry, jnp.int32(0))[1].dtype == jnp.float32


@pytest.mark.full
def test_it_learns_and_writes(run, capsys):
    first, *_, last = [line for line in logged(run) if "valid_loss" in line]
    assert last["valid_loss"] < first["valid_loss"]
    capsys.readouterr()
    arguments = ["--run", str(run), "--prompt", "the", "--length", "12"]
    assert generate.main(arguments) == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    assert len(text) == 3 + 12 + 1


@pytest.mark.full
def test_the_toy_task_is_learnt_as_well(tmp_path):
    """To the same loss as in float32, to two digits."""
    found = []
    for name, flags in (("full", []), ("narrow", NARROW)):
        arguments = ["--preset", "smoke", *flags, "--run", str(tmp_path / name)]
        assert toy.main(arguments) == 0
        found.append(summary(tmp_path / name)["results"][0]["spread"]["median"])
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], abs=0.01)


def test_claims_are_about_float32():
    config = replaced(toy.Config(), precision="bfloat16")
    rows = [{"setting": name, "spread": {"median": 0.5192}} for name in toy.settings(config)]
    assert [claim.holds for claim in toy.claims(config, rows)] == [None] * 6


@pytest.mark.full
@pytest.mark.parametrize("experiment", [char, toy])
def test_a_run_older_than_the_choice_computes_in_float32(experiment, tmp_path):
    run = tmp_path / "run"
    flags = small_char(write_text(tmp_path)) if experiment is char else SMALL_TOY
    assert experiment.main([*flags, "--run", str(run)]) == 0
    path = run / "config.json"
    record = json.loads(path.read_text())
    for older in (record["config"], *(setting["model"] for setting in record["settings"])):
        assert older.pop("precision") == "float32"
    assert record["config"].pop("schedule") == "auto"
    path.write_text(json.dumps(record))
    unbind(run)
    cell, params, _, _ = runs.load(run)
    carry = cell.init_carry(params, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype("float32")}
    before = files_of(run / "checkpoints")
    assert experiment.main(["--resume", str(run)]) == 0
    assert files_of(run / "checkpoints") == before
