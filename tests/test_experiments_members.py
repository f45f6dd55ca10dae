"""Every training experiment with one seed, with two, and with three on two devices, which they do
not divide: each trains to its end and reports every member."""

from importlib import import_module

import pytest
from experiments_support import logged, summary
from tiers import WIDE

EXPERIMENTS = ("toy", "char", "word", "truncation", "baselines", "memorization")
MEMBERS = {
    "one": ["--seeds", "1"],
    "one on two devices": ["--seeds", "1", "--devices", "2"],
    "two": ["--seeds", "2"],
    "three on two devices": ["--seeds", "3", "--devices", "2"],
}
# a text of one's own, and as little work as each of them knows
LITTLE = {
    "toy": ["--length", "410", "--batch-size", "10", "--epochs", "1"],
    "char": ["--epochs", "1"],
    "word": ["--epochs", "1", "--limit", "40", "--batch-size", "8"],
    "truncation": ["--epochs", "1", "--part", "published", "--grid", "true_2_lr_0.003"],
    "baselines": ["--levels", "character", "--cells", "gru"],
    "memorization": ["--window", "7", "--cell", "elman", "--most-epochs", "1", "1", "1", "1"],
}
# the library trains members, whatever the experiment: one goes through all, the others have one
ALL = [(experiment, members) for experiment in EXPERIMENTS for members in MEMBERS]
EVERY = [pair for pair in ALL if WIDE or pair[0] == "toy" or pair[1].startswith("three")]


@pytest.mark.full
@pytest.mark.parametrize(("experiment", "members"), EVERY)
def test_every_member_is_trained(experiment, members, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the rose by any other name would smell as sweet\n" * 12, encoding="utf-8")
    corpus = [] if experiment == "toy" else ["--corpus", str(text)]
    run, main = tmp_path / "run", import_module(f"experiments.{experiment}").main
    flags = [*corpus, *LITTLE[experiment], *MEMBERS[members]]
    assert main(["--preset", "smoke", *flags, "--run", str(run)]) == 0
    wanted = {"one": 1, "two": 2, "thr": 3}[members[:3]]
    assert {line["seed"] for line in logged(run)} == set(range(wanted))
    assert summary(run)["results"]
