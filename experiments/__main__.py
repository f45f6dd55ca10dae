"""Lists the experiments: question, command and usual run time, from their docstrings."""

import ast
import re
from pathlib import Path


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


def main() -> None:
    for name, path in experiments().items():
        found = describe(path)
        print(f"{name}: {found['title']}")
        for label in ("Question", "Command", "Run time"):
            print(f"    {label + ':':10} {found.get(label, '-')}")


if __name__ == "__main__":
    main()
