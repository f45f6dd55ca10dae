"""Runs beside each other: what is said of them, and which are not compared."""

import csv
import json
import shutil

import numpy as np
import pytest
from sweep_support import FIXTURE, like_the_fixture, make_sweep
from trained_runs import toy_run

from experiments import compare
from jaxrnn.analysis.statistics import bootstrap, iqm, probability_of_improvement
from jaxrnn.runs.comparing.groups import labels_of

GRU = [2.897461414337158, 2.9038965702056885]
ELMAN = [2.9184277057647705, 2.8678746223449707]
"""The lowest validation losses of the fixture's seeds, as its summary has them."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("compare") / "sweep")


PROFILES = "performance profiles"


def printed(capsys, *arguments) -> tuple[list[list[str]], list[list[str]]]:
    """The cells of the printed tables, row by row: of the settings, and of their profiles."""
    capsys.readouterr()
    assert compare.main([*map(str, arguments)]) == 0
    settings, _, profiles = capsys.readouterr().out.partition(PROFILES)
    rows = [
        [line.strip("│ \n") for line in shown.splitlines() if line.startswith("│")]
        for shown in (settings, profiles)
    ]
    settings, profiles = [[[c.strip() for c in row.split("│")] for row in each] for each in rows]
    return settings, profiles


def said(capsys, *arguments) -> list[list[str]]:
    return printed(capsys, *arguments)[0]


def test_a_sweep_has_its_table_its_windows_and_its_plots(sweep, tmp_path, capsys):
    rows, profiles = printed(capsys, sweep, "--out", tmp_path)
    assert [row[:3] for row in rows[:6]] == [
        ["gru", "0.001", "2"],
        ["gru", "0.01", "2"],
        ["gru", "0.1", "2"],
        ["elman", "0.001", "2"],
        ["elman", "0.01", "2"],
        ["elman", "0.1", "2"],
    ]
    found = bootstrap(iqm, np.array(GRU)[:, None])
    assert rows[1][3:8] == [
        f"{np.mean(GRU):.4f}",
        f"[{found.low:.4f}, {found.high:.4f}]",
        *(f"{value:.4f}" for value in (np.median(GRU), min(GRU), max(GRU))),
    ]
    scores = [-np.array(each)[:, None] for each in (ELMAN, np.array(GRU) + 0.05)]
    assert rows[4][8].startswith(f"{float(probability_of_improvement(*scores)):.2f} [")
    # 0.05 nats are less than a twentieth of 2.9, so that the window has no end below
    assert [row[0] for row in rows[6:]] == ["gru", "elman"]
    assert [row[1] for row in rows[6:]] == ["0.01", "0.01"]
    assert [row[4:6] for row in rows[6:]] == [["0.001 to 0.01", "at least 10"]] * 2
    # both seeds of the one are in the middle of the other's
    assert [row[0] for row in profiles] == ["gru", "elman"]
    assert [row[1] for row in profiles] == ["0.00 [0.00, 0.00]", "0.50 [0.00, 1.00]"]
    assert [row[3] for row in profiles] == ["1.00 [1.00, 1.00]", "0.50 [0.00, 1.00]"]
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["curves.png", "learning_rates.png", "map.png", "profiles.png"]
    with open(tmp_path / "compare.csv", newline="") as file:
        members = list(csv.DictReader(file))
    assert len(members) == 12
    best = [row for row in members if row["learning_rate"] == "0.01" and row["setting"] == "gru"]
    assert [float(row["valid_loss"]) for row in best] == GRU


def test_a_narrower_tolerance_is_a_narrower_window(sweep, tmp_path, capsys):
    rows = said(capsys, sweep, "--tolerance", "0.01", "--out", tmp_path)
    assert [row[4:6] for row in rows[6:]] == [["0.01", "1 to 100"]] * 2


def test_fields_make_settings_and_others_are_taken_together(tmp_path, capsys):
    runs = [
        like_the_fixture(tmp_path / name, {"batch_size": size, "decay": decay}, seeds=seeds)
        for name, size, decay, seeds in (
            ("a", 4, "none", 0),
            ("b", 4, "linear", 0),
            ("c", 8, "none", 2),
        )
    ]
    rows = said(capsys, *runs, "--out", tmp_path / "all")
    assert [(row[0], row[1]) for row in rows][:2] == [
        ("gru, batch size 4, decay none", "2"),
        ("elman, batch size 4, decay none", "2"),
    ]
    assert len(rows) == 6
    rows = said(capsys, *runs, "--by", "cell", "--out", tmp_path / "cells")
    assert [(row[0], row[1]) for row in rows] == [("gru", "6"), ("elman", "6")]
    # one setting trained twice with other seeds is one setting
    more = like_the_fixture(tmp_path / "d", {"batch_size": 4}, seeds=2)
    rows = said(capsys, runs[0], more, "--out", tmp_path / "more")
    assert [(row[0], row[1]) for row in rows] == [("gru", "4"), ("elman", "4")]
    # but not with the same ones
    again = like_the_fixture(tmp_path / "e", {})
    rows = said(capsys, runs[0], again, "--out", tmp_path / "twice")
    assert [row[0] for row in rows] == ["gru, run a", "elman, run a", "gru, run e", "elman, run e"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.1234, 0.1229), ["max norm 0.1234", "max norm 0.1229"]),
        ((0.12341, 0.1312), ["max norm 0.123", "max norm 0.131"]),
    ],
)
def test_settings_that_round_alike_stay_apart(values, labels, tmp_path, capsys):
    runs = [
        like_the_fixture(tmp_path / f"{value}-{rate}", {"max_norm": value, "learning_rate": rate})
        for value in values
        for rate in (0.1, 0.2)
    ]
    rows = said(capsys, *runs, "--by", "max_norm", "--out", tmp_path / "out")
    assert [row[0] for row in rows] == [labels[0]] * 2 + [labels[1]] * 2 + labels


def test_files_and_runs_of_one_name_are_said_in_full():
    places = [("a/mine.py:cell",), ("b/mine.py:cell",), ("gru",)]
    assert list(labels_of(["cell"], places).values()) == [
        "cell a/mine.py:cell",
        "cell b/mine.py:cell",
        "gru",
    ]


def test_a_sweep_beside_a_run_of_one_of_its_points_keeps_its_rates(sweep, tmp_path, capsys):
    other = like_the_fixture(tmp_path / "other", {"learning_rate": 0.01})
    rows = said(capsys, sweep, other, "--out", tmp_path / "out")
    assert [(row[0], row[1]) for row in rows[-4:]] == [
        ("gru, run sweep", "0.01"),
        ("elman, run sweep", "0.01"),
        ("gru, run other", "0.01"),
        ("elman, run other", "0.01"),
    ]


def test_a_run_that_is_given_twice_counts_once(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(sweep.parent)
    (tmp_path / "link").symlink_to(sweep)
    given = [sweep, sweep.name, tmp_path / "link", f"{sweep.name}/../{sweep.name}/rate_1"]
    rows = said(capsys, *given, "--out", tmp_path / "out")
    assert [row[2] for row in rows[:6]] == ["2"] * 6


def test_what_has_no_text_is_compared_by_its_training_loss(tmp_path_factory, tmp_path, capsys):
    run = toy_run(tmp_path_factory)
    rows = said(capsys, run, "--out", tmp_path)
    (first, second) = json.loads((run / "summary.json").read_text())["results"]
    assert [row[2] for row in rows] == [
        f"{np.mean(first['final_loss']):.4f}",
        f"{np.mean(second['final_loss']):.4f}",
    ]
    assert (tmp_path / "plots" / "curves.png").is_file()
    assert compare.main([str(run), str(FIXTURE)]) == 1
    assert "differ in text (no text; text.txt with sha256 175d407cf3fc" in capsys.readouterr().err


def test_what_diverged_is_counted_and_what_goes_on_is_said(tmp_path, capsys):
    run = like_the_fixture(tmp_path / "run", {})
    (run / "summary.json").unlink()
    (run / "diverged.json").write_text(json.dumps({"elman": "not finite"}))
    assert compare.main([str(run), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert f"{run} is not finished" in told.err
    settings, _, profiles = told.out.partition(PROFILES)
    (row,) = [line for line in settings.splitlines() if "elman" in line]
    assert "2 (2 diverged)" in row
    assert row.count("diverged, diverged") == 1
    assert "0.00 [0.00, 0.00]" in row
    (row,) = [line for line in profiles.splitlines() if "elman" in line]
    assert row.count("0.00 [0.00, 0.00]") == 3  # what diverged is below no number


@pytest.mark.parametrize(
    ("fault", "said_of_it"),
    [
        ("text", "differ in text (text.txt with sha256 175d407cf3fc; text.txt with sha256 000"),
        ("split", "differ in split: --valid-fraction is 0.1 and 0.2; compare runs of one split"),
        ("symbols", "divide their text into other symbols"),
        ("log", "metrics.jsonl is missing or empty, and the run has trained; restore it"),
        ("begun", "has logged nothing yet; train it further"),
        ("environment", "environment.json does not exist"),
        ("by", "--by nonsense is no field of the runs; known: "),
        ("tolerance", "--tolerance is -1.0; give 0 or more"),
        ("out", "is a file; give a folder"),
        ("below a file", "cannot be made: "),
        ("nothing", "no RUN is given"),
        ("nowhere", "nowhere does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(fault, said_of_it, tmp_path, capsys):
    split = {"valid_fraction": 0.2} if fault == "split" else {}
    run, out = like_the_fixture(tmp_path / "run", split), ["--out", str(tmp_path / "out")]
    given = [str(FIXTURE), str(run), *out]
    if fault == "text":
        path = run / "environment.json"
        path.write_text(path.read_text().replace("175d407cf3fc", "000000000000"))
    elif fault == "symbols":
        path = run / "vocabulary.json"
        path.write_text(path.read_text().replace('"b"', '"%"'))
    elif fault == "log":
        (run / "metrics.jsonl").unlink()
    elif fault == "begun":
        for path in (run / "metrics.jsonl", run / "summary.json"):
            path.unlink()
        shutil.rmtree(run / "checkpoints")
    elif fault == "environment":
        (run / "environment.json").unlink()
    given += {"by": ["--by", "nonsense"], "tolerance": ["--tolerance", "-1"]}.get(fault, [])
    given = {
        "out": [str(FIXTURE), "--out", str(run / "config.json")],
        "below a file": [str(FIXTURE), "--out", str(run / "config.json" / "out")],
        "nothing": out,
        "nowhere": ["nowhere", *out],
    }.get(fault, given)
    assert compare.main(given) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("error: ")
    assert said_of_it in line
    assert not (tmp_path / "out").exists()
