"""What is printed where not every character can be shown, and after what."""

import ast
import io
import sys
from pathlib import Path

import pytest

import experiments
import jaxrnn
from jaxrnn.runs.claims import Claim
from jaxrnn.runs.command import guarded
from jaxrnn.runs.report import print_claims, print_table

TEXT = "Łódź “☃” \udce9 é"
FILES = sorted(
    path for package in (experiments, jaxrnn) for path in Path(package.__path__[0]).rglob("*.py")
)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_stream_shows_what_it_can(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)

    def body():
        print_table([TEXT], [[TEXT]], title=TEXT)
        print_claims([Claim(TEXT, TEXT, TEXT, TEXT, True)])
        print(TEXT, flush=True)

    assert guarded(body) == 0
    assert stream.errors == "strict"
    shown = stream.buffer.getvalue().decode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
    assert TEXT.encode(encoding, "replace").decode(encoding) in shown


def test_a_stream_of_another_kind_is_let_alone(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert guarded(lambda: print(TEXT)) == 0
    assert stream.getvalue() == TEXT + "\n"


def test_a_summary_is_written_before_anything_of_it_is_printed():
    """Whoever closes the pipe has it all the same; of every experiment, and of the benchmark."""
    found = []
    for file in FILES:
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = {
                node.func.id: node.lineno
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            written = calls.get("write_summary") or calls.get("write_report")
            if written is None:
                continue
            found.append(function.name)
            for name, line in calls.items():
                if name.startswith(("print_", "_print")) and name != "print_case":
                    assert line > written, f"{file}, {name}"
    assert sorted(found) == ["_finish", "finish", "inspect", "run", "write_report"]
