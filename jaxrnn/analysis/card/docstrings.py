"""A docstring as paragraphs of a page: equations as they stand, and addresses that can be
followed."""

import inspect
import re
from collections.abc import Sequence
from typing import NamedTuple

ADDRESS = re.compile(r"(https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)])")


class Paragraph(NamedTuple):
    """Attributes:
    parts: (text, address) in order; "" where a text leads nowhere.
    equations: whether it is shown line by line as it stands.
    """

    parts: Sequence[tuple[str, str]]
    equations: bool


def paragraphs(docstring: str) -> list[Paragraph]:
    """What blank lines divide; indented ones are equations, others run on from line to line."""
    found = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        if not block.strip():
            continue
        equations = all(line.startswith("    ") for line in block.splitlines() if line.strip())
        text = inspect.cleandoc("\n" + block) if equations else " ".join(block.split())
        text = text.replace("`", "")  # of code, in a docstring
        found.append(Paragraph(_parts(text), equations))
    return found


def _parts(text: str) -> list[tuple[str, str]]:
    return [(part, part if i % 2 else "") for i, part in enumerate(ADDRESS.split(text)) if part]
