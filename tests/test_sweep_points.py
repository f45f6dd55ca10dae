"""What --sweep says."""

from typing import Any

import pytest

from experiments import char, memorization, toy
from jaxrnn.runs.config import flags_of, replaced
from jaxrnn.runs.sweep.halving import kept_of, rungs_of
from jaxrnn.runs.sweep.points import sweep_points

CONFIG: Any = char.PRESETS["smoke"]


def values(*texts, config=CONFIG):
    return [tuple(point.values.values()) for point in sweep_points(config, texts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=1e-4,3e-4, 1e-3", [1e-4, 3e-4, 1e-3]),
        ("--learning-rate=1", [1]),
        ("cell=gru,lstm", ["gru", "lstm"]),
        ("hidden_size=linear:8..32:4", [8, 16, 24, 32]),
        ("learning_rate=log:1e-4..1e-2:3", [1e-4, 1e-3, 1e-2]),
        ("learning_rate=log:0.01..1:7", [0.01, 0.0215443, 0.0464159, 0.1, 0.215443, 0.464159, 1.0]),
        ("dropout=linear:0..0.5:6", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("tied=true,False", [True, False]),
        ("max_norm=None,1.5", [None, 1.5]),
        ("hidden_size=log:1..4:9", [1, 2, 3, 4]),  # whole numbers, each once
    ],
)
def test_the_values_of_a_field(text, expected):
    assert values(text) == [(value,) for value in expected]


def test_every_combination_is_a_run():
    points = sweep_points(CONFIG, ["learning_rate=1e-3,1e-2", "cell=gru,lstm"])
    assert [point.name for point in points] == [
        "learning_rate=0.001,cell=gru",
        "learning_rate=0.001,cell=lstm",
        "learning_rate=0.01,cell=gru",
        "learning_rate=0.01,cell=lstm",
    ]
    assert flags_of(points[2].config) == flags_of(CONFIG) | {"learning_rate": 1e-2, "cell": "gru"}


def test_a_point_is_trained_once():
    twice = sweep_points(CONFIG, ["learning_rate=0.1,1e-1,0.2,.1"])
    assert [point.name for point in twice] == ["learning_rate=0.1", "learning_rate=0.2"]
    drawn = [point.name for point in sweep_points(CONFIG, ["cell=gru,lstm", "random:32"])]
    assert sorted(drawn) == ["cell=gru", "cell=lstm"]


def test_entries_of_a_flag_with_several():
    assert values("num_steps=1,5", config=toy.PRESETS["smoke"]) == [([1],), ([5],)]
    rates = "learning_rate=1e-3 1e-2 1e-3,1e-2 1e-1 1e-3"
    assert values(rates, config=memorization.PRESETS["smoke"])[1] == ([1e-2, 1e-1, 1e-3],)


def test_random_points_are_in_their_ranges_and_the_same_again():
    texts = [
        "learning_rate=log:1e-4..1e-1",
        "cell=gru,lstm",
        "hidden_size=linear:4..8",
        "random:40",
    ]
    found = values(*texts)
    assert found == values(*texts)
    rates, cells, sizes = zip(*found, strict=True)
    assert len(found) == 40
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert {*cells} == {"gru", "lstm"}
    assert {*sizes} == {4, 5, 6, 7, 8}
    assert sum(rate < 10**-2.5 for rate in rates) in range(10, 31)  # by their logarithms


def test_no_seed_is_trained_twice():
    """With the same flags; what was drawn twice would count as two in every comparison."""
    two: Any = replaced(CONFIG, seeds=2)
    assert values("seed=4,0,2", config=two) == [(4,), (0,), (2,)]
    assert len(values("seed=0,1", "cell=gru,lstm")) == 4
    for texts, said in [
        (["seed=0,1"], "seed=0 and seed=1 both train seed 1; give --seeds alone"),
        (["cell=gru,lstm", "seed=3,0,2"], "cell=gru,seed=2 and cell=gru,seed=3 both train seed 3"),
        (["seeds=1,3"], "seeds=1 and seeds=3 both train seed 0"),
    ]:
        with pytest.raises(ValueError, match=said):
            sweep_points(two, texts)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["learning_rate"], "names no field and values"),
        (["=1"], "names no field and values"),
        (["learning_rate="], "names no field and values"),
        (["rate=1"], "there is no flag rate"),
        (["cell=gru", "cell=lstm"], "cell twice"),
        (["hidden_size=0.5"], "hidden_size: expected int"),
        (["hidden_size=1,"], "hidden_size: expected int, got ''"),
        (["learning_rate=log:1..2"], "says no number of values"),
        (["learning_rate=log:0..2:3"], "two numbers above 0 that rise"),
        (["learning_rate=linear:2..1:3"], "two numbers that rise"),
        (["learning_rate=linear:a..1:3"], "are no numbers"),
        (["learning_rate=log:1..2:1"], "give 2 to 10,000 values"),
        (["cell=linear:1..2:3"], "cell=1, .*: cell takes no single number; write out"),
        (["learning_rate=-1"], "--learning-rate is -1"),
        (["random:3"], "has no field"),
        (["random:3", "random:4", "cell=gru"], "random:N twice"),
        (["random:0", "cell=gru"], "give 1 to 10,000 points"),
        (["learning_rate=log:1..2:200", "dropout=linear:0..0.1:200"], "40,000 points"),
    ],
)
def test_what_says_nothing_is_refused(texts, said):
    with pytest.raises(ValueError, match=said) as error:
        sweep_points(CONFIG, texts)
    assert "\n" not in str(error.value)


def test_a_range_of_a_flag_that_takes_several_is_refused():
    with pytest.raises(ValueError, match=r"num_steps=1, .* no single number; .* num_steps=A,B,C"):
        sweep_points(toy.PRESETS["smoke"], ["num_steps=linear:1..4:3"])


def test_rungs_of_successive_halving():
    """9 points at 1 epoch, 3 at 3, 1 at 9."""
    assert rungs_of(9, 9, 3) == [1, 3]
    assert [kept_of(n, 3) for n in (9, 3, 2)] == [3, 1, 1]
    assert rungs_of(2, 100, 3) == [33]
    for points, epochs, halving, said in [
        (9, 9, 1, "at least 2"),
        (1, 9, 3, "no rung"),
        (9, 2, 3, "no rung"),
    ]:
        with pytest.raises(ValueError, match=said):
            rungs_of(points, epochs, halving)
