"""A text of one symbol: every prediction is sure, and depends on nothing."""

from pathlib import Path

import numpy as np
import pytest
from drawing import some_params

from experiments.inspect import reading
from experiments.inspect.config import Config
from experiments.inspect.figures import figures
from jaxrnn import chain, embed, linear, lstm
from jaxrnn.analysis.page import render_page
from jaxrnn.data import build_vocabulary

TEXT = "a" * 12


@pytest.mark.full
def test_it_is_read_and_shown_without_nan(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_training", lambda source: [])
    vocabulary = build_vocabulary(TEXT, "character")
    cell = chain(embed=embed(1, 2), layer=lstm(2, 2), head=linear(2, 1))
    params = some_params(cell)
    source = reading.Source("--run", Path("run"), "lstm", 0, cell, params, vocabulary, {})
    config = Config(run=Path("run"), text=Path("text.txt"), lags=4)
    seen = reading.read_run(config, source, reading.Symbols("text.txt", list(TEXT), 0))
    assert not any("nan" in fact for fact in seen.facts.values())
    assert seen.facts["mean lag"].startswith("none (loss)")
    for chart in seen.charts:
        for curve in chart.curves:
            assert np.isfinite(curve.y).all()
    assert "NaN" not in render_page("title", "character", [seen])
    for name, draw in figures("", config, seen).items():
        draw(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").is_file()


def test_shares_of_nothing_are_none():
    np.testing.assert_array_equal(reading.share_of(np.zeros(3)), np.zeros(3))
    np.testing.assert_allclose(reading.share_of(np.array([1.0, 3.0])), [0.25, 0.75])
