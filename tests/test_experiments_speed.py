"""The benchmark runs, agrees with its peers on the loss, and says which of them are missing."""

from importlib.util import find_spec

import jax
import pytest
from experiments_support import files_of, summary

from experiments import speed

FIELDS = {"case", "peer", "shape", "ratio", "ours_ms", "peer_ms"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "peers"),
    [("toy-step", ["jitted Python loop"]), ("char-step", ["jaxrnn, one device", "Flax"])],
)
def test_a_case(case, peers, tmp_path, capsys):
    run = tmp_path / "run"
    with jax.numpy_dtype_promotion("standard"):  # the peer is written as its user writes it
        assert speed.main(["--case", case, "--repeats", "1", "--run", str(run)]) == 0
    shown, errors = capsys.readouterr()
    assert errors == ""
    found = summary(run)
    assert found["experiment"] == "speed"
    assert found["config"]["case"] == case
    if case == "toy-step" and find_spec("torch") is not None:
        peers = [*peers, "PyTorch eager"]
    assert [row["peer"] for row in found["results"]] == peers
    for row in found["results"]:
        assert set(row) == FIELDS
        assert row["ratio"] == pytest.approx(row["peer_ms"] / row["ours_ms"])
        assert row["peer"] in shown
    assert {"environment.json", "summary.json"} <= files_of(run).keys()


def test_a_peer_that_is_not_installed(monkeypatch, capsys):
    """In place of the measurement there is a row that says so."""

    def without_torch(*arguments):
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(speed, "_torch_toy_step", without_torch)
    case = speed.toy_step()
    assert case.missing == ["PyTorch eager"]
    assert [side.name for side in case.sides] == ["jaxrnn", "jitted Python loop"]


def test_sides_that_disagree_are_no_comparison():
    sides = [speed.Side("ours", lambda: 1.0, 1), speed.Side("theirs", lambda: 1.1, 1)]
    with pytest.raises(ValueError, match=r"theirs has loss 1\.1.*, ours 1\.0"):
        speed.measure(speed.Case("", sides, []), 1)
