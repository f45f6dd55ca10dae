"""Figures of seeds and sweeps, also where members diverged: each is drawn without a warning."""

import numpy as np
import pytest

from jaxrnn.analysis.plots import Band, Panel, heat_map, learning_curves, rate_curves
from jaxrnn.analysis.plots.style import broken

RATES = np.array([1e-3, 1e-2, 1e-1])
INF = np.full(3, np.inf)


def is_drawn(path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def seeds(*ends: float) -> list[np.ndarray]:
    """Curves of three steps that end at these losses."""
    return [np.array([[1.0, 3.0], [2.0, 2.0 + i], [3.0, end]]) for i, end in enumerate(ends)]


@pytest.mark.parametrize("name", ["gru", "gated_delta_net", "lru(r_min=0.9,r_max=0.99)", 30 * "n"])
def test_names_are_broken_where_they_are_long(name):
    lines = broken(name, 12).split("\n")
    assert "".join(lines) == name
    assert max(map(len, lines)) <= 12
    assert all(len(line) == 12 or line[-1] in "_(,=" for line in lines[:-1])


@pytest.mark.parametrize("ends", [(1.0, 1.1, 1.2), (1.0, np.nan, 1.2), (np.nan, np.nan, np.nan)])
def test_curves_of_seeds_that_diverged(ends, tmp_path):
    panel = Panel("validation", {"gru": seeds(*ends), "lstm": seeds(1.5)}, {"floor": 0.9})
    learning_curves(tmp_path / "curves.png", [panel])
    assert is_drawn(tmp_path / "curves.png")


@pytest.mark.parametrize(
    "bands",
    [
        {"gru": Band(RATES, np.array([2.0, 1.0, np.inf]), *np.array([[1.9, 0.9, np.inf]] * 2))},
        {"gru": Band(RATES, np.array([2.0, 1.0, 30.0]), RATES * np.nan, RATES * np.nan)},
        {"gru": Band(RATES, INF, INF, INF), "lstm": Band(RATES, INF, INF, INF)},
        {"gru": Band(RATES, np.ones(3), np.ones(3), INF, (1e-3, 1e-1))},
    ],
    ids=["one diverged", "single seeds", "all diverged", "open intervals"],
)
def test_losses_over_rates(bands, tmp_path):
    rate_curves(tmp_path / "rates.png", bands, y_label="loss", caption="small print")
    assert is_drawn(tmp_path / "rates.png")


@pytest.mark.parametrize("worst", [3.0, np.nan, np.inf])
def test_a_map_of_two_fields(worst, tmp_path):
    values = np.array([[1.0, 2.0, worst], [worst] * 3])
    for name, shown, rows in (("map", values, ["gru", "$lstm"]), ("all", values[1:], ["gru"])):
        path, of = tmp_path / f"{name}.png", {"row_label": "cell", "column_label": "size"}
        heat_map(path, shown, rows=rows, columns=["1", "2", "3"], label="loss", **of)
        assert is_drawn(path)
