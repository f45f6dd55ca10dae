"""Every registered cell and every combinator under every law."""

import functools
import importlib.util
import inspect
from pathlib import Path

import pytest

from jaxrnn import compose
from jaxrnn.cells import CELLS
from jaxrnn.laws import (
    CELL_LAWS,
    COMPOSITIONS,
    LEARNING_LAWS,
    PRECISION_LAWS,
    REFERENCE_LAWS,
    Subject,
    subject,
)

REFERENCES = Path(__file__).parent / "reference"


def reference(name: str):
    """The module tests/reference/NAME.py."""
    spec = importlib.util.spec_from_file_location(f"reference_{name}", REFERENCES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def tried(name: str) -> Subject:
    return subject((CELLS | COMPOSITIONS)[name])


@pytest.mark.parametrize("law", CELL_LAWS)
@pytest.mark.parametrize("name", [*CELLS, *COMPOSITIONS])
def test_laws(name, law):
    CELL_LAWS[law](tried(name))


@pytest.mark.parametrize("law", REFERENCE_LAWS)
@pytest.mark.parametrize("name", CELLS)
def test_transcription(name, law):
    REFERENCE_LAWS[law](tried(name)._replace(reference=reference(name)))


@pytest.mark.parametrize("law", PRECISION_LAWS)
@pytest.mark.parametrize("name", [*CELLS, *COMPOSITIONS])
def test_precision(name, law):
    PRECISION_LAWS[law](tried(name))


@pytest.mark.slow
@pytest.mark.parametrize("law", LEARNING_LAWS)
@pytest.mark.parametrize("name", CELLS)
def test_learning(name, law):
    LEARNING_LAWS[law](tried(name))


def test_no_cell_escapes():
    assert {path.stem for path in REFERENCES.glob("*.py")} == set(CELLS)
    assert not CELLS.keys() & COMPOSITIONS.keys()


def test_no_combinator_escapes():
    public = {
        name
        for name, function in inspect.getmembers(compose, inspect.isfunction)
        if function.__module__ == compose.__name__ and not name.startswith("_")
    }
    assert public | {"pausable"} == set(COMPOSITIONS)
