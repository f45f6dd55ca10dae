"""Cards: what a page says of a cell, drawn without a script and safe with any text."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.battery import cards
from experiments.battery.cards import card_of, measure
from experiments.battery.config import PRESETS
from experiments.battery.found import Found, windows
from jaxrnn import chain, elman, embed, linear, runs
from jaxrnn.analysis.card import Chart, Line, paragraphs, render_card
from jaxrnn.analysis.card.drawing import drawn
from jaxrnn.data.tasks import TASKS
from jaxrnn.data.tasks.figures import FIGURES

HOSTILE = '''
from jaxrnn import elman


def hostile(input_size, hidden_size):
    """<script>alert(1)</script> & </style>

        h' = <b>x</b>

    Reference: https://example.org/?a=1&b="2", javascript:alert(1).
    """
    return elman(input_size, hidden_size)
'''


def found(task, cell, score, rate=1e-2):
    scores = {40: [score, score], 80: [score / 2, score / 2]}
    return Found("run", task, cell, rate, 9, 2, [score] * 2, scores, [0.1, 0.2], 1.0)


def made(cells, measured):
    """The card of the first of the cells."""
    config = runs.replaced(PRESETS["smoke"], cells=cells)
    names = [cell.rpartition(":")[2] for cell in cells]
    every = [found(t, c, 1 - i / 4) for t in config.tasks for i, c in enumerate(names[::-1])]
    best = {(each.task, each.cell): each for each in every}
    mine = {task: best[task, names[0]] for task in config.tasks}
    return card_of(config, cells[0], mine, best, windows(every), measured)


def test_curves_over_the_length_say_whose_they_are_and_what_is_cut_off():
    best = {("parity", name): found("parity", name, s) for name, s in (("a", 0.1), ("b", -0.4))}
    chart = cards._lengths("parity", best["parity", "a"], best)
    assert [line.label for line in chart.lines] == ["a", "b, best of the others at 80"]
    assert chart.y_label == "scaled score, 0 is chance, lower than −0.1 as −0.1"
    del best["parity", "b"]
    assert cards._lengths("parity", best["parity", "a"], best).y_label.endswith("chance")


@pytest.fixture(scope="module")
def looked():
    """Of a small model, before and after nothing was learnt."""
    model = chain(embed=embed(3, 2), cell=elman(2, 3), head=linear(3, 2))
    params = jax.jit(model.init)(jax.random.key(0))
    xs = jnp.zeros(12, jnp.int32)
    return measure(model, params, xs, jnp.stack([xs, xs], 1)) | {"hidden_size": 3}


def test_how_errors_go_back_is_measured(looked):
    assert looked["carry"] == 3
    assert len(looked["flow"]["after"]) == 13
    assert looked["flow"]["after"][0] == pytest.approx(1)
    # with the same params: the model was not trained
    assert looked["flow"]["after"] == looked["flow"]["before"]
    assert looked["exponents"]["after"] == looked["exponents"]["before"] < 1
    assert "cell.w_hh [3, 3]" in looked["shapes"]
    assert looked["schedule"].startswith("schedule ")


def test_of_a_large_carry_the_gradient_by_lag_is_left_out(looked, monkeypatch):
    """Its exponent is not: that takes a single direction."""
    monkeypatch.setattr(cards, "MOST", 2)
    model = chain(embed=embed(3, 2), cell=elman(2, 3), head=linear(3, 2))
    params = jax.jit(model.init)(jax.random.key(0))
    xs = jnp.zeros(12, jnp.int32)
    large = measure(model, params, xs, jnp.stack([xs, xs], 1)) | {"hidden_size": 3}
    assert large == looked | {"flow": None}
    page = render_card(made(("elman", "gru"), {"parity": large, "adding": large}))
    assert "How errors go back" not in page
    assert "gradient by lag is not worked out for more than 2 numbers" in page


def test_a_card_says_what_the_cell_is_and_what_came_of_it(looked):
    unknown = looked | {"flow": None, "exponents": None, "carry": 9000}
    card = made(("elman", "gru"), {"parity": looked, "adding": unknown})
    page = render_card(card)
    for said in ("h&#39; = tanh(", "best of this run", "gru 1.000", "0.375 at 80", "DeltaNet"):
        assert said in page
    assert "not worked out for 9,000 numbers" in page
    assert [len(group) for group in card.charts.values()] == [2, 1]
    assert page.count("<svg viewBox") == 3
    # nothing runs and nothing is fetched
    assert not re.search(r"<script|<link rel=\"style|<img|src=|@import|url\(", page)
    assert "default-src 'none'" in page


def test_text_of_a_users_cell_is_text(tmp_path, looked):
    (tmp_path / "own.py").write_text(HOSTILE)
    page = render_card(made((f"{tmp_path}/own.py:hostile",), {"parity": looked, "adding": looked}))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;/style&gt;" in page
    assert "<b>" not in page
    assert re.findall(r'href="(https?:[^"]*)"', page) == ["https://example.org/?a=1&amp;b="]
    assert "javascript:alert(1)" in page


def test_docstrings_are_paragraphs():
    text = "One.\n\n    a = b\n      c\n\nTwo\nlines, https://example.org/x.\n"
    one, equations, two = paragraphs(text)
    assert one == ([("One.", "")], False)
    assert equations == ([("a = b\n  c", "")], True)
    address = "https://example.org/x"
    assert two == ([("Two lines, ", ""), (address, address), (".", "")], False)


def test_lines_have_gaps_and_stay_on_the_axes():
    x, y = np.arange(5), np.array([1.0, 1e-9, np.nan, 0.1, 0.01])
    chart = Chart("t", "x", "y", [Line("own", x, y), Line("other", x, y, True)], 1e-3, 1.0, True)
    picture = drawn(chart)
    below, own = picture.strokes
    assert (below.label, own.style) == ("other", "own own-0")
    assert len(own.stretches) == 2
    places = [y for _, y in own.points]
    assert (places[0], places[1]) == (picture.top, picture.bottom)
    assert places[3] - places[2] == pytest.approx((picture.bottom - picture.top) / 3, abs=0.11)
    assert [tick.text for tick in picture.y_ticks] == ["1", "0.1", "0.01", "10⁻³"]


def test_a_constant_line_is_drawn():
    picture = drawn(Chart("t", "x", "y", [Line("own", np.array([5]), np.array([1.0]))], 0.0, 1.0))
    assert [tick.text for tick in picture.x_ticks] == ["5"]
    assert len(picture.strokes[0].points) == 1


def test_figures_are_not_of_a_task_that_is_called_alike(looked):
    config = runs.replaced(PRESETS["smoke"], tasks=("own.py:parity",), cells=("gru",))
    mine = {"parity": found("parity", "gru", 0.5)}
    best = {("parity", "gru"): mine["parity"]}
    card = card_of(config, "gru", mine, best, windows([*best.values()]), {"parity": looked})
    assert [table.title for table in card.tables] == ["Tasks", "Largest Lyapunov exponent"]
    assert not card.sources


def test_published_figures_are_of_known_tasks():
    assert {figure.task for figure in FIGURES} <= {*TASKS}
    assert all(0 <= figure.score <= 1 and "https://" in figure.source for figure in FIGURES)
