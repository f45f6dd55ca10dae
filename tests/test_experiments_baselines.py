"""The baselines: what a run leaves behind by closed forms, sizes by the budget, claims by rows."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from experiments_support import config_of, error_of, files_of, refusal, summary, write_text

from experiments import baselines, generate
from experiments.baselines import chart, claims, counting, networks, results
from experiments.baselines.claims import HELD_OUT
from experiments.baselines.config import PRESETS, settings
from experiments.baselines.samples import LENGTHS
from jaxrnn.counts import count, witten_bell
from jaxrnn.runs import measuring
from jaxrnn.runs.config import replaced
from jaxrnn.runs.text import read_text
from jaxrnn.sizes import largest, parameters_of, size_by_seconds

FIELDS = {"model", "level", "valid_nats", "seconds", "copied_10", "copied_20", "copied_40"}
ONE_CELL = [
    *["--cells", "elman", "--epochs", "2", "--word-epochs", "1", "--temperature", "0", "1"],
    *["--unsmoothed", "2", "16"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture(scope="module")
def text(folder):
    return write_text(folder)


@pytest.fixture(scope="module")
def smoke(text):
    return ["--preset", "smoke", "--corpus", str(text), *ONE_CELL, "--devices", "1"]


@pytest.fixture(scope="module")
def run(folder, smoke):
    """Of two seeds; networks may train for 20 and 10 seconds of a clock on which a hidden unit
    takes one."""
    path = folder / "run"
    flags = ["--equal", "seconds", "--seconds", "20", "--word-seconds", "10", "--seeds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "measured_seconds", lambda one, *_: one.model.hidden_size * 1.0)
        assert baselines.main([*smoke, *flags, "--run", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def rows(run):
    return summary(run)["results"]


def row_of(rows, level, model):
    (row,) = [row for row in rows if (row["level"], row["model"]) == (level, model)]
    return row


def test_every_model_has_a_row(rows):
    expected = {
        "character": ["unsmoothed 2", "unsmoothed 16", *(f"witten-bell {n}" for n in range(3))],
        "word": ["unsmoothed 1", "witten-bell 0", "witten-bell 1"],
    }
    for level, models in expected.items():
        mine = [row["model"] for row in rows if row["level"] == level]
        assert mine == [*models, "elman", HELD_OUT]
    assert all({*FIELDS, "sample"} <= row.keys() for row in rows)
    assert all(row["sample"] == row["samples"]["1"]["text"] for row in rows if row["samples"])


def test_counts_are_scored_per_character(rows, text):
    """A word's nats over the characters of the same held-out text."""
    held_out = read_text(str(text), "character", valid_fraction=0.1).valid
    for level in ("character", "word"):
        tokens = read_text(str(text), level, valid_fraction=0.1)
        model = witten_bell(count(tokens.train, tokens.vocabulary.size, 1), 1)
        row = row_of(rows, level, "witten-bell 1")
        total = model.nats(tokens.valid).sum()
        assert row["valid_nats"] == pytest.approx(total / len(held_out), rel=1e-12)
        assert row["nats_per_token"] == pytest.approx(total / len(tokens.valid), rel=1e-12)


def test_both_levels_write_text(run, capsys):
    """Each with the vocabulary that it reads."""
    flags = ["--run", str(run), "--length", "5", "--temperature", "0", "--prompt", "the rose by"]
    written = {}
    for level in ("character", "word"):
        capsys.readouterr()
        assert generate.main([*flags, "--setting", f"{level}_elman"]) == 0
        written[level], errors = capsys.readouterr()
        assert errors == ""
        assert written[level].startswith("the rose by")
    assert len(written["character"]) == len("the rose by") + 5 + 1
    assert len(written["word"].split()) == 3 + 5
    unknown = [*flags[:-1], "the thorn", "--setting", "word_elman"]
    assert "--prompt holds 'thorn', which is not in the" in error_of(capsys, generate.main, unknown)
    none = [*flags[:-1], " ", "--setting", "word_elman"]
    assert "--prompt is ' ', which holds no word" in error_of(capsys, generate.main, none)


def test_what_was_never_seen_costs_infinitely_much(rows, text):
    """Told as null, beside the share of the tokens that cost it."""
    tokens = read_text(str(text), "character", valid_fraction=0.1)
    train, valid = tokens.train.tolist(), tokens.valid.tolist()

    def is_seen(i):
        gram = valid[max(i - 16, 0) : i + 1]
        return any(train[j : j + len(gram)] == gram for j in range(len(train)))

    unseen = np.mean([not is_seen(i) for i in range(len(valid))])
    row = row_of(rows, "character", "unsmoothed 16")
    assert row["valid_nats"] is None
    assert row["unseen"] == pytest.approx(unseen, rel=1e-12)
    assert row_of(rows, "character", "unsmoothed 2")["unseen"] < row["unseen"]


def test_copies_are_those_of_the_files(rows, run, text):
    """Counted again, a stretch at a time, in the texts that the run wrote."""
    for row in rows:
        tokens = read_text(str(text), row["level"], valid_fraction=0.1)
        source = tokens.vocabulary.decode(tokens.train)
        written = tokens.vocabulary.decode(tokens.valid)
        if row["samples"]:
            name = f"{row['level']}_{row['model'].replace(' ', '_')}_temperature_1.txt"
            written = (run / "samples" / name).read_text()[:-1]
            assert written == row["sample"]
        for length in LENGTHS:
            stretches = [written[i : i + length] for i in range(len(written) - length + 1)]
            share = np.mean([stretch in source for stretch in stretches])
            assert row[f"copied_{length}"] == pytest.approx(share, rel=1e-12)


def test_a_network_is_scored_by_its_best_epoch(rows, run):
    row = row_of(rows, "character", "elman")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = [
        min(
            line["valid_loss"]
            for line in lines
            if line["setting"] == "character_elman"
            and line["seed"] == seed
            and "valid_loss" in line
        )
        for seed in (0, 1)
    ]
    assert row["valid_nats"] == row["nats_per_token"] == pytest.approx(np.median(best))
    spread = row["spread"]
    assert spread["median"] == spread["iqm"] == pytest.approx(np.median(best))
    assert (spread["min"], spread["max"], spread["seeds"]) == (min(best), max(best), 2)


def test_the_likeliest_text_is_always_the_same(rows):
    for row in rows:
        if row["samples"]:
            assert set(row["samples"]) == {"0", "1"}
    texts = {row["samples"]["0"]["text"] for row in rows if row["model"] == "witten-bell 0"}
    # without a context, the most frequent token for ever
    assert all(len(set(text.split(" ")) - {""}) <= 1 for text in texts)


@pytest.mark.full
def test_a_training_is_timed_by_its_second_chunk(text, monkeypatch):
    """By a clock that ticks at every look a chunk takes one tick; here it is an epoch of three."""
    flags = {"levels": ("character",), "cells": ("elman",), "log_every": 10**6}
    equal = {"equal": "hidden_size", "hidden_size": 3}
    config = replaced(PRESETS["smoke"], corpus=str(text), **flags, **equal)
    (part,) = settings(config).values()
    one = networks.build(part)
    ticks = iter(range(1000))
    monkeypatch.setattr(measuring, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert networks.measured_seconds(one, [0], jax.devices()[:1]) == pytest.approx(3)


def test_sizes_are_those_that_the_seconds_allow(rows):
    assert row_of(rows, "character", "elman")["hidden_size"] == 16
    assert row_of(rows, "word", "elman")["hidden_size"] == 8


def test_a_finished_run_is_reported_again(run, monkeypatch):
    """With the sizes and the counts that it has: a clock would find others."""
    before, found = files_of(run), summary(run)
    for module, measured in ((networks, "measured_seconds"), (results, "counted")):
        monkeypatch.delattr(module, measured)
    assert baselines.main(["--resume", str(run)]) == 0
    assert summary(run) == found
    after = files_of(run)
    assert {name for name in before if before[name] != after[name]} <= {"plots/loss_and_copies.png"}


@pytest.mark.parametrize("level", ["character", "word"])
def test_sizes_spend_the_parameters(level, text):
    cells = ("feed_forward", "elman", "gru", "lstm")
    config = replaced(PRESETS["smoke"], corpus=str(text), levels=(level,), cells=cells)
    for part in settings(config).values():
        model = networks.build(part).model
        larger = replace(model, hidden_size=model.hidden_size + 1)
        found = [parameters_of(each) for each in (model, larger)]
        assert found[0] <= part.parameters < found[1]


def test_sizes_spend_the_seconds():
    # 100 units take 10 seconds, and 96 is the largest below that is tried
    assert size_by_seconds(lambda size: size**2 / 1000, 10.0) == 96
    with pytest.raises(ValueError, match="too few for gru of 8 units; give more"):
        size_by_seconds(lambda size: 10.1, 10.0, cell="gru")


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3, 4, 5], list(range(1, 100))])
def test_the_largest_that_fits_is_found(sizes):
    for limit in sizes:
        assert largest(sizes, lambda size, most=limit: size <= most, "none") == limit
    with pytest.raises(ValueError, match="none"):
        largest(sizes, lambda size: False, "none")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"levels": ("word", "word")}, "--levels"),
        ({"unsmoothed": (4, 4)}, "--unsmoothed is (4, 4)"),
        ({"word_interpolated": (-1,)}, "--word-interpolated is -1"),
        ({"interpolated": (65,)}, "--interpolated is (65,)"),
        ({"sample_length": 1}, "--sample-length is 1"),
        ({"temperature": (-1.0,)}, "--temperature is -1.0"),
        ({"parameters": 10}, "--parameters is 10, too few for elman"),
        ({"word_parameters": 10}, "--word-parameters is 10"),
        ({"valid_fraction": 0.0}, "--valid-fraction is 0.0"),
        ({"batch_size": 100_000}, "--batch-size is 100000"),
        ({"cells": ("nonsense",)}, "cell 'nonsense' is not known"),
        ({"cells": ("gru", "gru")}, "--cells holds gru 2 times"),
        ({"num_steps": 0}, "--num-steps is 0"),
        ({"word_epochs": 0}, "--word-epochs is 0"),
    ],
)
def test_what_is_wrong_is_named(changes, named, smoke):
    assert named in refusal(baselines, replaced(config_of(baselines, *smoke), **changes))


def test_the_command_says_so_and_leaves_nothing(smoke, tmp_path, capsys):
    path = tmp_path / "run"
    flags = [*smoke, "--unsmoothed", "4", "4", "--run", path]
    assert "--unsmoothed is (4, 4)" in error_of(capsys, baselines.main, flags)
    assert not path.exists()


# Claims


def made(level, model, family, nats, copied=0.0):
    seconds = {"unsmoothed": 2.0, "witten-bell": 9.0, "network": 3.0, "text": 0.0}[family]
    row = {"level": level, "model": model, "family": family, "context": 1, "seconds": seconds}
    row |= {"valid_nats": nats, "nats_per_token": nats}
    return row | {f"copied_{length}": copied for length in LENGTHS}


def held(rows, known=()):
    return {claim.name: claim for claim in claims.all_claims(rows, known)}


def test_known_figures_are_held_to_their_tolerance():
    for nats, holds in ((1.6705, True), (1.6715, False)):
        known = [counting.KNOWN[0]._asdict() | {"nats": nats}]
        found = held([], known)
        (claim,) = [claim for name, claim in found.items() if name.startswith("tiny-shakespeare")]
        assert (claim.observed, claim.holds) == (nats, holds)
        (other,) = [claim for name, claim in found.items() if name.startswith("sherlock")]
        assert other.holds is None


def test_orders_are_read_off_the_rows():
    losses = {"lstm": 1.5, "gru": 1.6, "elman": 1.7, "feed_forward": 1.8}
    rows = [made("character", name, "network", loss) for name, loss in losses.items()]
    rows += [
        made("character", f"unsmoothed {n}", "unsmoothed", None, copied)
        for n, copied in ((4, 0.1), (8, 0.2), (10, 0.3), (16, 0.4))
    ]
    rows += [
        made("character", "witten-bell 4", "witten-bell", 1.75),
        made("character", "witten-bell 8", "witten-bell", 1.9),
        made("character", HELD_OUT, "text", None, 0.35),
        # of words nothing is claimed
        made("word", "lstm", "network", 9.0),
    ]
    found = {name: claim.holds for name, claim in held(rows).items() if claim.holds is not None}
    assert len(found) == 9
    wrong = [name for name, holds in found.items() if not holds]
    # a context of 10 copies less than the author repeats
    assert len(wrong) == 2
    assert all("context 10" in name for name in wrong)
    rows[1]["valid_nats"] = rows[1]["nats_per_token"] = 1.76
    wrong = {name for name, claim in held(rows).items() if claim.holds is False} - set(wrong)
    assert len(wrong) == 2
    assert all("RNN" in name or "best n-gram" in name for name in wrong)


@pytest.mark.parametrize("nats", [None, 1.5])
def test_a_plot_of_a_single_model(nats, tmp_path):
    """With a loss or an infinite one, and nothing to compare it with."""
    chart.draw(tmp_path / "plot.png", [made("word", "unsmoothed 1", "unsmoothed", nats)])
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
