"""Files of a run: JSON is valid whatever it holds, and a write that fails leaves what was there."""

import errno
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn.runs import files
from jaxrnn.runs.preparing import require_memory

ENOSPC = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def null_for_nan(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: null_for_nan(item) for key, item in value.items()}
    return [null_for_nan(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_any_value_is_valid_json_and_comes_back(value):
    text = files.to_json(value)
    text.encode()
    assert json.loads(text, parse_constant=pytest.fail) == null_for_nan(value)


def test_lone_surrogates_and_other_text(tmp_path):
    value = {"é": "□ \ud800", "path": Path("a/b")}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == {"é": "□ \ud800", "path": "a/b"}
    assert "é" in files.to_json({"é": 1})


def test_arrays_scalars_and_named_tuples():
    class Pair(NamedTuple):
        a: object
        b: object

    value = Pair(jnp.float32(0.1), np.arange(3)), np.float32("nan"), jnp.ones(2, jnp.bfloat16)
    expected = [{"a": float(np.float32(0.1)), "b": [0, 1, 2]}, None, [1.0, 1.0]]
    assert json.loads(files.to_json(value)) == expected
    with pytest.raises(ValueError, match="a set cannot be written as JSON"):
        files.to_json({"x": {1}})


def test_order_is_kept():
    assert list(json.loads(files.to_json({"b": 1, "a": 2}))) == ["b", "a"]


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "config.json"
    files.write_atomic(path, "old")
    monkeypatch.setattr(os, call, raising(ENOSPC))
    with pytest.raises(files.DiskFull) as caught:
        files.write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["config.json"]
    message = str(caught.value)
    assert "disk is full" in message
    assert str(path) in message
    assert "\n" not in message
    assert caught.value.errno == errno.ENOSPC


def test_other_errors_are_not_called_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_atomic(tmp_path / "no" / "file", "")


def test_reserve_claims_nothing_in_the_end(tmp_path, monkeypatch):
    files.reserve(tmp_path / "space", 1 << 20)
    assert not any(tmp_path.iterdir())
    monkeypatch.setattr(os, "posix_fallocate", raising(ENOSPC), raising=False)
    with pytest.raises(OSError, match="No space left"):
        files.reserve(tmp_path / "space", 1)
    monkeypatch.setattr(os, "posix_fallocate", raising(OSError(errno.EOPNOTSUPP, "")))
    files.reserve(tmp_path / "space", 1)
    monkeypatch.delattr(os, "posix_fallocate")
    files.reserve(tmp_path / "space", 1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a": 1}}', b"[" * 100_000])
def test_malformed_json_is_one_line(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json is not valid JSON .*; restore") as caught:
        files.read_json(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"y\.json does not exist"):
        files.read_json(tmp_path / "y.json")


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(tmp_path / "x") == known


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe, loop, dangling = (tmp_path / name for name in ("pipe", "loop", "dangling"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nothing")
    for path, kind in (
        (Path("/dev/null"), "a device"),
        (pipe, "a pipe"),
        (tmp_path, "a folder"),
        (loop, "a link that leads nowhere"),
        (dangling, "a link that leads nowhere"),
    ):
        before = path.lstat().st_mode
        with pytest.raises(files.NotAFile, match=f"{path} is {kind}, not a file; give the name"):
            files.write_atomic(path, "text")
        assert path.lstat().st_mode == before


def test_a_link_to_a_file_stays_one(tmp_path):
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("old")
    link.symlink_to(there)
    files.write_atomic(link, "new")
    assert link.is_symlink()
    assert there.read_text() == "new"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_folder_that_cannot_be_synced_stops_nothing(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", raising(OSError(number, os.strerror(number))))
    files.sync(tmp_path)
    monkeypatch.setattr(os, "fsync", raising(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(OSError, match="Input/output"):
        files.sync(tmp_path)


def test_a_system_that_does_not_tell_its_memory(monkeypatch):
    monkeypatch.setattr(os, "sysconf", raising(ValueError("unrecognized configuration name")))
    require_memory(2**60, "a training step")
    monkeypatch.delattr(os, "sysconf")
    require_memory(2**60, "a training step")


def test_what_killed_processes_left_is_removed(tmp_path):
    left = [tmp_path / ".environment.json.26284", tmp_path / "samples" / ".epoch_002.txt.1646"]
    stays = [tmp_path / ".lock", tmp_path / "metrics.jsonl", tmp_path / ".2", tmp_path / "a.1646"]
    (tmp_path / "samples").mkdir()
    for path in (*left, *stays):
        path.touch()
    files.remove_leftovers(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in stays)
