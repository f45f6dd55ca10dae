"""What a training command leaves behind, and that its numbers are what they say."""

import json
from hashlib import sha256

import jax
import numpy as np
import pytest
from experiments_support import (
    SMALL_TOY,
    files_of,
    logged,
    small_char,
    summary,
    write_cells,
    write_text,
)

from experiments import char, generate, toy
from jaxrnn import runs
from jaxrnn.runs.config import from_plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def text(folder):
    return write_text(folder)


@pytest.fixture(scope="module")
def char_run(folder, text):
    """The smoke preset, on a text that is always there."""
    run = folder / "char"
    assert char.main(["--preset", "smoke", "--corpus", str(text), "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def toy_run(folder):
    run = folder / "toy"
    assert toy.main(["--preset", "smoke", "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def two_settings(folder):
    run = folder / "two"
    assert toy.main([*SMALL_TOY, "--run", str(run)]) == 0
    return run


@pytest.fixture(scope="module")
def sweep(folder, text):
    run = folder / "sweep"
    assert char.main([*small_char(text), "--seeds", "3", "--run", str(run)]) == 0
    return run


def test_files_of_a_char_run(char_run, text):
    found = files_of(char_run)
    names = {"config.json", "environment.json", "vocabulary.json", "metrics.jsonl", "summary.json"}
    assert names <= found.keys()
    assert found["plots/learning_curves.png"].startswith(b"\x89PNG")
    assert {name for name in found if name.startswith("samples/")} == {
        f"samples/epoch_{epoch:03d}_seed_0.txt" for epoch in (1, 2, 3)
    }
    assert len(found["samples/epoch_003_seed_0.txt"].decode()) == 41
    assert any(name.startswith("checkpoints/char/") for name in found)
    environment = json.loads(found["environment.json"])
    assert environment["texts"] == {"text.txt": sha256(text.read_bytes()).hexdigest()}


def test_files_of_a_toy_run(toy_run):
    found = files_of(toy_run)
    names = {"config.json", "environment.json", "metrics.jsonl", "summary.json"}
    assert names <= found.keys()
    assert "vocabulary.json" not in found
    assert found["plots/learning_curves.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("experiment", [char, toy])
def test_a_summary_says_what_ran(experiment, request):
    name = experiment.__name__.rpartition(".")[2]
    run = request.getfixturevalue(f"{name}_run")
    found = summary(run)
    assert set(found) == {"experiment", "config", "results", "claims", "seconds"}
    assert found["experiment"] == name
    assert found["seconds"] > 0
    config = from_plain(experiment.Config, found["config"])
    corpus = {"corpus": config.corpus} if name == "char" else {}
    assert config == experiment.replace(experiment.PRESETS["smoke"], **corpus)
    assert json.loads((run / "config.json").read_text())["config"] == found["config"]
    assert [set(claim) for claim in found["claims"]] == [
        {"name", "source", "expected", "observed", "holds"}
    ] * len(found["claims"])
    assert all(claim["holds"] is None for claim in found["claims"])  # not the published setting


def test_losses_of_a_char_run(char_run):
    (row,) = summary(char_run)["results"]
    lines = logged(char_run)
    for epoch in row["per_epoch"]:
        mine = [line for line in lines if line["epoch"] == epoch["epoch"]]
        chunks = [(line["loss"], line["steps"]) for line in mine if "loss" in line]
        mean = np.average([loss for loss, _ in chunks], weights=[steps for _, steps in chunks])
        assert epoch["train_loss"] == pytest.approx(mean, rel=1e-12)
        assert [line["valid_loss"] for line in mine if "valid_loss" in line] == [
            epoch["valid_loss"]
        ]
    assert row["train_loss"] == row["per_epoch"][-1]["train_loss"]
    assert row["valid_loss"] == min(epoch["valid_loss"] for epoch in row["per_epoch"])
    assert row["train_loss"] < row["per_epoch"][0]["train_loss"]
    _, params, *_ = runs.load(char_run)
    assert row["parameters"] == sum(a.size for a in jax.tree.leaves(params))


@pytest.mark.full
def test_the_final_loss_is_the_mean_of_the_last_tenth(two_settings):
    """Exactly, though the lines of the log do not divide an epoch."""
    found = summary(two_settings)
    config = from_plain(toy.Config, found["config"])
    rows = found["results"]
    assert [(r["num_steps"], r["state_size"], r["epochs"]) for r in rows] == [(2, 2, 1), (3, 3, 2)]
    for part, row in zip(toy.each_setting(config), rows, strict=True):
        train = toy.make_train(part)
        assert train.steps_per_epoch in (61, 41)
        assert row["seeds"] == [0, 1]
        chunk = jax.jit(train.chunk)
        for seed, final_loss in zip(row["seeds"], row["final_loss"], strict=True):
            state, losses = train.init(jax.random.key(seed), part.learning_rate), []
            for _ in range(train.chunks):
                state, metrics = chunk(state)
                losses += np.asarray(metrics["loss"], np.float64).tolist()
            assert final_loss == pytest.approx(np.mean(losses[-(len(losses) // 10) :]), rel=1e-9)


@pytest.mark.parametrize("steps_per_epoch", [1, 2, 7, 10, 41, 99, 100, 512])
@pytest.mark.parametrize("log_every", [1, 3, 100])
def test_a_line_begins_at_the_last_tenth_of_any_number_of_epochs(steps_per_epoch, log_every):
    ends = toy._log_ends(steps_per_epoch, log_every)
    assert ends[-1] == steps_per_epoch
    assert max(np.diff([0, *ends])) <= log_every
    for epochs in range(1, 25):
        updates = steps_per_epoch * epochs
        begin = updates - max(updates // 10, 1)
        assert begin % steps_per_epoch in (0, *ends)


def test_what_is_printed_is_plain_and_narrow(folder, text, capfd):
    run = folder / "printed"
    flags = [*small_char(text), "--epochs", "1", "--run", str(run)]
    assert char.main(flags) == 0
    shown, errors = capfd.readouterr()
    assert errors == ""
    assert "\x1b" not in shown
    assert shown.startswith(f"run {run}\n")
    assert shown.endswith(f"summary {run}/summary.json\nplot {run}/plots/learning_curves.png\n")
    assert "valid (bits)" in shown
    tables = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80


# Members of a sweep, and runs that were moved


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.array_equal(x, y)


def test_each_member_is_the_seed_alone(sweep, folder, text):
    alone = folder / "alone"
    assert char.main([*small_char(text), "--seed", "1", "--run", str(alone)]) == 0
    assert [line for line in logged(sweep) if line["seed"] == 1] == logged(alone)
    row, mine = summary(sweep)["results"][0], summary(alone)["results"][0]
    assert row["train_loss_per_seed"][1] == mine["train_loss"]
    assert row["train_loss"] == np.median(row["train_loss_per_seed"])
    assert row["best_valid_loss_per_seed"][1] == mine["valid_loss"]
    for which in ("best", "last"):
        assert_same(runs.load(sweep, member=1, which=which)[1], runs.load(alone, which=which)[1])
    first, second = (runs.load(sweep, member=k)[1] for k in (0, 1))
    assert not np.array_equal(first["head"]["w"], second["head"]["w"])


def test_members_of_two_settings(two_settings):
    sizes = [runs.load(two_settings, member=k)[1]["layer_1"].w_hh.shape[0] for k in range(4)]
    assert sizes == [2, 2, 3, 3]
    second = [runs.load(two_settings, setting="steps_3_state_3", member=k)[1] for k in range(2)]
    for k, params in enumerate(second):
        assert_same(params, runs.load(two_settings, member=2 + k)[1])
    with pytest.raises(ValueError, match="members 0 to 1 of setting steps_3_state_3"):
        runs.load(two_settings, setting="steps_3_state_3", member=2)
    with pytest.raises(ValueError, match="has steps_2_state_2, steps_3_state_3"):
        runs.load(two_settings, setting="steps_3")
    with pytest.raises(ValueError, match="has members 0 to 3"):
        runs.load(two_settings, member=4)


def test_best_is_the_epoch_with_the_lowest_validation_loss(tmp_path):
    """On a text without any order, of which the training part is soon learnt by heart."""
    text, run = tmp_path / "random.txt", tmp_path / "run"
    text.write_text("".join(np.random.default_rng(0).choice(list("abcdefgh"), 600)))
    sizes = ["--hidden-size", "32", "--num-steps", "10", "--epochs", "5"]
    flags = [*small_char(text), *sizes, "--learning-rate", "0.05", "--run", str(run)]
    assert char.main(flags) == 0
    losses = [line["valid_loss"] for line in logged(run) if "valid_loss" in line]
    config = from_plain(char.Config, summary(run)["config"])
    validate = char.make_validate(config)
    best, last = (runs.load(run, which=which)[1] for which in ("best", "last"))
    assert validate(best)["valid_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert validate(last)["valid_loss"] == pytest.approx(losses[-1], rel=1e-6)
    assert min(losses) < losses[-1]


@pytest.mark.full
def test_without_validation_best_is_the_last(folder, text):
    run = folder / "no_validation"
    flags = [*small_char(text), "--valid-fraction", "0", "--epochs", "1", "--run", str(run)]
    assert char.main(flags) == 0
    assert summary(run)["results"][0]["valid_loss"] is None
    best, last = (runs.load(run, which=which)[1] for which in ("best", "last"))
    assert_same(best, last)


def test_a_run_moved_elsewhere_writes_text_without_the_cells_file(folder, text, capsys, tmp_path):
    cells = write_cells(tmp_path)
    flags = [*small_char(text), "--cell", f"{cells}:mine", "--epochs", "1"]
    assert char.main([*flags, "--run", str(tmp_path / "run")]) == 0
    cells.unlink()
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    capsys.readouterr()
    assert generate.main(["--run", str(moved), "--prompt", "rose", "--length", "20"]) == 0
    assert len(capsys.readouterr().out) == len("rose") + 20 + 1
