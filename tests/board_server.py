"""What TensorBoard's own server has of a run of two seeds: what each tab of its page must show."""

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments import dashboard

SEEDS = {f"char/tensorboard/seed_{seed}" for seed in (0, 1)}
ONE = "char/tensorboard/seed_0"


@contextlib.contextmanager
def serving(runs: Path, said: Path, count: int) -> Iterator[str]:
    """TensorBoard's own server on `count` folders of events, as the dashboard starts it."""
    pytest.importorskip("tensorboard")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = dashboard.command(dashboard.Arguments(runs, port))
    with said.open("wb") as log, subprocess.Popen(arguments, stdout=log, stderr=log) as process:
        address = f"http://localhost:{port}"
        try:
            for _ in range(600):
                if process.poll() is not None:
                    pytest.fail(f"TensorBoard ended: {said.read_text()}")
                try:
                    if len(json.loads(fetch(f"{address}/data/runs"))) == count:
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


def tags_of(server: str, plugin: str) -> list[str]:
    return sorted(listed(server, f"{plugin}/tags")[ONE])


def categories_of(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tag.partition("/")[0] for tag in tags))


def in_category(tags: list[str], name: str) -> list[str]:
    """Those below `name`."""
    return [tag for tag in tags if tag.startswith(f"{name}/")]


def scalars_listed(server: str) -> list[Any]:
    """The categories, and the charts of the first: a line for each seed."""
    tags = tags_of(server, "scalars")
    names = categories_of(tags)
    return [*names, *([tag, f"tag: {tag}", len(SEEDS)] for tag in in_category(tags, names[0]))]


def histograms_listed(server: str) -> list[Any]:
    """The categories, and the charts of the first, one for each seed: an outline for each look."""
    tags = tags_of(server, "histograms")
    names, looks = categories_of(tags), f"histograms/histograms?run={ONE}&tag={tags[0]}"
    return [*names, *charts_of_seeds(in_category(tags, names[0]), len(listed(server, looks)))]


def distributions_listed(server: str) -> list[Any]:
    """The same, with the bands between the nine percentiles that TensorBoard draws."""
    tags = tags_of(server, "distributions")
    names = categories_of(tags)
    return [*names, *charts_of_seeds(in_category(tags, names[0]), 8)]


def charts_of_seeds(tags: list[str], lines: int) -> list[Any]:
    """The first page of them: a dozen."""
    charts = [
        [*sorted([tag, seed, f"tag: {tag}"]), lines] for tag in tags for seed in sorted(SEEDS)
    ]
    return charts[:12]


def graph_names(server: str) -> list[str]:
    graph = fetch(f"{server}/data/plugin/graphs/graph?run={ONE}&conceptual=false").decode()
    return re.findall(r'^  name: "(.*)"$', graph, re.MULTILINE)


def children(names: list[str], scope: str) -> list[str]:
    """What stands in a scope; "" is the whole graph."""
    prefix = f"{scope}/" if scope else ""
    return sorted(
        {
            prefix + name.removeprefix(prefix).partition("/")[0]
            for name in names
            if name.startswith(prefix)
        }
    )


def points_listed(server: str) -> list[Any]:
    """How many words there are, and how many numbers of each."""
    (shape, *_) = (
        each["tensorShape"] for each in listed(server, f"projector/info?run={ONE}")["embeddings"]
    )
    return shape


COLUMNS = ("Trial ID", "seed", "batch_size", "capitals", "cell", "loss/training")


def hparams_listed(server: str) -> list[Any]:
    """A row for each seed: numbers as numbers, of five digits, and a text."""
    rows = []
    for seed, run in enumerate(sorted(SEEDS)):
        loss = listed(server, f"scalars/scalars?run={run}&tag=loss/training")[-1][2]
        rows.append([run, seed, 8, "symbols", "elman", pytest.approx(loss, rel=1e-4)])
    return rows
