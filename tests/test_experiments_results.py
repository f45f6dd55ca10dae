"""What a training command leaves behind, and that its numbers are what they say."""

import json
import shutil
from hashlib import sha256

import jax
import numpy as np
import pytest
from experiments_support import (
    SMALL_TOY,
    config_of,
    files_of,
    logged,
    small_char,
    summary,
    unbind,
    write_cells,
)
from tiers import mostly_full
from trained_runs import char_run, shared_text, toy_run

from experiments import char, generate, toy
from jaxrnn import runs
from jaxrnn.data import text_streams
from jaxrnn.models import cross_entropy
from jaxrnn.runs.config import config_of as config_in
from jaxrnn.runs.config import record_of
from jaxrnn.runs.directory import read_metrics
from jaxrnn.runs.text import read_text


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return shared_text(tmp_path_factory)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Of two seeds, of characters."""
    return char_run(tmp_path_factory)


@pytest.fixture(scope="module")
def two_settings(tmp_path_factory):
    """Of the toy task, of three seeds."""
    return toy_run(tmp_path_factory)


def test_files_of_a_char_run(sweep, text):
    found = files_of(sweep)
    names = {"config.json", "environment.json", "vocabulary.json", "metrics.jsonl", "summary.json"}
    assert names <= found.keys()
    assert found["plots/learning_curves.png"].startswith(b"\x89PNG")
    assert {name for name in found if name.startswith("samples/")} == {
        "samples/SHA256SUMS",
        *(f"samples/epoch_{epoch:03d}_seed_0.txt" for epoch in (1, 2)),
    }
    assert len(found["samples/epoch_002_seed_0.txt"].decode()) == 6
    assert any(name.startswith("checkpoints/char/") for name in found)
    environment = json.loads(found["environment.json"])
    assert environment["texts"] == {"text.txt": sha256(text.read_bytes()).hexdigest()}


def test_files_of_a_toy_run(two_settings):
    found = files_of(two_settings)
    names = {"config.json", "environment.json", "metrics.jsonl", "summary.json"}
    assert names <= found.keys()
    assert "vocabulary.json" not in found
    assert found["plots/learning_curves.png"].startswith(b"\x89PNG")


def test_a_summary_says_what_ran(sweep, two_settings, text):
    for experiment, run, flags in ((char, sweep, small_char(text)), (toy, two_settings, SMALL_TOY)):
        found = summary(run)
        assert set(found) == {"experiment", "config", "results", "claims", "tables", "seconds"}
        assert found["experiment"] == experiment.EXPERIMENT.name
        lines = read_metrics(run / "metrics.jsonl")
        last = {line["setting"]: line["seconds"] for line in lines}
        assert found["seconds"] == pytest.approx(sum(last.values()))
        seeds = ["--seeds", "2"] if experiment is char else []
        assert found["config"] == record_of(config_of(experiment, *flags, *seeds))
        assert json.loads((run / "config.json").read_text())["config"] == found["config"]
        assert [set(claim) for claim in found["claims"]] == [
            {"name", "source", "expected", "observed", "holds", "published", "spread"}
        ] * len(found["claims"])
        assert all(claim["holds"] is None for claim in found["claims"])  # not as published


def test_losses_of_a_char_run(sweep):
    """Of each seed the mean of an epoch's lines; of both the median."""
    (row,) = summary(sweep)["results"]
    lines, trained, tested = logged(sweep), [], []
    for seed in row["seeds"]:
        for epoch in (1, 2):
            mine = [line for line in lines if (line["seed"], line["epoch"]) == (seed, epoch)]
            chunks = [(line["loss"], line["steps"]) for line in mine if "loss" in line]
            mean = np.average([loss for loss, _ in chunks], weights=[steps for _, steps in chunks])
            (end,) = [line for line in mine if "valid_loss" in line]
            assert end["train_loss"] == pytest.approx(mean, rel=1e-12)
            trained.append(end["train_loss"])
            tested.append(end["valid_loss"])
    trained, tested = np.reshape(trained, (2, 2)), np.reshape(tested, (2, 2))
    for field, losses in (("train_loss", trained), ("valid_loss", tested)):
        found = [epoch[field] for epoch in row["per_epoch"]]
        assert found == pytest.approx(np.median(losses, axis=0), rel=1e-12)
    assert row["train_loss_per_seed"] == trained[:, -1].tolist()
    assert row["train_loss"] == np.median(trained[:, -1]) < row["per_epoch"][0]["train_loss"]
    assert row["best_valid_loss_per_seed"] == tested.min(1).tolist()
    assert row["valid_loss"] == np.median(tested.min(1))
    _, params, *_ = runs.load(sweep)
    assert row["parameters"] == sum(a.size for a in jax.tree.leaves(params))


def test_the_final_loss_is_that_of_the_last_tenth(two_settings):
    """By the lines of the log, one of which begins there."""
    for row in summary(two_settings)["results"]:
        mine = [line for line in logged(two_settings) if line["setting"] == row["setting"]]
        lines = [line for line in mine if "loss" in line]
        updates = max(line["step"] for line in lines)
        for seed, final in zip(row["seeds"], row["final_loss"], strict=True):
            late = [x for x in lines if x["seed"] == seed and x["step"] > updates - updates // 10]
            assert sum(line["steps"] for line in late) == updates // 10
            weighted = sum(line["loss"] * line["steps"] for line in late)
            assert final == pytest.approx(weighted / (updates // 10), abs=1e-9)


@pytest.mark.full
def test_the_final_loss_is_the_mean_of_the_last_tenth(two_settings):
    """Exactly, though the lines of the log do not divide an epoch."""
    found = summary(two_settings)
    config = config_in(toy.Config, found["config"])
    rows = found["results"]
    assert [(r["num_steps"], r["state_size"], r["epochs"]) for r in rows] == [(2, 2, 1), (3, 3, 2)]
    for part, row in zip(toy.settings(config).values(), rows, strict=True):
        train = toy.build(part).training
        assert train.steps_per_epoch in (61, 41)
        assert row["seeds"] == [0, 1, 2]
        chunk = jax.jit(train.chunk)
        for seed, final_loss in zip(row["seeds"], row["final_loss"], strict=True):
            state, losses = train.init(jax.random.key(seed), part.optimizer.learning_rate), []
            for _ in range(train.chunks):
                state, metrics = chunk(state)
                losses += np.asarray(metrics["loss"], np.float64).tolist()
            assert final_loss == pytest.approx(np.mean(losses[-(len(losses) // 10) :]), rel=1e-9)


@pytest.mark.parametrize("steps_per_epoch", [1, 2, 7, 10, 41, 99, 100, 512])
@pytest.mark.parametrize("log_every", [1, 3, 100])
def test_a_line_begins_at_the_last_tenth_of_any_number_of_epochs(steps_per_epoch, log_every):
    ends = runs.every_tenth(steps_per_epoch, log_every)
    assert ends[-1] == steps_per_epoch
    assert max(np.diff([0, *ends])) <= log_every
    for epochs in range(1, 25):
        updates = steps_per_epoch * epochs
        begin = updates - max(updates // 10, 1)
        assert begin % steps_per_epoch in (0, *ends)


# Members of a sweep, and runs that were moved


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.array_equal(x, y)


@pytest.mark.full
@pytest.mark.parametrize("seeds", mostly_full(["1", "2"], "2"))
def test_each_member_is_the_seed_whatever_is_beside_it(seeds, sweep, text, tmp_path, capfd):
    """Alone, or the first of two, which is the program of the sweep. And what the command prints is
    plain and narrow."""
    other = tmp_path / "other"
    capfd.readouterr()
    flags = [*small_char(text), "--seed", "1", "--seeds", seeds]
    assert char.main([*flags, "--run", str(other)]) == 0
    shown, errors = capfd.readouterr()
    lines = [[line for line in logged(run) if line["seed"] == 1] for run in (sweep, other)]
    assert lines[0] == lines[1]
    row, mine = summary(sweep)["results"][0], summary(other)["results"][0]
    for name in ("train_loss_per_seed", "best_valid_loss_per_seed"):
        assert row[name][1] == mine[name][0]
    for which in ("best", "last"):
        assert_same(runs.load(sweep, member=1, which=which)[1], runs.load(other, which=which)[1])
    first, second = (runs.load(sweep, member=k)[1] for k in (0, 1))
    assert not np.array_equal(first["head"]["w"], second["head"]["w"])

    assert errors == ""
    assert "\x1b" not in shown
    assert shown.startswith(f"run {other}\n")
    assert shown.endswith(f"summary {other}/summary.json\nplot {other}/plots/learning_curves.png\n")
    assert "valid (bits)" in shown
    tables = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80


def test_members_of_two_settings(two_settings):
    sizes = [runs.load(two_settings, member=k)[1]["layer_1"].w_hh.shape[0] for k in range(6)]
    assert sizes == [2, 2, 2, 3, 3, 3]
    second = [runs.load(two_settings, setting="steps_3_state_3", member=k)[1] for k in range(3)]
    for k, params in enumerate(second):
        assert_same(params, runs.load(two_settings, member=3 + k)[1])
    with pytest.raises(ValueError, match="members 0 to 2 of setting steps_3_state_3"):
        runs.load(two_settings, setting="steps_3_state_3", member=3)
    with pytest.raises(ValueError, match="has steps_2_state_2, steps_3_state_3"):
        runs.load(two_settings, setting="steps_3")
    with pytest.raises(ValueError, match="has members 0 to 5"):
        runs.load(two_settings, member=6)


@pytest.mark.full
def test_best_is_the_epoch_with_the_lowest_validation_loss(text, tmp_path):
    """At a rate so high that the third epoch of a seed is better than the last."""
    run = tmp_path / "run"
    flags = [*small_char(text), "--seeds", "2", "--learning-rate", "0.2", "--epochs", "4"]
    assert char.main([*flags, "--run", str(run)]) == 0
    held_out = read_text(str(text), "character", valid_fraction=0.1).valid
    for seed in (0, 1):
        losses = [x["valid_loss"] for x in logged(run) if x["seed"] == seed and "valid_loss" in x]
        assert (min(losses) < losses[-1]) is (seed == 0)
        cell, best, *_ = runs.load(run, member=seed)
        _, last, *_ = runs.load(run, member=seed, which="last")
        assert loss_on(cell, best, held_out) == pytest.approx(min(losses), rel=1e-5)
        assert loss_on(cell, last, held_out) == pytest.approx(losses[-1], rel=1e-5)


def loss_on(cell, params, tokens):
    """In 8 streams, as the config has it."""
    inputs, targets = text_streams(tokens, 8)

    @jax.jit
    def loss(params):
        carry = jax.vmap(lambda _: cell.init_carry(params, jax.random.key(0)))(np.arange(8))
        _, logits = jax.lax.scan(
            lambda carry, x: jax.vmap(cell.step, (None, 0, 0))(params, carry, x), carry, inputs
        )
        return cross_entropy(logits, targets).mean()

    return float(loss(params))


@pytest.mark.full
def test_without_validation_best_is_the_last(text, tmp_path):
    run = tmp_path / "run"
    flags = [*small_char(text), "--valid-fraction", "0", "--epochs", "1", "--run", str(run)]
    assert char.main(flags) == 0
    assert summary(run)["results"][0]["valid_loss"] is None
    best, last = (runs.load(run, which=which)[1] for which in ("best", "last"))
    assert_same(best, last)


def test_a_run_moved_elsewhere_writes_text_without_the_cells_file(sweep, tmp_path, capsys):
    """The cell is the library's Elman network, from a file of which the run kept a copy."""
    cells = write_cells(tmp_path)
    moved = shutil.copytree(sweep, tmp_path / "moved")
    record = json.loads((moved / "config.json").read_text())
    record["config"]["cell"] = record["settings"][0]["model"]["cell"] = f"{cells}:mine"
    (moved / "config.json").write_text(json.dumps(record))
    cells.rename(moved / "cell.py")
    unbind(moved)
    texts = []
    for run, trust in ((moved, ["--trust"]), (sweep, [])):
        capsys.readouterr()
        flags = ["--run", str(run), "--prompt", "rose", "--length", "20", *trust]
        assert generate.main(flags) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert len(texts[0]) == len("rose") + 20 + 1
