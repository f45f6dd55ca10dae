"""Checkpoints come back bit for bit or not at all, and no failure costs an earlier one."""

import contextlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from tiers import mostly_full

from jaxrnn.runs import checkpoints
from jaxrnn.runs.checkpoints import (
    DamagedCheckpoint,
    committed_steps,
    restore_checkpoint,
    restore_latest,
    save_checkpoint,
)
from jaxrnn.runs.files import DiskFull

with contextlib.suppress(RuntimeError):  # the backend is up already
    jax.config.update("jax_num_cpu_devices", 2)


class Pair(NamedTuple):
    first: Any
    second: Any


def make_tree(seed: int = 0) -> dict[str, Any]:
    key = jax.random.key(seed)
    return {
        "params": {"lstm/0": {"w_ih": jax.random.normal(key, (3, 8))}, 'odd "name".': jnp.ones(2)},
        "opt_state": (Pair(jnp.int32(seed), jnp.array([True, False])), (), None, [jnp.ones(())]),
        "carry": jax.random.normal(key, (2, 5)).astype(jnp.bfloat16),
        "key": key,
        "keys": jax.random.split(jax.random.key(seed, impl="rbg"), 3),
        "empty": jnp.zeros((0, 3), jnp.bfloat16),
        "bytes": jnp.arange(5, dtype=jnp.uint8),
        "special": jnp.array([jnp.nan, jnp.inf, -0.0, 1e-45]),
    }


def as_bytes(leaf: Any) -> tuple[str, Any, bytes]:
    data = (
        leaf if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jax.random.key_data(leaf)
    )
    return str(leaf.dtype), leaf.shape, np.asarray(data).tobytes()


def assert_same(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert list(map(as_bytes, jax.tree.leaves(a))) == list(map(as_bytes, jax.tree.leaves(b)))


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


# The round trip


@pytest.mark.parametrize("abstract", [False, True])
def test_round_trip_is_bit_equal_and_quiet(tmp_path, capfd, caplog, abstract):
    tree, record = make_tree(), {"log": 123, "best": float("nan"), "texts": ["é", None]}
    folder = save_checkpoint(tmp_path, 7, tree, record)
    assert folder == tmp_path / "0000000007"
    like = jax.eval_shape(make_tree) if abstract else make_tree(1)
    restored, recorded = restore_checkpoint(tmp_path, 7, like)
    assert_same(restored, tree)
    assert recorded == record | {"best": None}
    assert jax.random.key_impl(restored["keys"]) == "rbg"
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


arrays = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.int32, np.bool_, np.float16, np.uint32, np.complex64]),
    shape=hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
)
trees = st.recursive(
    arrays | st.none(),
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.tuples(inner, inner).map(lambda two: Pair(*two))
    ),
    max_leaves=6,
)


@settings(max_examples=25)
@given(tree=trees)
def test_any_tree_comes_back(tmp_path_factory, tree):
    directory = tmp_path_factory.mktemp("any")
    save_checkpoint(directory, 0, tree, {})
    restored, _ = restore_checkpoint(directory, 0, tree)
    assert_same(restored, tree)


def test_a_saved_tree_can_still_be_donated(tmp_path):
    tree = {"w": jnp.ones((64, 64))}
    save_checkpoint(tmp_path, 1, tree, {})
    restored, _ = restore_checkpoint(tmp_path, 1, tree)
    double = jax.jit(lambda tree: {"w": 2 * tree["w"]}, donate_argnums=0)
    for donated in (tree, restored):
        assert double(donated)["w"][0, 0] == 2
        assert donated["w"].is_deleted()


@pytest.mark.skipif(len(jax.devices()) < 2, reason="one device")
def test_sharded_leaves_come_back_on_one_device(tmp_path):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("batch",))
    split = jax.NamedSharding(mesh, jax.P("batch"))
    whole = jax.NamedSharding(mesh, jax.P())
    tree = {
        "carry": jax.device_put(jnp.arange(8.0).reshape(4, 2), split),
        "params": jax.device_put(jnp.arange(3.0), whole),
        "key": jax.device_put(jax.random.key(1), whole),
    }
    save_checkpoint(tmp_path, 1, tree, {})
    restored, _ = restore_checkpoint(tmp_path, 1, tree)
    assert_same(restored, tree)
    assert {leaf.sharding for leaf in jax.tree.leaves(restored)} == {
        jax.sharding.SingleDeviceSharding(jax.devices()[0])
    }
    # ... also in a process that has only one device.
    code = f"""
import jax, jax.numpy as jnp
from pathlib import Path
from jaxrnn.runs.checkpoints import restore_checkpoint
struct = jax.ShapeDtypeStruct
like = {{"carry": struct((4, 2), "float32"), "params": struct((3,), "float32"),
         "key": struct((), jax.random.key(0).dtype)}}
tree, _ = restore_checkpoint(Path({str(tmp_path)!r}), 1, like)
print(jax.device_count(), tree["carry"].sum(), tree["params"].sum())
"""
    devices = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    environment = {name: value for name, value in os.environ.items() if name not in devices}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1 28.0 3.0\n", "")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            {"carry": jnp.ones((2, 5))},
            r"\['carry'\] is bfloat16\[2, 5\], here it is float32\[2, 5\]",
        ),
        ({"key": jnp.zeros(2, jnp.uint32)}, r"\['key'\] is key<fry>\[\], here it is uint32\[2\]"),
        (
            {"keys": jax.random.split(jax.random.key(0), 3)},
            r"is key<rbg>\[3\], here it is key<fry>",
        ),
        ({"bytes": jnp.zeros(6, jnp.uint8)}, r"is uint8\[5\], here it is uint8\[6\]"),
        ({"new": jnp.zeros(6)}, r"\['new'\] is absent, here it is float32\[6\]"),
        ({"bytes": None}, r"\['bytes'\] is uint8\[5\], here it is absent"),
        ({"opt_state": ()}, r"\['opt_state'\].* is .*, here it is absent"),
    ],
)
def test_another_tree_is_refused(tmp_path, edit, message):
    save_checkpoint(tmp_path, 3, make_tree(), {})
    for restore in (
        lambda like: restore_checkpoint(tmp_path, 3, like),
        lambda like: restore_latest(tmp_path, like, pytest.fail),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            restore(make_tree() | edit)
        assert not isinstance(caught.value, DamagedCheckpoint)
        assert "\n" not in str(caught.value)
        assert "checkpoint 3 does not fit" in str(caught.value)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (3.0, r"leaf \['x'\] is the float 3\.0; make it an array"),
        ("text", "is the str 'text'"),
        (np.zeros(2), "is float64, which JAX would narrow"),
    ],
)
def test_leaves_that_would_not_come_back_are_refused(tmp_path, leaf, message):
    with pytest.raises(ValueError, match=message):
        save_checkpoint(tmp_path, 3, {"x": leaf}, {})
    assert committed_steps(tmp_path) == []


def test_nonsense_numbers(tmp_path):
    for step, keep in [(-1, 2), (1, 0)]:
        with pytest.raises(ValueError, match=f"step is {step} and keep is {keep}; give step >= 0"):
            save_checkpoint(tmp_path, step, {}, {}, keep=keep)


# Which checkpoints there are


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_keep(tmp_path, keep):
    for step in range(0, 70, 10):
        save_checkpoint(tmp_path, step, {"x": jnp.int32(step)}, {}, keep=keep)
        assert committed_steps(tmp_path) == list(range(0, step + 1, 10))[-keep:]
    assert len(list(tmp_path.iterdir())) == keep


def test_none_at_all(tmp_path):
    assert committed_steps(tmp_path / "no") == []
    assert restore_latest(tmp_path / "no", {}, pytest.fail) is None
    save_checkpoint(tmp_path, 4, {}, {})
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 3; there are: 4"):
        restore_checkpoint(tmp_path, 3, {})


@pytest.mark.parametrize("step", [10, 15, 20])
def test_a_save_at_an_existing_or_lower_step_really_saves(tmp_path, step):
    for earlier in (5, 10, 20):
        save_checkpoint(tmp_path, earlier, make_tree(earlier), {}, keep=3)
    save_checkpoint(tmp_path, step, make_tree(99), {"new": True}, keep=3)
    assert committed_steps(tmp_path) == [s for s in (5, 10, 20) if s < step] + [step]
    found = restore_latest(tmp_path, make_tree(), pytest.fail)
    assert found is not None
    assert found[0] == step
    assert_same(found[1], make_tree(99))
    assert found[2] == {"new": True}


def test_strangers_in_the_folder_stay(tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "0000000003").mkdir()  # killed before its commit, by a version that renamed nothing
    save_checkpoint(tmp_path, 1, {}, {})
    save_checkpoint(tmp_path, 2, {}, {}, keep=1)
    assert sorted(os.listdir(tmp_path)) == ["0000000002", "best", "notes.txt"]


# Damage


def assert_damaged(directory: Path, step: int, file: Path) -> None:
    with pytest.raises(DamagedCheckpoint, match=f"checkpoint {step} is damaged") as caught:
        restore_checkpoint(directory, step, make_tree())
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_flipped_bit_is_detected(tmp_path):
    folder = save_checkpoint(tmp_path, 1, make_tree(), {"log": 17, "best": 1.5, "é": "ABCDEF"})
    draw = random.Random(0)
    for file in files_of(folder):
        sound = file.read_bytes()
        assert sound, f"{file} is empty: nothing to flip"
        for bit in draw.sample(range(8 * len(sound)), min(40, 8 * len(sound))):
            altered = bytearray(sound)
            altered[bit // 8] ^= 1 << bit % 8
            file.write_bytes(altered)
            assert_damaged(tmp_path, 1, file)
        file.write_bytes(sound)
    restore_checkpoint(tmp_path, 1, make_tree())


def test_truncation_and_deletion_are_detected(tmp_path):
    folder = save_checkpoint(tmp_path, 1, make_tree(), {})
    for file in files_of(folder):
        sound = file.read_bytes()
        for size in {0, 1, len(sound) // 2, len(sound) - 1} - {len(sound)}:
            file.write_bytes(sound[:size])
            assert_damaged(tmp_path, 1, file)
        if file.name != "manifest.json":  # without it, the folder never was a checkpoint
            file.unlink()
            assert_damaged(tmp_path, 1, file)
        file.write_bytes(sound)


def test_fall_back_says_so(tmp_path):
    for step in (100, 110, 123):
        save_checkpoint(tmp_path, step, make_tree(step), {"log": step}, keep=3)
    cut = files_of(tmp_path / "0000000123" / "state")[-1]
    cut.write_bytes(cut.read_bytes()[:-1])
    (tmp_path / "0000000110" / "manifest.json").write_text("{}")
    warnings: list[str] = []
    found = restore_latest(tmp_path, make_tree(), warnings.append)
    assert found is not None
    assert (found[0], found[2]) == (100, {"log": 100})
    assert_same(found[1], make_tree(100))
    assert warnings == [
        f"checkpoint 123 is damaged ({cut} altered or cut short); falling back to checkpoint 110",
        f"checkpoint 110 is damaged ({tmp_path / '0000000110' / 'manifest.json'} unreadable); "
        "falling back to checkpoint 100",
    ]
    # Going on from 100 replaces the damaged ones.
    save_checkpoint(tmp_path, 110, make_tree(1), {}, keep=3)
    assert committed_steps(tmp_path) == [100, 110]
    (tmp_path / "0000000100" / "manifest.json").write_text("{}")
    (tmp_path / "0000000110" / "manifest.json").write_text("{}")
    with pytest.raises(DamagedCheckpoint, match="no sound checkpoint is left"):
        restore_latest(tmp_path, make_tree(), warnings.append)


def test_what_orbax_cannot_read_is_one_line(tmp_path, monkeypatch, capfd, caplog):
    folder = save_checkpoint(tmp_path, 1, make_tree(), {})
    manifest = json.loads((folder / "manifest.json").read_text())
    monkeypatch.setattr(checkpoints, "_verified", lambda folder: manifest)
    for name in ("_METADATA", "manifest.ocdbt"):
        (folder / "state" / name).write_bytes(b"damaged")
        assert_damaged(tmp_path, 1, folder / "state")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_orbax_may_not_log(caplog):
    logger = logging.getLogger("absl")
    with checkpoints._quiet():
        logger.error("from a thread of Orbax")
    logger.error("from elsewhere")
    assert caplog.messages == ["from elsewhere"]


# A process killed while saving


class Killed(BaseException):
    pass


def kill_at(monkeypatch: pytest.MonkeyPatch, operation: int) -> None:
    """From the given file operation of a save on, nothing happens any more, as after SIGKILL."""
    done = 0

    def watch(owner: Any, name: str, partly: Any = None) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            if done == operation and partly is not None:
                partly(*args)
            if done >= operation:
                raise Killed
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    def half_removed(folder: Path) -> None:
        for file in files_of(folder)[1::2]:
            file.unlink()

    watch(checkpoints, "_write_arrays", lambda new, _: (new / "state").mkdir())
    watch(checkpoints, "write_atomic", lambda path, _: path.with_name(".part").touch())
    watch(checkpoints, "sync")
    watch(checkpoints, "_remove")
    watch(shutil, "rmtree", lambda folder: half_removed(folder))
    watch(Path, "rename")


@pytest.mark.parametrize("step", [15, 20, 30])
@pytest.mark.parametrize("keep", mostly_full([1, 2], 2))
def test_killed_at_any_point(tmp_path, step, keep):
    old, new = {"x": jnp.arange(3)}, {"x": jnp.arange(3) + 1}
    operation, completed = 0, False
    for earlier in (10, 20):
        save_checkpoint(tmp_path / "before", earlier, old, {"tree": "old"}, keep=keep)
    while not completed:
        operation += 1
        directory = shutil.copytree(tmp_path / "before", tmp_path / str(operation))
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, operation)
            try:
                save_checkpoint(directory, step, new, {"tree": "new"}, keep=keep)
                completed = True
            except Killed:
                pass
        found = restore_latest(directory, old, pytest.fail)
        assert found is not None
        at, tree, record = found
        assert (at, record["tree"]) in [(20, "old"), (step, "new")]
        assert_same(tree, new if record["tree"] == "new" else old)
        if completed:
            assert record["tree"] == "new"
        # The next process tidies up.
        save_checkpoint(directory, 40, new, {}, keep=keep)
        assert committed_steps(directory) == ([at, 40] if keep == 2 else [40])
        assert sorted(os.listdir(directory)) == [f"{s:010d}" for s in committed_steps(directory)]
    assert operation > 10


def test_sigkill(tmp_path):
    code = f"""
import jax.numpy as jnp
from pathlib import Path
from jaxrnn.runs.checkpoints import restore_latest, save_checkpoint
like = {{"x": jnp.zeros(20_000, jnp.int32)}}
found = restore_latest(Path({str(tmp_path)!r}), like, print)
for step in range(found[0] if found else 0, 10**6):
    save_checkpoint(Path({str(tmp_path)!r}), step, {{"x": like["x"] + step}}, {{"log": step}})
    print(step, flush=True)
"""
    draw = random.Random()  # any moment will do
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            printed = int(process.stdout.readline())
            time.sleep(draw.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            last = [int(line) for line in process.stdout.read().split()]
        found = restore_latest(tmp_path, {"x": jnp.zeros(20_000, jnp.int32)}, pytest.fail)
        assert found is not None
        step, tree, record = found
        assert step in (max([printed, *last]), max([printed, *last]) + 1)
        assert record == {"log": step}
        assert (tree["x"] == step).all()


# A full disk


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (os, "posix_fallocate", OSError(28, "No space left on device")),
        (checkpoints, "_write_arrays", ValueError("RESOURCE_EXHAUSTED: No space left on device")),
        (os, "replace", OSError(122, "Disk quota exceeded")),
    ],
)
def test_full_disk_leaves_earlier_checkpoints(tmp_path, monkeypatch, owner, name, error):
    save_checkpoint(tmp_path, 1, make_tree(1), {})

    def full(*args: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(DiskFull, match=r"the disk is full: could not write .*0000000002"):
            save_checkpoint(tmp_path, 2, make_tree(2), {})
    assert os.listdir(tmp_path) == ["0000000001"]
    save_checkpoint(tmp_path, 2, make_tree(2), {})
    assert committed_steps(tmp_path) == [1, 2]


@pytest.fixture
def small_disk(tmp_path):
    def mount(size: int) -> Path:
        folder = tmp_path / str(size)
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user cannot mount a small file system")
        mounted.append(folder)
        return folder

    mounted: list[Path] = []
    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk, capfd):
    # The first checkpoint fits; the second is written once by luck, then not: whatever the size,
    # it is there or refused in one line, without a word from Orbax's threads.
    tree = {f"w{i}": np.random.default_rng(i).bytes(4000) for i in range(40)}
    tree = {name: jnp.frombuffer(data, jnp.uint8) for name, data in tree.items()}
    refused = []
    for size in range(600, 1100, 60):
        disk = small_disk(size)
        save_checkpoint(disk, 1, tree, {})
        expected = [1, 2]
        try:
            save_checkpoint(disk, 2, tree, {})
        except DiskFull:
            refused.append(size)
            expected = [1]
        assert committed_steps(disk) == expected
        assert len(os.listdir(disk)) == len(expected)
        restore_checkpoint(disk, expected[-1], tree)
    assert 0 < len(refused) < len(range(600, 1100, 60))
    assert capfd.readouterr() == ("", "")


def test_manifest_is_plain_json(tmp_path):
    folder = save_checkpoint(tmp_path, 1, {"x": jnp.ones(2)}, {"log": 5})
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["step"] == 1
    assert manifest["record"] == {"log": 5}
    assert sorted(manifest["files"]) == [
        f.relative_to(folder).as_posix() for f in files_of(folder) if f.name != "manifest.json"
    ]
