"""The report as one HTML page, as Markdown, and as JSON.

The page needs no network and no script: its pictures are in it, and its own policy lets nothing be
fetched.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.report.markdown import as_markdown
from jaxrnn.analysis.page.pictures import Picture, packed_picture
from jaxrnn.analysis.page.sheet import rendered
from jaxrnn.runs.files import write_atomic, write_json, writing

MOST_BYTES = 9_000_000
"""Of the pictures in the page: with its tables, below 10 MB."""
WIDTHS = (1300, 900, 600)
"""Pixels of a picture at most; the first at which all of them have room."""


def write_pages(found: Mapping[str, Any], out: Path) -> list[str]:
    """Writes report.json, report.md and report.html into a folder; returns a line for each."""
    write_json(out / "report.json", found)
    write_atomic(out / "report.md", as_markdown(found, out))
    page = out / "report.html"
    data = render(found).encode("utf-8", "surrogatepass")
    with writing(page):
        write_atomic(page, data)
    lines = [f"report {out / name}" for name in ("report.json", "report.md")]
    return [*lines, f"report {page}  {len(data) / 1e6:.1f} MB"]


def render(found: Mapping[str, Any]) -> str:
    """The page."""
    here = files(__package__ or "experiments.report")
    return rendered(
        (here / "template.html").read_text(encoding="utf-8"),
        (here / "page.css").read_text(encoding="utf-8"),
        found["title"],
        filters={"clock": clock, "number": is_number, "slug": slug},
        report=found,
        pictures=embedded([p for each in _parts(found) for p in each["pictures"]]),
    )


def _parts(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*found["sources"], found["beyond"]]


def embedded(
    pictures: Sequence[Mapping[str, Any]],
    most_bytes: int = MOST_BYTES,
    widths: Sequence[int] = WIDTHS,
) -> dict[str, Picture]:
    """Of each picture that can be read what stands in the page, by its path: all of them as wide as
    they have room together. Where they have none at the least width, the last are left out."""
    paths, kept = dict.fromkeys(picture["path"] for picture in pictures), {}
    for width in widths:
        kept = {path: packed for path in paths if (packed := _packed(Path(path), width))}
        if sum(len(packed.data) for packed in kept.values()) <= most_bytes:
            return kept
    while sum(len(packed.data) for packed in kept.values()) > most_bytes:
        kept.popitem()
    return kept


def _packed(path: Path, width: int) -> Picture | None:
    try:
        return packed_picture(path, width)
    except OSError:
        return None


def clock(seconds: float | None) -> str:
    """A time for a reader."""
    return "–" if seconds is None else str(timedelta(seconds=round(seconds)))


def is_number(text: str) -> bool:
    """Whether a column of such texts is aligned as numbers are."""
    return text[:1].isdigit() or (text[:1] in "-−[" and len(text) > 1) or text in ("-", "inf", "")


def slug(text: str) -> str:
    """A name as part of an address."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
