"""Run directories are never overwritten, and the log is exactly what was flushed."""

import errno
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from jaxrnn.runs import directory
from jaxrnn.runs.directory import (
    MetricsLog,
    create_run,
    cut_log,
    default_run_path,
    open_run,
    read_metrics,
)
from jaxrnn.runs.files import DiskFull
from jaxrnn.runs.sampling import SUMS, check_samples, write_sample

PLACE = {"setting": "a", "seed": 0, "step": 1}  # what every line has


def test_a_new_run(tmp_path):
    run = create_run(tmp_path / "a" / "b")
    assert run.path.is_dir()
    names = [run.config, run.environment, run.vocabulary, run.cell, run.metrics, run.summary]
    folders = [run.checkpoints, run.tensorboard, run.plots, run.samples]
    assert [p.relative_to(run.path).as_posix() for p in names + folders] == [
        "config.json",
        "environment.json",
        "vocabulary.json",
        "cell.py",
        "metrics.jsonl",
        "summary.json",
        "checkpoints",
        "tensorboard",
        "plots",
        "samples",
    ]


def test_anything_that_exists_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ["folder", "file", "link"]:
        path = tmp_path / name
        with pytest.raises(FileExistsError) as caught:
            create_run(path)
        assert str(caught.value) == f"--run {path} exists; choose another directory"


def test_a_folder_in_which_nothing_was_written_is_taken_where_a_run_began_before(tmp_path):
    path = tmp_path / "run"
    for _ in range(2):
        assert create_run(path, begun_before=True).path == path
        (path / ".lock").touch()
    (path / "metrics.jsonl").touch()
    for where in (path, path / "metrics.jsonl"):
        with pytest.raises(FileExistsError, match=r"config.json is missing, and other files"):
            create_run(where, begun_before=True)


def test_a_sweep_is_no_run_and_has_some(tmp_path):
    (tmp_path / "sweep.json").touch()
    with pytest.raises(FileNotFoundError, match="is a sweep; give one of its runs, of which none"):
        open_run(tmp_path)
    for name in "ba":
        create_run(tmp_path / name).config.write_text("{}")
    with pytest.raises(FileNotFoundError, match=f"one of its runs, such as {tmp_path / 'a'}$"):
        open_run(tmp_path)


def test_a_run_that_exists_can_be_resumed(tmp_path):
    path = tmp_path / "run"
    create_run(path).config.write_text("{}")
    with pytest.raises(FileExistsError, match=f"choose another directory or --resume {path}"):
        create_run(path)


@pytest.mark.parametrize("name", ["file/run", "file/a/run", "x" * 300])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--run .* cannot be made: .*; choose another") as caught:
        create_run(tmp_path / name)
    assert not isinstance(caught.value, FileExistsError)
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_made(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="cannot be made: permission denied"):
        create_run(tmp_path / "run")


def test_default_paths_of_one_second_differ(tmp_path, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2024, 2, 3, 4, 5, 6)

    monkeypatch.setattr(directory, "datetime", Clock)
    names = [create_run(default_run_path("toy", tmp_path)).path.name for _ in range(3)]
    assert names == ["2024-02-03-040506", "2024-02-03-040506-2", "2024-02-03-040506-3"]
    assert default_run_path("toy").parent == Path("runs/toy")


def test_open_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; give the directory of a run"):
        open_run(tmp_path / "no")
    with pytest.raises(FileNotFoundError, match=r"not a run directory: it has no config\.json"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert open_run(tmp_path).path == tmp_path


def test_log_lines_and_cuts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = [
        PLACE | {"setting": "ab"[i % 2], "loss": float(np.float32(0.1 * i)), "é": "\ud800"}
        for i in range(6)
    ]
    log = MetricsLog(path)
    for record in records:
        log.append(record)
    log.flush()
    log.close()
    whole = path.read_bytes()
    assert read_metrics(path) == records

    cut_log(path, "b", 3)  # all there are
    assert path.read_bytes() == whole
    cut_log(path, "a", 1)  # from the middle, and b stays
    assert read_metrics(path) == [records[i] for i in (0, 1, 3, 5)]
    cut_log(path, "b", 1)
    log = MetricsLog(path)  # what was cut and is written again gives the same bytes
    for record in records[2:]:
        log.append(record)
    log.close()
    assert path.read_bytes() == whole

    with pytest.raises(ValueError, match="was damaged: it holds 3 lines of a, the checkpoint exp"):
        cut_log(path, "a", 4)
    cut_log(tmp_path / "none", "a", 0)
    path.write_bytes(whole + b'{"torn')  # a last line without its end is nobody's
    cut_log(path, "a", 3)
    assert path.read_bytes() == whole


def test_log_stays_valid_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.append(PLACE | {"loss": np.float32("nan"), "norm": np.float32(2.5), "text": "a\nb"})
    log.close()
    assert read_metrics(path) == [PLACE | {"loss": None, "norm": 2.5, "text": "a\nb"}]


def test_reading_a_torn_or_damaged_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    line = b'{"setting": "a", "seed": 0, "step": 1}\n'
    path.write_bytes(line + line + b'{"st')
    assert read_metrics(path) == [PLACE, PLACE]
    path.write_bytes(line + b'{"st\xff\n' + line)
    with pytest.raises(ValueError, match="line 2 is not valid JSON"):
        read_metrics(path)
    with pytest.raises(FileNotFoundError, match="has logged nothing"):
        read_metrics(tmp_path / "none")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_log_on_a_full_disk():
    log = MetricsLog(Path("/dev/full"))
    with pytest.raises(DiskFull, match="could not write /dev/full"):
        log.append({"loss": 1.0})
    log.close()  # what was refused is not tried again


def test_samples_are_what_was_written(tmp_path, capsys):
    run = create_run(tmp_path / "run")
    check_samples(run)  # of a run that has none
    write_sample(run, "epoch_001", "once")
    for text in ("twice", "thrice"):
        write_sample(run, "epoch_002", text)
    check_samples(run)
    assert not capsys.readouterr().err
    (run.samples / "epoch_002.txt").write_text("twice\n")
    check_samples(run)
    said = capsys.readouterr().err
    assert "'epoch_002.txt' is not as it was written, by SHA256SUMS there; restore it" in said
    write_sample(run, "epoch_002", "thrice")
    (run.samples / "epoch_001.txt").unlink()
    sums = run.samples / SUMS
    sums.write_bytes(sums.read_bytes() + b"\xff\n" + b"0" * 64 + b"  ../config.json\n")
    check_samples(run)
    assert "'epoch_001.txt' is not" in (said := capsys.readouterr().err)
    assert "nor are 2 others;" in said
