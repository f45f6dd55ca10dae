"""The pages of the documentation as the tests read them: their blocks of code, with what the HTML
comment above a block says of it.

    <!-- block: full, needs torch -->    behind the mark `full`, and where the package is installed
    <!-- block: file skip.py -->         is written into that file too, for later blocks
    <!-- block: run -->                  commands that are run, and not read alone
    <!-- block: runs runs/quick -->      finds a trained run of characters there
    <!-- block: tested in tests/X.py --> is run by that file
    <!-- block: shown -->                for a reader alone: installing, other programs
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {"README.md": ROOT / "README.md"} | {
    path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))
}
WORDS = ("full", "needs", "file", "run", "runs", "tested in", "shown")
_BLOCK = re.compile(
    r"(?:<!-- (\w+): ([^\n]*?) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_COMMAND = re.compile(r"(?:^|[\s'\"])(?:jaxrnn|python3? -m (?:experiments|jaxrnn)[\w.]*)(?=\s|$)")


class Block(NamedTuple):
    """A block of code.

    Attributes:
      language: of the fence.
      source: without the fences.
      line: where it begins in the page, from 1, so that a traceback names it.
      said: what the comment above it says, word to the rest.
    """

    language: str
    source: str
    line: int
    said: dict[str, str]


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
      AssertionError: a comment with a word that means nothing.
    """
    found = []
    for match in _BLOCK.finditer(text):
        kind, words, language, source = match.groups()
        said = _said(words) if kind == "block" else {}
        found.append(Block(language, source, text.count("\n", 0, match.start(4)) + 1, said))
    return found


def _said(words: str) -> dict[str, str]:
    said = {}
    for part in words.split(", "):
        name = next((word for word in WORDS if f"{part} ".startswith(f"{word} ")), None)
        assert name is not None, f"{part!r} is none of {WORDS}"
        said[name] = part.removeprefix(name).strip()
    return said


def commands_of(source: str) -> Iterator[list[str]]:
    """The commands of this project in a block of shell: ["toy", "--preset", "smoke"], whatever
    stands before them (srun, a quotation behind `sh -c`)."""
    lines = source.replace("\\\n", " ").splitlines()
    for line in lines:
        yield from _commands_in(line)


def _commands_in(line: str) -> Iterator[list[str]]:
    words = shlex.split(line, comments=True)
    for place, word in enumerate(words):
        if " " in word and _COMMAND.search(word):
            yield from _commands_in(word.partition("=")[2] if word.startswith("--") else word)
        rest = words[place + 1 :]
        if word == "jaxrnn":
            yield _until_the_shells(rest)
        elif word == "-m" and rest and rest[0].partition(".")[0] in ("experiments", "jaxrnn"):
            module = rest[0].partition(".")[2]
            yield [*([module] if module else []), *_until_the_shells(rest[1:])]


def _until_the_shells(words: list[str]) -> list[str]:
    ends = [i for i, word in enumerate(words) if word in ("&", "|", "&&", ">", ";")]
    return words[: ends[0]] if ends else words
