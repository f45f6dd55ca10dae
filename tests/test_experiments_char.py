"""The character model's comparison of cells, and its capitals; claims by made-up rows."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import jax
import numpy as np
import pytest
from experiments_support import (
    config_of,
    error_of,
    files_of,
    logged,
    refusal,
    small_char,
    summary,
    training_of,
    write_cells,
)
from trained_runs import char_run, shared_text

from experiments import char, generate
from jaxrnn import Batch, clipped_adam, dynamic_evaluate, runs
from jaxrnn.data import text_streams
from jaxrnn.models import cross_entropy
from jaxrnn.runs.config import config_of as config_in
from jaxrnn.runs.config import flags_of, replaced
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.text import read_text
from jaxrnn.sizes import parameters_of

ROW_FIELDS = {
    *("cell", "layers", "hidden_size", "num_steps", "epochs", "train_loss", "valid_loss"),
    *("seconds", "parameters"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("char")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return shared_text(tmp_path_factory)


@pytest.fixture(scope="module")
def small(text):
    return config_of(char, *small_char(text))


@pytest.fixture(scope="module")
def comparison(folder, text):
    """A built-in cell and one from a file, which is that of the shared run."""
    run, cells = folder / "comparison", write_cells(folder)
    flags = [*small_char(text), "--seeds", "2", "--cells", "elman_relu", f"{cells}:mine"]
    assert char.main([*flags, "--run", str(run)]) == 0
    return run


def test_each_cell_of_a_comparison_is_a_row(comparison):
    found = summary(comparison)
    for row, name in zip(found["results"], ("elman_relu", "mine"), strict=True):
        assert row.keys() >= ROW_FIELDS
        assert row["setting"] == name
        assert row["cell"].endswith(name)
        assert (row["layers"], row["hidden_size"], row["num_steps"], row["epochs"]) == (1, 6, 30, 2)
        params = runs.load(comparison, setting=name)[1]
        assert row["parameters"] == sum(a.size for a in jax.tree.leaves(params))
    assert found["seconds"] == sum(row["seconds"] for row in found["results"])
    assert all(claim["holds"] is None for claim in found["claims"])  # not the published sizes
    assert files_of(comparison)["plots/learning_curves.png"].startswith(b"\x89PNG")


@pytest.mark.full
def test_each_cell_of_a_comparison_is_that_cell_alone(comparison, folder, text):
    run = folder / "alone"
    flags = [*small_char(text), "--seeds", "2", "--cell", "elman_relu"]
    assert char.main([*flags, "--run", str(run)]) == 0
    mine = [line for line in logged(comparison) if line.pop("setting") == "elman_relu"]
    assert mine == [{k: v for k, v in line.items() if k != "setting"} for line in logged(run)]
    row, alone = summary(comparison)["results"][0], summary(run)["results"][0]
    assert row["train_loss"] == alone["train_loss"]
    assert row["valid_loss"] == alone["valid_loss"]


def test_each_cell_writes_as_the_post_does(comparison):
    """From "A", 750 characters, always one of the five likeliest."""
    files = files_of(comparison / "samples")
    samples = {name: files[name].decode() for name in files if name.endswith(".txt")}
    ends = {f"{name}_end_seed_0.txt" for name in ("elman_relu", "mine")}
    epochs = {f"{name}_epoch_{i:03d}_seed_0.txt" for name in ("elman_relu", "mine") for i in (1, 2)}
    assert samples.keys() == ends | epochs
    for name in ("elman_relu", "mine"):
        written = samples[f"{name}_end_seed_0.txt"]
        assert written.startswith("A")
        assert len(written) == 1 + 750 + 1
        cell, params, vocabulary, _ = runs.load(comparison, setting=name, which="last")
        assert vocabulary is not None
        ids = vocabulary.encode(written[:-1])
        carry, step = cell.init_carry(params, jax.random.key(0)), jax.jit(cell.step)
        ranks = []
        for token, following in pairwise(ids[:101]):
            carry, logits = step(params, carry, token)
            ranks.append(int(np.sum(np.asarray(logits) > float(logits[following]))))
        assert 0 < max(ranks) < 5


def test_text_of_a_setting_by_its_name(comparison, capsys):
    def write(*arguments):
        flags = ["--run", str(comparison), "--prompt", "A", "--top-k", "5", "--length", "40"]
        capsys.readouterr()
        assert generate.main([*flags, *arguments]) == 0
        return capsys.readouterr().out

    assert write("--setting", "elman_relu") == write() == write("--member", "0")
    assert write("--setting", "mine") == write("--member", "2") != write()
    line = error_of(capsys, generate.main, ["--run", comparison, "--setting", "lstm"])
    assert line.endswith("has elman_relu, mine")
    flags = ["--run", comparison, "--setting", "mine", "--member", "2"]
    assert "members 0 to 1 of setting mine" in error_of(capsys, generate.main, flags)


@pytest.mark.full
def test_a_comparison_is_resumed_cell_by_cell(comparison, tmp_path):
    """As if it had been killed before the second cell."""
    run = shutil.copytree(comparison, tmp_path / "run")
    shutil.rmtree(run / "checkpoints" / "mine")
    for path in [*(run / "samples").glob("mine_*"), run / "summary.json"]:
        path.unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    first = [line for line in lines if json.loads(line)["setting"] != "mine"]
    (run / "metrics.jsonl").write_text("".join(first))
    assert char.main(["--resume", str(run)]) == 0
    assert logged(run) == logged(comparison)
    assert files_of(run / "samples") == files_of(comparison / "samples")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("gru", "gru"), "--cells holds gru 2 times"),
        (("lstm", "cells.py:lstm"), "2 times; give one of lstm, cells.py:lstm, or rename the"),
        (("cells.py:mine", "other.py:yours"), "--cells names 2 files, cells.py and other.py"),
        (("gru", "nonsense"), "cell 'nonsense' is not known"),
    ],
)
def test_cells_that_cannot_be_compared(small, cells, message):
    assert message in refusal(char, replaced(small, cells=cells))


def test_a_cell_that_raises_is_named(text, tmp_path, capsys):
    cell = f"{write_cells(tmp_path)}:raises"
    flags = [*small_char(text), "--cells", "gru", cell, "--run", tmp_path / "run"]
    assert f"with --cell {cell}: RuntimeError: no such luck" in error_of(capsys, char.main, flags)


# Capitals


REGULARISED = [
    *("--num-layers", "2", "--connect", "residual", "--dropout", "0.2"),
    *("--dropout-kind", "variational", "--zoneout", "0.1", "--weight-drop", "0.3"),
    *("--embedding-size", "6", "--tied", "--learnt-carry"),
]


@pytest.mark.full
def test_all_that_regularises_is_in_the_training(small, text):
    """Traced only: each of them changes the program of a training step."""
    regularised = config_of(char, *small_char(text), *REGULARISED)
    without = {
        "connect": "plain",
        "dropout": 0.0,
        "zoneout": 0.0,
        "weight_drop": 0.0,
        "tied": False,
    }
    programs = set()
    for changes in ({}, *({name: value} for name, value in (without.items()))):
        training = training_of(char, replaced(regularised, **changes))
        state = jax.eval_shape(training.init, jax.random.key(0), 0.1)
        programs.add(str(jax.make_jaxpr(training.chunk)(state)))
    assert len(programs) == 1 + len(without)


@pytest.mark.full
def test_all_that_regularises_a_model(text, tmp_path):
    """Goes into its training and its record; what is loaded is the evaluation model of it."""
    run = tmp_path / "run"
    assert char.main([*small_char(text), *REGULARISED, "--run", str(run)]) == 0
    cell, params, _, _ = runs.load(run)
    (setting,) = json.loads((run / "config.json").read_text())["settings"]
    assert setting["model"]["dropout_hold"] == 30  # time steps of a training step
    for name, value in (("connect", "residual"), ("zoneout", 0.1), ("learnt_carry", True)):
        assert setting["model"][name] == value
    carry = cell.init_carry(params, jax.random.key(0))
    found = [cell.step(params, carry, np.int32(token))[1] for token in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    # which weights are dropped is no part of the model: only the losses tell
    without = [*REGULARISED, "--weight-drop", "0.0"]
    assert char.main([*small_char(text), *without, "--run", str(tmp_path / "without")]) == 0
    losses = [
        [line["loss"] for line in logged(path) if "loss" in line]
        for path in (run, tmp_path / "without")
    ]
    assert losses[0] != losses[1]


@pytest.mark.full
def test_a_learning_rate_that_falls_ends_with_the_run(text, tmp_path, capsys):
    """At its last training step next to nothing is left of it, so more epochs are refused."""
    run = tmp_path / "run"
    flags = [*small_char(text), "--optimizer", "adamw", "--decay", "cosine", "--warmup", "3"]
    assert char.main([*flags, "--run", str(run)]) == 0
    message = error_of(capsys, char.main, ["--resume", run, "--epochs", "3"])
    assert "--epochs is 3, the run began with 2 and --decay cosine, which ends there" in message
    assert char.main(["--resume", str(run)]) == 0


@pytest.mark.full
def test_dynamic_evaluation_is_a_figure_of_its_own(tmp_path_factory):
    """Of each seed's best params, read as one stream; beside the loss of a model that stays."""
    run = char_run(tmp_path_factory)
    config = config_in(char.Config, summary(run)["config"])
    asked = replaced(config, dynamic_rate=1e-3, dynamic_steps=7)
    found = char.report(asked, runs.RunLog(open_run(run)))
    assert "in dynamic evaluation, which learns every 7" in found.notes[0]
    (row,) = found.results
    cell, params, _, _ = runs.load(run, member=1)
    held_out = read_text(config.text.corpus, "character", valid_fraction=0.1).valid
    batch = Batch(*text_streams(held_out, 1))

    @jax.jit
    def loss(params):
        adam, key = clipped_adam(1e-3), jax.random.key(0)
        return dynamic_evaluate(cell, cross_entropy, adam, params, key, batch, num_steps=7)

    assert row["dynamic_valid_loss_per_seed"][1] == pytest.approx(float(loss(params)), rel=1e-4)
    assert row["dynamic_valid_loss"] == pytest.approx(np.mean(row["dynamic_valid_loss_per_seed"]))
    assert row["dynamic_valid_loss"] != pytest.approx(row["valid_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 9999}, "warmup is 9999; give 0 to"),
        ({"weight_drop": 1.0}, "--weight-drop is 1.0"),
        ({"weight_drop": 0.3, "cell": "indrnn"}, "and no layer has a matrix w_hh, which it"),
        ({"zoneout": -0.1}, "zoneout is -0.1"),
        ({"connect": "skip"}, "a single layer has nothing to connect"),
        ({"tied": True}, "tied needs an --embedding-size of 6"),
        ({"weight_decay": 0.1}, "--weight-decay is 0.1, and adam has none"),
        ({"optimizer": "adamw", "weight_decay": -1.0}, "--weight-decay is -1.0"),
        ({"dynamic_rate": -1.0}, "--dynamic-rate is -1.0"),
        ({"dynamic_rate": 0.1, "dynamic_steps": 0}, "--dynamic-steps is 0"),
        ({"dynamic_rate": 0.1, "valid_fraction": 0.0}, "no text is held out"),
    ],
)
def test_what_cannot_regularise_is_refused(small, changes, message):
    assert message in refusal(char, replaced(small, **changes))


def test_capitals_as_a_flag(small):
    """An input more, forms fewer; the same characters are predicted."""
    params = {}
    for capitals in ("symbols", "flag"):
        training = training_of(char, replaced(small, capitals=capitals))
        params[capitals] = jax.eval_shape(training.init, jax.random.key(0), 0.1).params
    plain, flagged = (params[capitals] for capitals in ("symbols", "flag"))
    size = plain["head"]["w"].shape[1]
    assert plain["embed"]["w"].shape == (size, 4)
    assert flagged["embed"]["w"].shape == (size - 1, 4)
    assert plain["layer_1"].w_ih.shape == (4, 6)
    assert flagged["layer_1"].w_ih.shape == (4 + 1, 6)
    assert flagged["head"]["w"].shape == (6, size)


@pytest.mark.full
def test_text_with_capitals_as_a_flag(text, tmp_path, capsys):
    run = tmp_path / "run"
    flags = [*small_char(text), "--capitals", "flag", "--epochs", "1"]
    assert char.main([*flags, "--run", str(run)]) == 0
    _, params, vocabulary, _ = runs.load(run)
    assert vocabulary is not None
    assert {"a", "A"} <= set(vocabulary.symbols)
    assert params["embed"]["w"].shape == (vocabulary.size - 1, 4)
    capsys.readouterr()
    assert generate.main(["--run", str(run), "--prompt", "A", "--length", "20"]) == 0
    assert len(capsys.readouterr().out) == 1 + 20 + 1


# Claims


def rows(losses, seconds=(6.0, 2.0, 1.0), epochs=20):
    return [
        {
            "cell": cell,
            "per_epoch": [{"train_loss": 3.0}] * (epochs - 1) + [{"train_loss": loss}],
            "seconds_per_epoch": time,
        }
        for cell, loss, time in zip(char.IN_THE_POST, losses, seconds, strict=True)
    ]


PUBLISHED = [loss for _, loss, _ in char.IN_THE_POST.values()]


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (rows(PUBLISHED), [True] * 5),
        (rows(np.subtract(PUBLISHED, 0.3)), [True] * 5),  # better is as good
        (rows(np.add(PUBLISHED, 0.0599)), [True] * 5),
        (rows(np.add(PUBLISHED, 0.0601)), [True, False, False, False, True]),
        (rows([1.74, 1.73, 1.9]), [False, True, True, True, True]),
        (rows([1.7, 1.74, 1.72]), [False, True, True, True, True]),
        (rows(PUBLISHED, seconds=(6.4, 2.0, 1.0)), [True, True, True, True, False]),
        (rows([*PUBLISHED[:2], float("nan")]), [False, True, True, False, True]),
        (rows(PUBLISHED, epochs=19), [None] * 4 + [True]),
        (rows(PUBLISHED)[:2], [None, True, True, None, None]),
        (rows([1.8, 1.7, 2.0])[:2], [False, False, True, None, None]),
    ],
)
def test_claims_of_the_comparison(found, holds):
    decided = char.comparison_claims(char.COMPARISON, found)
    assert [claim.holds for claim in decided] == holds


def test_epoch_20_counts_in_a_longer_run():
    longer = rows(PUBLISHED)
    for row in longer:
        row["per_epoch"] = [*row["per_epoch"], {"train_loss": 0.1}]
    decided = char.comparison_claims(replaced(char.COMPARISON, epochs=21), longer)
    assert [claim.observed for claim in decided[1:4]] == PUBLISHED


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"seeds": 3, "log_every": 5, "init": "default", "schedule": "scan"}, [True] * 5),
        ({"cells": ("lstm", "gru_reset_before", "layer_norm_lstm")}, [True] * 5),
        ({"valid_fraction": 0.1}, [True, None, None, None, True]),
        ({"num_steps": 30}, [None] * 5),
        ({"learning_rate": 1e-3}, [None] * 5),
        ({"capitals": "flag"}, [None] * 5),
        ({"corpus": "sherlock"}, [None] * 5),
    ],
)
def test_claims_are_about_the_posts_comparison(change, holds):
    decided = char.comparison_claims(replaced(char.COMPARISON, **change), rows(PUBLISHED))
    assert [claim.holds for claim in decided] == holds


def test_claims_of_one_model():
    row = {"per_epoch": [{"train_loss": loss} for loss in (3.4, 3.3, 3.19)]}

    def holds(**changes):
        config = replaced(char.Config(), **changes)
        return [claim.holds for claim in char.claims(config, [row])]

    assert holds() == [None, True]
    assert holds(init="published") == [False, None, False, True]
    assert holds(num_steps=80) == holds(capitals="flag") == [None, None]


def test_the_claim_about_cells_of_today():
    config = char.PRESETS["modern"]
    assert char.settings(config).keys() == set(config.cells)
    for losses, holds in (((1.5, 1.44), True), ((1.5, 1.46), False)):
        rows = [{"valid_loss": loss} for loss in losses]
        (claim,) = char.claims(config, rows)
        assert claim.holds is holds
        (claim,) = char.claims(replaced(config, cells=("gru",)), rows)
        assert claim.holds is holds
        (claim,) = char.claims(replaced(config, epochs=1), rows)
        assert claim.holds is None


def test_models_are_as_large_as_their_parameters_allow(small):
    """In whole heads."""
    changes = {"cell": "mlstm", "block": "pre-norm", "convolution": 2, "heads": 4}
    config = replaced(small, **changes, parameters=20_000)
    model = char.build(config).model
    larger = replace(model, hidden_size=model.hidden_size + 4)
    assert model.hidden_size % 4 == 0
    assert parameters_of(model) <= 20_000 < parameters_of(larger)
    with pytest.raises(
        ValueError, match=r"is 10, too few for mlstm of any size; give at least \d{3}"
    ):
        char.build(replaced(config, parameters=10))


def test_claims_of_the_best_model():
    """About that preset alone, however many epochs it got; what it learns while it is tested is
    held against its own loss."""
    best = char.PRESETS["best"]

    def holds(config, valid, dynamic=None):
        row = {"valid_loss": valid, "per_epoch": []}
        row |= {} if dynamic is None else {"dynamic_valid_loss": dynamic}
        return [claim.holds for claim in char.claims(config, [row])]

    assert holds(best, 1.4696) == [True, None]
    assert holds(best, 1.4697, 1.4696) == [False, True]
    assert holds(replaced(best, dynamic_rate=1.0, seed=3), 1.4, 1.41) == [True, False]
    # any other model decides nothing of this
    assert holds(replaced(best, dropout=0.0), 1.4) == [None, None]


def test_the_presets_are_the_posts():
    cells, custom = (flags_of(char.PRESETS[name]) for name in ("cells", "custom"))
    assert {*cells["cells"]} == char.IN_THE_POST.keys()
    published = {"num_layers": 3, "hidden_size": 100, "num_steps": 80, "epochs": 20}
    published |= {"batch_size": 32, "learning_rate": 1e-4, "valid_fraction": 0}
    published |= {"init": "published", "max_norm": None}
    assert published.items() <= cells.items()
    assert {"num_steps": 30, "epochs": 5, "hidden_size": 100}.items() <= custom.items()
    assert char.PRESETS["dropout"].model.dropout > 0


def test_claims_of_the_first_epochs():
    """The rest of the post's table, of a run that trained as it did."""
    losses = [{"train_loss": x} for x in (3.558, 3.323, 3.283)]
    config = replaced(char.Config(), init="published")
    assert [claim.holds for claim in char.claims(config, [{"per_epoch": losses}])] == [
        *(True, None, True, True)
    ]
    found = char.claims(config, [{"per_epoch": [{"train_loss": 3.7}] * 3}])
    assert [claim.holds for claim in found] == [False, None, False, False]


def test_the_comparison_says_nothing_before_its_end():
    """The post has losses of epoch 20 alone; who is ahead in epoch 3 is nothing that it says."""
    rows = [
        {"cell": cell, "seconds_per_epoch": 1.0, "per_epoch": [{"train_loss": loss}] * 3}
        for cell, loss in zip(char.IN_THE_POST, (2.0, 2.3, 2.2), strict=True)
    ]
    found = char.claims(replaced(char.COMPARISON, epochs=3), rows)
    assert {claim.holds for claim in found if "epoch 20" in claim.name} == {None}
    assert not any("epoch 3" in claim.name for claim in found)


def test_the_quick_model_beside_counting_and_a_small_transformer():
    """The best of its cells, whatever they are; no other model."""
    quick = char.PRESETS["quick"]
    rows = [{"valid_loss": 1.9, "per_epoch": []}, {"valid_loss": 1.7, "per_epoch": []}]
    for config in (quick, replaced(quick, cells=("gru", "lstm"), seed=3)):
        assert [claim.holds for claim in char.yardsticks(config, rows)] == [False, True]
    assert char.yardsticks(replaced(quick, epochs=1), rows) == []
    assert char.yardsticks(replaced(quick, hidden_size=8), rows) == []
