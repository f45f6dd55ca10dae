"""What is read from a run's log: every number against lines that are written by hand."""

import numpy as np
import pytest

from jaxrnn.models import TokenModel
from jaxrnn.runs import RunLog, every_tenth
from jaxrnn.runs.bound import require_unbegun
from jaxrnn.runs.config import to_plain
from jaxrnn.runs.directory import MetricsLog, create_run
from jaxrnn.runs.files import read_json, write_json
from jaxrnn.runs.kept import keep


@pytest.fixture
def log(tmp_path):
    """Two settings of two seeds, 20 training steps in two epochs; the second has no validation."""
    run = create_run(tmp_path / "run")
    model = to_plain(TokenModel(5, 5, "elman", 3))
    settings = [{"name": name, "model": model} for name in ("first", "second")]
    about = {"experiment": "made up", "config": {}}
    write_json(run.config, about | {"settings": settings, "seeds": [4, 5]})
    lines = MetricsLog(run.metrics)
    clock = 0.0
    for setting, offset in (("first", 0.0), ("second", 10.0)):
        for epoch in (1, 2):
            for step, steps in ((10 * epoch - 2, 8), (10 * epoch - 1, 1), (10 * epoch, 1)):
                clock += 1.0
                for seed in (4, 5):
                    loss = offset + seed - step / 20
                    at = {"setting": setting, "seed": seed, "epoch": epoch, "step": step}
                    lines.append(at | {"loss": loss, "steps": steps, "seconds": clock})
            for seed in (4, 5):
                at = {"setting": setting, "seed": seed, "epoch": epoch, "step": 10 * epoch}
                valid = {"valid_loss": seed + (1.0 if epoch == 1 else 0.5)}
                valid = valid if setting == "first" else {}
                lines.append(at | {"train_loss": 2.0 / epoch} | valid | {"seconds": clock + 0.25})
    lines.close()
    return RunLog(run)


def test_curves_and_seconds(log):
    assert list(log.models) == ["first", "second"]
    assert log.seeds("first") == [4, 5]
    np.testing.assert_allclose(log.curves("second", "loss")[5][0], [8, 14.6])
    assert log.curves("second", "valid_loss") == {}
    assert (log.seconds("first"), log.seconds("second")) == (6.25, 12.25)
    assert log.all_seconds == 18.5


def test_numbers_over_seeds(log):
    assert log.lowest("first") == [4.5, 5.5]
    assert log.lowest("second") == []
    assert log.by_epoch("first", "valid_loss") == [5.5, 5.0]
    # the line that an epoch ends with, not the last of its chunks
    assert log.by_epoch("first", "seconds") == [3.25, 6.25]


def test_the_last_tenth_begins_a_line(log):
    # of 20 training steps the last 2, whose lines hold one each
    np.testing.assert_allclose(log.over_last_tenth("first", "loss"), [4 - 0.975, 5 - 0.975])
    for count in (7, 40, 163):
        ends = every_tenth(count, 3)
        assert ends[-1] == count
        assert {count - i * count // 10 for i in range(1, 10)} - {0} <= {*ends}
        assert np.diff([0, *ends]).max() <= 3
        assert ends == sorted(ends)


def test_a_mean_is_weighted_by_training_steps(tmp_path):
    run = create_run(tmp_path / "run")
    settings = [{"name": "a", "model": to_plain(TokenModel(2, 2))}]
    about = {"experiment": "made up", "config": {}, "seeds": [0]}
    write_json(run.config, about | {"settings": settings})
    lines = MetricsLog(run.metrics)
    for step, steps, loss in ((80, 80, 9.0), (95, 7, 2.0), (100, 3, 4.0)):
        lines.append({"setting": "a", "seed": 0, "step": step, "loss": loss, "steps": steps})
    lines.close()
    assert RunLog(run).over_last_tenth("a", "loss") == [pytest.approx((7 * 2 + 3 * 4) / 10)]


def test_rows_and_panels(log):
    row, other = log.row("first"), log.row("second")
    assert (row["parameters"], row["seeds"]) == (5 * 3 + 3 * 3 + 3 + 3 * 5 + 5, [4, 5])
    assert (row["train_loss"], row["valid_loss"], other["valid_loss"]) == (1.0, 5.0, None)
    spread = row["valid_spread"]
    assert {key: spread[key] for key in ("median", "min", "max")} == {
        "median": 5.0,
        "min": 4.5,
        "max": 5.5,
    }
    assert (spread["seeds"], spread["iqm"], spread["interval"]) == (2, 5.0, [4.5, 5.5])
    assert [epoch["seconds"] for epoch in row["per_epoch"]] == [3.25, 3.0]
    panels = log.panels(
        {"valid": {"one": ("first", "valid_loss"), "two": ("second", "valid_loss")}, "none": {}},
        {"valid": {"known": 1.0}},
        epochs=True,
    )
    (panel,) = panels
    assert (panel.title, list(panel.curves), panel.lines) == ("valid", ["one"], {"known": 1.0})
    np.testing.assert_array_equal(panel.curves["one"][0], [[1, 5.0], [2, 4.5]])
    (every,) = log.panels({"training": "train_loss"})
    assert list(every.curves) == ["first", "second"]
    for name, seeds in every.curves.items():
        np.testing.assert_array_equal(seeds, [*log.curves(name, "train_loss").values()])


def test_once_is_kept(log):
    drawn = iter([{"a": 1}, {"a": 2}])
    assert log.once("counted", lambda: next(drawn)) == {"a": 1}
    assert RunLog(log.run).once("counted", lambda: next(drawn)) == {"a": 1}


def altered(path, change):
    content = read_json(path)
    change(content)
    write_json(path, content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found["content"].update(a=2), "counted.json was altered"),
        (lambda found: found.pop("sha256"), "counted.json was altered"),
        (lambda found: found["belongs_to"].update(log=None), "counted.json was altered"),
    ],
)
def test_what_was_found_once_is_not_altered(log, change, said):
    log.once("counted", lambda: {"a": 1, "b": (float("nan"), 2)})
    altered(log.run.path / "counted.json", change)
    with pytest.raises(ValueError, match=said):
        log.once("counted", lambda: pytest.fail("counted again"))


def test_what_was_found_in_another_run(log):
    log.once("counted", lambda: {"a": 1})
    altered(log.run.config, lambda config: config["seeds"].append(6))
    with pytest.raises(ValueError, match=r"counted.json belongs to another run.*seeds.length is 3"):
        log.once("counted", lambda: pytest.fail("counted again"))


def test_what_was_found_of_a_shorter_log_is_found_anew(log, capsys):
    log.once("measured", lambda: {"a": 1})
    text = log.run.metrics.read_text(encoding="utf-8")
    log.run.metrics.write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    assert log.once("measured", lambda: {"a": 2}) == {"a": 2}
    assert "measured.json is of an earlier state of the log" in capsys.readouterr().err


def test_what_an_older_version_found_is_taken(log):
    write_json(log.run.path / "counted.json", {"a": 1})
    assert log.once("counted", lambda: {"a": 2}) == {"a": 1}


def test_what_diverged_is_not_altered(log):
    keep(log.run, log.run.diverged, {"first": "the loss is not finite"})
    assert log.diverged == {"first": "the loss is not finite"}
    altered(log.run.diverged, lambda found: found["content"].update(second="so is this"))
    with pytest.raises(ValueError, match=r"diverged.json was altered"):
        _ = RunLog(log.run).diverged


def test_a_setting_that_has_lost_its_checkpoints_begins_anew_and_says_so(log, capsys):
    require_unbegun(log.run, "third")
    assert capsys.readouterr().err == ""
    require_unbegun(log.run, "second")
    said = " ".join(capsys.readouterr().err.split())
    assert "has no checkpoint, though" in said
    assert "has 16 lines of second" in said
