"""The dashboard: what TensorBoard's server lists of a run, and shows in a browser."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from browser_support import find_browser, screenshot
from experiments_support import error_of, small_char, write_text

from experiments import char, dashboard


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A run of two seeds, of 28 training steps each, and nothing else."""
    folder = tmp_path_factory.mktemp("runs")
    flags = [
        *small_char(write_text(folder)),
        "--tensorboard",
        "--tensorboard-every",
        "6",
        "--seeds",
        "2",
    ]
    assert char.main([*flags, "--run", str(folder / "runs" / "char")]) == 0
    return folder / "runs"


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
    """TensorBoard's own server on the run, as the dashboard starts it."""
    pytest.importorskip("tensorboard")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = dashboard.command(dashboard.Arguments(runs, port))
    said = tmp_path_factory.mktemp("server") / "said.txt"
    with said.open("wb") as log, subprocess.Popen(arguments, stdout=log, stderr=log) as process:
        address = f"http://localhost:{port}"
        try:
            for _ in range(600):
                if process.poll() is not None:
                    pytest.fail(f"TensorBoard ended: {said.read_text()}")
                try:
                    if len(json.loads(fetch(f"{address}/data/runs"))) == 3:
                        break
                except OSError:
                    pass
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()


def fetch(address: str, body: dict[str, Any] | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def listed(server: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return json.loads(fetch(f"{server}/data/plugin/{path}", body))


SEEDS = {f"char/tensorboard/seed_{seed}" for seed in (0, 1)}
ONE = "char/tensorboard/seed_0"


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


def test_the_server_lists_the_graph(server):
    assert listed(server, "graphs/info")[ONE]["run_graph"]
    query = f"run={ONE}&conceptual=false&limit_attr_size=1024&large_attrs_key=_too_large_attrs"
    graph = fetch(f"{server}/data/plugin/graphs/graph?{query}").decode()
    for name in ("layer_1/params/w_hh", "optimizer/layer_1/w_hh/new_params", "loss/log"):
        assert f'"{name}"' in graph


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


TABS = ["scalars", "histograms", "distributions", "graphs", "projector", "hparams"]


def picture(server: str, tab: str, path: Path) -> np.ndarray:
    """The page of a tab below its head line, [height, width, 3]."""
    screenshot(f"{server}/#{tab}", path, milliseconds=15_000)
    return np.asarray(matplotlib.image.imread(path))[150:, :, :3]


@pytest.fixture(scope="module")
def empty(server, tmp_path_factory) -> np.ndarray:
    """The page of a tab for which there is nothing: no run has a sound."""
    return picture(server, "audio", tmp_path_factory.mktemp("shots") / "empty.png")


@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")
@pytest.mark.parametrize("tab", TABS)
def test_the_tab_has_content_in_a_browser(server, empty, tmp_path, tab):
    drawn = picture(server, tab, tmp_path / f"{tab}.png")
    assert drawn.shape == empty.shape
    assert (np.abs(drawn - empty).max(-1) > 0.1).mean() > 0.005
