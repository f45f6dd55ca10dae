"""Groups of a config: flat as flags and records, nested where they are read."""

from dataclasses import dataclass, fields, replace
from importlib import import_module

import pytest

from jaxrnn import runs
from jaxrnn.runs.config import alike, changed, config_of, flags_of, record_of, replaced
from jaxrnn.runs.groups import (
    Decided,
    GradientConfig,
    LoopConfig,
    ModelConfig,
    OptimizerConfig,
    TextConfig,
)

EXPERIMENTS = ("baselines", "char", "memorization", "toy", "truncation", "word")
GROUPS = (ModelConfig, GradientConfig, OptimizerConfig, LoopConfig)


@dataclass(frozen=True)
class Loop(LoopConfig):
    epochs: Decided[int] = 0
    log_every: Decided[int] = 5


@dataclass(frozen=True)
class Config:
    epochs: tuple[int, ...] = (1, 2)
    exact: bool = True
    model: ModelConfig = runs.ModelConfig(cell="gru")
    loop: Loop = Loop(batch_size=9)


def test_a_record_is_flat_and_comes_back():
    config = replaced(Config(), cell="elman", epochs=(3,), seeds=4)
    record = record_of(config)
    assert (record["cell"], record["epochs"], record["seeds"]) == ("elman", [3], 4)
    assert config_of(Config, record) == config
    assert config.loop.seeds == 4
    # what is missing is as the experiment has it, not as the group does
    assert config_of(Config, {}) == Config()
    assert config_of(Config, {}).loop.batch_size == 9


def test_what_is_decided_is_no_flag():
    config = Config()
    decided = replace(config, loop=replace(config.loop, epochs=7, log_every=3))
    assert flags_of(decided)["epochs"] == (1, 2)
    assert "log_every" not in flags_of(decided)
    assert record_of(decided) == record_of(config)


def test_differences_are_named():
    config = replaced(Config(), batch_size=3)
    assert changed({"cell": "gru"}, config) == {"batch_size": (9, 3)}
    assert changed({"exact": True}, replaced(config, exact=False, batch_size=9)) == {
        "exact": (True, False)
    }
    assert alike(config, Config(), {"batch_size"})
    assert not alike(config, Config())
    with pytest.raises(ValueError, match="exact: expected bool, got 1"):
        config_of(Config, {"exact": 1})
    with pytest.raises(ValueError, match="unknown fields nosuch"):
        config_of(Config, {"nosuch": 1})
    with pytest.raises(ValueError, match="no nosuch"):
        replaced(config, nosuch=1)


def test_a_flag_is_given_once():
    @dataclass(frozen=True)
    class Twice:
        cell: str = ""
        model: ModelConfig = runs.ModelConfig()

    with pytest.raises(ValueError, match="two fields cell"):
        flags_of(Twice())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_nests_the_groups(name):
    presets = import_module(f"experiments.{name}").PRESETS
    config = presets["published"]
    found = [type(getattr(config, field.name)) for field in fields(config)]
    for group in GROUPS:
        assert sum(issubclass(each, group) for each in found) == 1
    reads = name not in ("toy", "memorization")  # whose text has no part to be held out
    assert sum(issubclass(each, TextConfig) for each in found) == reads
    for preset in presets.values():
        assert config_of(type(preset), record_of(preset)) == preset
