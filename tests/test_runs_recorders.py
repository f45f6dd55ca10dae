"""Callbacks of a researcher's own: what they are told, and that none of their errors costs a run
anything."""

import importlib.util
import json
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from experiments_support import SMALL_TOY, error_of, files_of, logged
from trained_runs import OFTEN, toy_run, trained

from experiments import toy
from jaxrnn import runs
from jaxrnn.base import TrainState
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.recorder import Recorder
from jaxrnn.runs.user_recorders import Sheltered

PAGE = (Path(__file__).parent.parent / "docs" / "callbacks.md").read_text(encoding="utf-8")
EXAMPLES = {
    code.split("\n")[0][2:]: code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S)
}
STATE = TrainState._make([None] * len(TrainState._fields))
METHODS = [name for name in vars(Recorder) if not name.startswith("_")]

NOTES = """
import json
from beside import WHERE
from jaxrnn.runs import Recorder


class Notes(Recorder):
    def __init__(self, run, setting, seeds):
        self.path, self.setting, self.seeds = run.path / WHERE, setting, seeds

    def note(self, *said):
        with open(self.path, "a") as file:
            file.write(json.dumps([self.setting, *said]) + "\\n")

    def begin(self, step, state):
        self.note("begin", step, len(self.seeds))

    def line(self, member, step, numbers):
        self.note("line", self.seeds[member], step, numbers["seconds"])

    def end(self, step, state):
        self.note("end", step)

    def close(self):
        self.note("close")


def breaks(run, setting, seeds):
    class Breaks(Notes):
        def line(self, member, step, numbers):
            raise RuntimeError("no such\\nluck")

    return Breaks(run, setting, seeds)
"""


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes.py").write_text(NOTES)
    (tmp_path / "beside.py").write_text('WHERE = "notes.jsonl"\n')
    return tmp_path / "notes.py"


def test_callbacks_hear_of_everything_and_one_that_fails_costs_nothing(
    notes, tmp_path, tmp_path_factory, capsys
):
    """Two at once: one notes all lines; one breaks at its first, in each of the two settings."""
    run = tmp_path / "run"
    given = ["--recorder", f"{notes}:Notes", f"{notes}:breaks"]
    trained(toy, [*SMALL_TOY, *OFTEN, *given], run)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "recorder" in line]
    assert len(warnings) == 2
    for line in warnings:
        assert line.startswith(f"warning: --recorder {notes}:breaks failed in line")
        assert "RuntimeError: no such luck" in line
    told = [json.loads(line) for line in (run / "notes.jsonl").read_text().splitlines()]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    heard = [said for said in told if said[1] == "line"]
    assert heard == [
        [line["setting"], "line", line["seed"], line["step"], line["seconds"]] for line in lines
    ]
    for setting in ("steps_2_state_2", "steps_3_state_3"):
        mine = [said[1:] for said in told if said[0] == setting and said[1] != "line"]
        assert [said[0] for said in mine] == ["begin", "begin", "close", "end", "close"]
    # the run is the one that nobody followed
    without = toy_run(tmp_path_factory)
    assert logged(run) == logged(without)
    more = files_of(run).keys() - files_of(without).keys()
    # Orbax gives its data files names of their own
    assert {name for name in more if not name.startswith("checkpoints/")} == {"notes.jsonl"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["{folder}/none.py:f"], "none.py does not exist; give the file that holds the factory"),
        (["{folder}/notes.py:missing"], "has no factory 'missing'"),
        (["{folder}/notes.py"], "names no factory; give path/to/file.py:factory"),
        (["{folder}/broken.py:f"], "fails when it is run: ZeroDivisionError"),
        (["{folder}/notes.py:Notes"] * 2, "is given twice; give it once"),
        (["{folder}/notes.py:Notes", "--no-cell-code"], "is code; leave one of them out"),
    ],
)
def test_what_names_no_callback_is_refused_before_anything_is_done(given, said, notes, capsys):
    folder, run = notes.parent, notes.parent / "run"
    (folder / "broken.py").write_text("1 / 0\n")
    flags = [word.format(folder=folder) for word in given]
    line = error_of(capsys, toy.main, [*SMALL_TOY, "--run", run, "--recorder", *flags])
    assert "--recorder" in line
    assert said in line
    assert not run.exists()


@pytest.mark.parametrize("method", METHODS)
def test_an_error_anywhere_is_one_warning_and_the_last_word(method, capsys):
    """Even one that would end the program; then it is closed and told nothing more."""
    heard = []

    def hearing(name):
        def hear(self, *arguments):
            heard.append(name)
            if name == method:
                raise SystemExit(3)

        return hear

    made = type("Made", (Recorder,), {name: hearing(name) for name in METHODS})
    follower = Sheltered("my.py:made", made)
    arguments = {"begin": (0, STATE), "line": (0, 1, {}), "chunk": (1, STATE)}
    arguments |= {"epoch": (1, STATE, np.zeros(1)), "end": (1, STATE)}
    for name in METHODS:
        getattr(follower, name)(*arguments.get(name, ()))
    (line,) = capsys.readouterr().err.splitlines()
    where = "when it begins" if method == "begin" else f"in {method}"
    assert f"my.py:made failed {where}" in line
    at = METHODS.index(method) + 1
    assert heard == [*METHODS[:at], *["close"][: method != "close"]]


def test_what_is_no_callback_is_said_and_ctrl_c_is_heard(capsys, monkeypatch):
    follower = Sheltered("my.py:made", dict)
    follower.begin(0, STATE)
    follower.line(0, 1, {})
    assert "it made a dict; return a jaxrnn.runs.Recorder" in capsys.readouterr().err

    class Stops(Recorder):
        def flush(self):
            raise KeyboardInterrupt

    class Fails(Recorder):
        def flush(self):
            raise OSError("full")

    follower = Sheltered("my.py:made", Stops)
    follower.begin(0, STATE)
    with pytest.raises(KeyboardInterrupt):
        follower.flush()
    monkeypatch.setenv("JAXRNN_TRACEBACK", "1")
    follower = Sheltered("my.py:made", Fails)
    follower.begin(0, STATE)
    with pytest.raises(OSError, match="full"):
        follower.flush()


def test_the_page_names_every_method_and_its_examples_are_short():
    assert all(f"| `{name}(" in PAGE for name in METHODS)
    assert set(EXAMPLES) == {"to_wandb.py", "to_mlflow.py"}
    assert all(len(code.splitlines()) <= 35 for code in EXAMPLES.values())


def followed(name: str, folder: Path):
    """The recorder of an example after two lines of two seeds."""
    (folder / name).write_text(EXAMPLES[name], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name[:-3], folder / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    run.config.write_text(json.dumps({"config": {"learning_rate": 0.01, "cells": []}}))
    recorder: runs.Recorder = module.recorder(run, "gru", [3, 4])
    for step, loss in ((10, 2.5), (20, 1.5)):
        for member in (0, 1):
            recorder.line(member, step, {"loss": loss + member, "seconds": 1.0})
    recorder.flush()
    recorder.end(20, STATE)
    recorder.close()
    return recorder, run.path


@pytest.mark.full
@pytest.mark.filterwarnings("default")
def test_mlflow_has_what_the_example_told_it(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    followed("to_mlflow.py", tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlflow.db")
    found = {run.info.run_name: run for run in client.search_runs(["0"])}
    assert set(found) == {"gru, seed 3", "gru, seed 4"}
    for member, run in enumerate(found[name] for name in sorted(found)):
        assert run.info.status == "FINISHED"
        assert run.data.params["learning_rate"] == "0.01"
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(each.step, each.value) for each in history] == [
            (10, 2.5 + member),
            (20, 1.5 + member),
        ]


def records_of(log: bytes) -> Iterator[bytes]:
    """Of a short file in LevelDB's log format behind a header of 7 bytes: each record after its
    checksum (4 bytes), length (2) and kind (1: the whole record)."""
    place = 7
    while place + 7 <= len(log):
        size, kind = struct.unpack_from("<HB", log, place + 4)
        if place + 7 + size > len(log):
            return  # it is still being written
        assert kind == 1
        yield log[place + 7 : place + 7 + size]
        place += 7 + size


@pytest.mark.full
@pytest.mark.filterwarnings("default")
def test_wandb_has_what_the_example_told_it(tmp_path):
    pytest.importorskip("wandb")
    protos = pytest.importorskip("wandb.proto.wandb_internal_pb2")

    _, run = followed("to_wandb.py", tmp_path)
    found = {}
    for path in run.glob("wandb/offline-run-*/*.wandb"):
        records, waited = [], 0.0
        # what writes the file ends a moment after `finish`
        while not any(record.HasField("exit") for record in records) and waited < 60:
            time.sleep(0.2)
            waited += 0.2
            records = [protos.Record.FromString(data) for data in records_of(path.read_bytes())]
        rows = [record.history.item for record in records if record.HasField("history")]
        named = [{i.key or ".".join(i.nested_key): i.value_json for i in row} for row in rows]
        losses = [(int(row["_step"]), float(row["loss"])) for row in named]
        found[path.stem.removeprefix("run-")] = losses
    assert found == {
        "run-gru-seed-3": [(10, 2.5), (20, 1.5)],
        "run-gru-seed-4": [(10, 3.5), (20, 2.5)],
    }
