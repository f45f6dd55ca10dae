"""`jaxrnn`, or `python -m experiments`: lists the experiments, with question, command and usual run
time from their docstrings, and runs one of them or a tool.

`jaxrnn NAME ...` is `python -m experiments.NAME ...`. Nothing but Python's own modules is imported
here, so that the list is there at once.
"""

import ast
import importlib.metadata
import os
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

ELSEWHERE = {"check": "jaxrnn.check"}
"""Commands that are no experiments."""
CHECK = "Hold the laws that every recurrent cell must obey against one cell."


def describe(path: Path) -> dict[str, str]:
    """The first line of a module's docstring as "title", and its labelled paragraphs.

    The module is read and not imported, so that the list is there at once.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title, *lines = docstring.splitlines() or [""]
    found, label = {"title": title}, None
    for line in lines:
        labelled = re.match(r"([A-Z][a-z ]+):\s+(.*)", line)
        if labelled:
            label, text = labelled.groups()
            found[label] = text
        elif label and line.startswith("  "):
            found[label] += " " + line.strip()
        else:
            label = None
    return found


def experiments() -> dict[str, Path]:
    """Every experiment by name, with the file that holds its docstring: a module of this folder,
    or a package in it."""
    here = Path(__file__).parent
    found = {path.stem: path for path in here.glob("[a-z]*.py")}
    found |= {path.parent.name: path for path in here.glob("[a-z]*/__init__.py")}
    return dict(sorted(found.items()))


def module_of(command: str) -> str:
    """The module behind `jaxrnn COMMAND`.

    Raises:
      ValueError: there is none.
    """
    name = command.replace("-", "_")
    if name in experiments():
        return f"experiments.{name}"
    if command not in ELSEWHERE:
        known = ", ".join([*(each.replace("_", "-") for each in experiments()), *ELSEWHERE])
        raise ValueError(f"{command[:80]!r} is no command; give one of {known}")
    return ELSEWHERE[command]


def as_typed(text: str) -> str:
    """A command of a docstring, for who typed `jaxrnn`."""
    if Path(sys.argv[0]).stem != "jaxrnn":
        return text
    return re.sub(
        r"python -m experiments\.(\w+)",
        lambda found: "jaxrnn " + found[1].replace("_", "-"),
        text,
    )


def show() -> None:
    for name, path in experiments().items():
        found = describe(path)
        print(f"{name.replace('_', '-')}: {found['title']}")
        for label in ("Question", "Command", "Run time"):
            print(f"    {label + ':':10} {as_typed(found.get(label, '-'))}")
    print(f"check: {CHECK}\n    jaxrnn check path/to/file.py:factory\n")
    print("  `jaxrnn NAME` is `python -m experiments.NAME`; `jaxrnn NAME --help` lists its flags")


def main(argv: Sequence[str] | None = None) -> int:
    """Lists the commands, or runs one; returns the exit code."""
    first, *rest = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if first in ("-h", "--help"):
        try:
            show()
            sys.stdout.flush()
        except BrokenPipeError:  # e.g. `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if first == "--version":
        print(importlib.metadata.version("jaxrnn"))
        return 0
    try:
        module = module_of(first)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sys.argv[1:] = rest
    # as `python -m` would: what a module does about signals there, it does here
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
