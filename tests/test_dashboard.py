"""The dashboard: what TensorBoard's server lists of a run, and shows in a browser."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_page import equip, open_node, open_tab, picture, search_words, seen
from board_server import (
    COLUMNS,
    ONE,
    SEEDS,
    children,
    distributions_listed,
    fetch,
    graph_names,
    histograms_listed,
    hparams_listed,
    in_category,
    listed,
    points_listed,
    scalars_listed,
    serving,
)
from browser_support import find_browser
from experiments_support import error_of
from page_browser import Tab, browsing
from trained_runs import char_run

from experiments import dashboard
from jaxrnn.runs.tensorboard.board import Board
from jaxrnn.runs.tensorboard.projector import visible


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of two seeds, of 28 training steps each, and nothing else."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(char_run(tmp_path_factory), folder / "char")
    return folder


@pytest.mark.parametrize("version", [None, "2.17.1"])
def test_the_dashboard_says_what_is_missing(capsys, tmp_path, monkeypatch, version):
    def find(name):
        if version is None:
            raise dashboard.importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(dashboard.importlib.metadata, "version", find)
    line = error_of(capsys, dashboard.main, ["--runs", str(tmp_path)])
    assert "pip install -c constraints.txt -e '.[dashboard]'" in line
    assert version is None or version in line


def test_the_dashboard_needs_a_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(dashboard, "require_tensorboard", lambda: None)
    line = error_of(capsys, dashboard.main, ["--runs", str(tmp_path)])
    assert "train one with --tensorboard" in line


def test_the_dashboard_needs_a_free_port(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(dashboard, "require_tensorboard", lambda: None)
    (tmp_path / "tensorboard").mkdir()
    flags = ["--runs", str(tmp_path), "--port"]
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = error_of(capsys, dashboard.main, [*flags, port])
        assert f"--port {port} cannot be had" in line
        assert "or 0 for one that is free" in line
    assert "--port is 65536" in error_of(capsys, dashboard.main, [*flags, "65536"])


@pytest.fixture(scope="module")
def server(runs, tmp_path_factory) -> Iterator[str]:
    with serving(runs, tmp_path_factory.mktemp("server") / "said.txt", 3) as address:
        yield address


@pytest.mark.full
def test_the_server_lists_scalars_histograms_text_and_images(server):
    scalars = listed(server, "scalars/tags")
    assert scalars.keys() >= SEEDS
    assert {"loss/training", "saturation/all_tanh_units"} <= scalars[ONE].keys()
    for plugin in ("histograms", "distributions"):
        tags = listed(server, f"{plugin}/tags")[ONE].keys()
        assert {"activations/layer_1", "params/layer_1/w_hh", "gradients/head/w"} <= tags
    events = listed(server, f"histograms/histograms?run={ONE}&tag=activations/layer_1")
    assert len(events) == 6
    _, step, buckets = events[-1]
    assert step == 28
    # 30 time steps of 8 sequences, 6 units, between -1 and 1
    assert sum(count for _, _, count in buckets) == pytest.approx(30 * 8 * 6)
    assert -1 <= buckets[0][0] <= buckets[-1][1] <= 1
    assert listed(server, "text/tags")[ONE] == ["samples/text"]
    shown = listed(server, f"text/text?run={ONE}&tag=samples/text")
    assert [event["step"] for event in shown] == [14, 28]
    assert "plots/learning_curves" in listed(server, "images/tags")["char/tensorboard"]


@pytest.mark.full
def test_the_server_lists_the_graph(server):
    assert listed(server, "graphs/info")[ONE]["run_graph"]
    query = f"run={ONE}&conceptual=false&limit_attr_size=1024&large_attrs_key=_too_large_attrs"
    graph = fetch(f"{server}/data/plugin/graphs/graph?{query}").decode()
    for name in ("layer_1/params/w_hh", "optimizer/layer_1/w_hh/new_params", "loss/log"):
        assert f'"{name}"' in graph


@pytest.mark.full
def test_the_server_lists_both_embeddings(server):
    assert set(listed(server, "projector/runs")) == SEEDS
    embeddings = listed(server, f"projector/info?run={ONE}")["embeddings"]
    assert [embedding["tensorName"] for embedding in embeddings] == ["embed", "head"]
    words = fetch(f"{server}/data/plugin/projector/metadata?run={ONE}&name=head").decode()
    count = len(words.splitlines()) - 1
    assert "\\n\t" in words
    assert "␣\t" in words
    tensor = fetch(f"{server}/data/plugin/projector/tensor?run={ONE}&name=head")
    assert np.frombuffer(tensor, np.float32).size == count * 6


@pytest.mark.full
def test_the_server_lists_hyper_parameters_with_their_types(server):
    infos = listed(server, "hparams/experiment", {})["hparamInfos"]
    kinds = {info["name"]: info["type"] for info in infos}
    assert kinds["learning_rate"] == kinds["seed"] == "DATA_TYPE_FLOAT64"
    assert kinds["cell"] == "DATA_TYPE_STRING"
    assert kinds["limit"] == "DATA_TYPE_STRING"  # None here
    every = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    asked = {
        "colParams": [{"metric": {"tag": "loss/validation", "group": ""}}],
        "allowedStatuses": every,
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups = listed(server, "hparams/session_groups", asked)["sessionGroups"]
    assert {group["hparams"]["seed"] for group in groups} == {0, 1}
    for group in groups:
        assert group["sessions"][0]["status"] == "STATUS_SUCCESS"
        values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
        assert 0 < values["loss/validation"] < 10


@pytest.fixture(scope="module")
def bare(runs, tmp_path_factory) -> Iterator[str]:
    """TensorBoard on a run that has a plot, and nothing for any of the tabs."""
    folder = tmp_path_factory.mktemp("bare")
    board = Board(folder / "char" / "tensorboard", 0)
    board.image(0, "plots/learning_curves", (runs / "char/plots/learning_curves.png").read_bytes())
    board.close()
    with serving(folder, folder / "said.txt", 1) as address:
        yield address


@pytest.fixture(scope="module")
def page() -> Iterator[Tab]:
    if find_browser() is None:
        pytest.skip("no Chromium here")
    with browsing() as tab:
        equip(tab)
        yield tab


def charts_shown(page: Tab, plugin: str) -> list[Any]:
    """The names of the categories, and the charts of the first."""
    categories, charts = page.evaluate(f"[board.categories(), board.{plugin}()]")
    first = categories[0] if categories else ""
    return [*categories, *(chart for chart in charts if in_category(chart[:-1], first))]


def table_shown(page: Tab) -> list[Any]:
    header, *rows = page.evaluate("board.table()") or [[]]
    if not set(COLUMNS) <= set(header):
        return []
    shown = [dict(zip(header, map(number_or_text, row), strict=True)) for row in rows]
    return [[row[name] for name in COLUMNS] for row in shown]


def number_or_text(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


CONTENT = {
    "scalars": (scalars_listed, lambda page: charts_shown(page, "scalars")),
    "histograms": (histograms_listed, lambda page: charts_shown(page, "histograms")),
    "distributions": (distributions_listed, lambda page: charts_shown(page, "distributions")),
    "graphs": (
        lambda server: children(graph_names(server), ""),
        lambda page: sorted(page.evaluate("board.labels()")),
    ),
    "projector": (points_listed, lambda page: page.evaluate("board.points()")),
    "hparams": (hparams_listed, table_shown),
}
"""Of each tab what the server has for it, and what is read from the page."""


@pytest.mark.full
@pytest.mark.parametrize("tab", CONTENT)
def test_the_tab_shows_what_the_server_has(server, page, tmp_path, tab):
    wanted, shown = CONTENT[tab]
    open_tab(page, server, tab)
    found = seen(lambda: shown(page), wanted(server))
    picture(page, tmp_path / f"{tab}.png")
    assert found == wanted(server)
    assert found
    assert not page.evaluate("board.notices()")


@pytest.mark.full
@pytest.mark.parametrize("tab", CONTENT)
def test_a_notice_is_no_content(bare, page, tmp_path, tab):
    open_tab(page, bare, tab)
    page.wait("board.notices().length > 0")
    page.screenshot(tmp_path / f"{tab}.png")
    assert CONTENT[tab][1](page) == []


@pytest.mark.full
def test_the_projector_shows_the_words(server, runs, page, tmp_path):
    symbols = json.loads((runs / "char" / "vocabulary.json").read_text())["symbols"]
    open_tab(page, server, "projector")
    seen(lambda: page.evaluate("board.points()"), points_listed(server))
    search_words(page)
    words = sorted(map(visible, symbols))
    found = seen(lambda: sorted(page.evaluate("board.words()")), words)
    drawn = picture(page, tmp_path / "words.png")
    assert found == words
    # points that a search has found are drawn in this red, over a hundred pixels each
    assert (drawn == [250, 102, 102]).all(-1).sum() > 1000


@pytest.mark.full
@pytest.mark.parametrize(("top", "levels"), [("layer_1", 2), ("optimizer", 3)])
def test_the_graph_opens_level_by_level(server, page, tmp_path, top, levels):
    """By a double click on a node, on one inside it, on one inside that."""
    names = graph_names(server)
    deepest = max(in_category(names, top), key=lambda name: name.count("/")).split("/")
    scopes = ["/".join(deepest[:count]) for count in range(1, len(deepest))][:3]
    assert len(scopes) >= levels
    open_tab(page, server, "graphs")
    for level, scope in enumerate(scopes, start=1):
        open_node(page, scope)
        inside = children(names, scope)
        found = seen(lambda scope=scope: children(nodes_shown(page), scope), inside)
        picture(page, tmp_path / f"level_{level}.png")
        assert found == inside


def nodes_shown(page: Tab) -> list[str]:
    """Their names, one by one where TensorBoard draws several as a pile, `mul_[2-4]`. What it adds
    at the edge of a scope has ~ in its name."""
    names = []
    for name in page.evaluate("board.nodes()"):
        pile = re.fullmatch(r"(.*)\[(\d+)-(\d+)\]", name)
        if pile:
            names += [f"{pile[1]}{n}" for n in range(int(pile[2]), int(pile[3]) + 1)]
        elif "~" not in name:
            names.append(name)
    return names
