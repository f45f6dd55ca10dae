"""A manifest that leads nowhere, and one that may not be read."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from jaxrnn.runs import checkpoints
from jaxrnn.runs.checkpoints import MANIFEST, restore_latest, save_checkpoint
from jaxrnn.runs.manifests import signed

TREE = {"w": jnp.ones(2)}


@pytest.fixture
def two(tmp_path):
    for step in (3, 5):
        save_checkpoint(tmp_path, step, TREE, {}, keep=2)
    return tmp_path


def test_a_link_to_nothing_is_damage_that_is_said(two):
    manifest = two / "0000000005" / MANIFEST
    manifest.unlink()
    manifest.symlink_to("nowhere")
    warnings = []
    found = restore_latest(two, TREE, warnings.append)
    assert found is not None
    assert found[0] == 3
    (warning,) = warnings
    assert "checkpoint 5 is damaged" in warning
    assert "link to nothing" in warning
    assert "falling back to checkpoint 3" in warning


FIELDS = {
    "step is '5'": ("step", "5"),
    "record is []": ("record", []),
    "record.log_lines is 1.5": ("record", {"log_lines": 1.5}),
    "record.seconds is 'x'": ("record", {"seconds": "x"}),
    "record.belongs_to is 'nan'": ("record", {"belongs_to": "nan"}),
    "record.belongs_to.vocabulary is missing": ("record", {"belongs_to": {"config": {}}}),
    "record.beside is 'x'": ("record", {"beside": "x"}),
    "leaves is None": ("leaves", None),
    "leaves['w'] is 3": ("leaves", {"['w']": 3}),
    "leaves['w'].dtype is missing": ("leaves", {"['w']": {"type": "", "shape": []}}),
    "leaves['w'].shape is ['2']": (
        "leaves",
        {"['w']": {"type": "", "dtype": "", "shape": ["2"]}},
    ),
    "files.a is True": ("files", {"a": True}),
}


@pytest.mark.parametrize("fault", FIELDS)
def test_a_field_of_another_kind_is_damage_that_is_named(fault, two):
    """Also where whoever wrote it wrote its sha256 too."""
    path, (name, value) = two / "0000000005" / MANIFEST, FIELDS[fault]
    content = json.loads(path.read_text()) | {name: value}
    del content["sha256"]
    path.write_text(signed(content))
    warnings = []
    found = restore_latest(two, TREE, warnings.append)
    assert found is not None
    assert found[0] == 3
    (warning,) = warnings
    assert f"{path}: {fault}); falling back to checkpoint 3" in warning


@pytest.mark.parametrize("what", ["manifest", "array"])
def test_what_may_not_be_read_is_not_called_damaged(what, two, monkeypatch):
    """Nothing is passed over, so that nothing is trained anew."""

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    if what == "manifest":
        monkeypatch.setattr(Path, "read_bytes", refuse)
    else:
        monkeypatch.setattr(checkpoints, "sha256_of", refuse)
    with pytest.raises(PermissionError, match=r"checkpoint 5 cannot be read .* make it readable"):
        restore_latest(two, TREE, pytest.fail)
