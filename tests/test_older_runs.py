"""A run of version 0.1.0, made by its own code, goes on, loads, writes and is looked into.

It is the one run that the repository holds: two cells of the character model, two seeds, one epoch
on a text of its own.
"""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from experiments_support import logged, summary

from experiments import char, generate, inspect
from jaxrnn import runs, unroll

FIXTURE = Path(__file__).parent / "fixtures" / "version_0_1_0"

EPOCH_2 = {
    ("gru", 0): (2.8448, 2.6118),
    ("gru", 1): (2.7250, 2.4372),
    ("elman", 0): (2.7863, 2.6269),
    ("elman", 1): (2.7327, 2.6030),
}
"""Training and validation loss (nats) of version 0.1.0 itself, resumed with --epochs 2."""


@pytest.fixture
def older(tmp_path, monkeypatch):
    """A copy, from which its text is found as it was recorded."""
    shutil.copytree(FIXTURE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("run")


@pytest.mark.full
def test_it_goes_on_as_it_would_have(older):
    first = logged(older)
    assert char.main(["--resume", str(older), "--epochs", "2"]) == 0
    lines = logged(older)
    assert [line for line in lines if line["epoch"] == 1] == first
    ends = [line for line in lines if line["epoch"] == 2 and "valid_loss" in line]
    found = {(e["setting"], e["seed"]): (e["train_loss"], e["valid_loss"]) for e in ends}
    assert found.keys() == EPOCH_2.keys()
    for member, losses in EPOCH_2.items():
        assert found[member] == pytest.approx(losses, rel=1e-3)
    assert [row["setting"] for row in summary(older)["results"]] == ["gru", "elman"]


def test_it_loads_and_writes(older, capsys):
    cell, params, vocabulary, config = runs.load(older, 3)
    assert (config["cells"], config["hidden_size"]) == (["gru", "elman"], 6)
    assert vocabulary is not None
    tokens = jnp.asarray(vocabulary.encode("the fox"))[:, None]
    carry = jax.vmap(cell.init_carry, in_axes=(None, 0))(
        params, jax.random.split(jax.random.key(0), 1)
    )
    _, logits = unroll(cell, params, carry, tokens)
    assert bool(jnp.isfinite(logits).all())
    assert generate.main(["--run", str(older), "--setting", "gru", "--length", "20"]) == 0
    assert len(capsys.readouterr().out) >= 20


@pytest.mark.full
def test_it_is_looked_into(older):
    assert inspect.main(["--run", str(older), "--text", "text.txt", "--member", "2"]) == 0
    assert any(older.glob("*.html"))
