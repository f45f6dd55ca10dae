"""A card for a cell: one HTML page that says what it is and what came of it, without a script.

`drawing` turns numbers into lines of an SVG picture, `docstrings` a factory's docstring into
paragraphs; the page itself is `card.html` with its `card.css`. Text may come from users: the
template escapes it, and the page's own policy lets nothing run and nothing be fetched.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jaxrnn.analysis.card.docstrings import Paragraph, paragraphs
from jaxrnn.analysis.card.drawing import Chart, Line, drawn
from jaxrnn.analysis.page.sheet import rendered

__all__ = ["Card", "Chart", "Line", "Paragraph", "Table", "paragraphs", "render_card", "write_card"]


class Table(NamedTuple):
    """Rows under columns; entries come formatted.

    Attributes:
      title: what it shows.
      columns: the first one names the row.
      rows: as many entries as there are columns.
      note: below it; "" without.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Card(NamedTuple):
    """What a card says, in its order.

    Attributes:
      name: of the cell.
      summary: one line.
      facts: label to value, under the heading.
      text: of the docstring, what is indented apart.
      tables: what was measured.
      charts: title of a group of charts to these; a group without any is left out.
      code: title to lines that are shown as they are.
      sources: of published figures, each in a line.
    """

    name: str
    summary: str
    facts: Mapping[str, str]
    text: Sequence[Paragraph]
    tables: Sequence[Table]
    charts: Mapping[str, Sequence[Chart]]
    code: Mapping[str, str]
    sources: Sequence[str]


def render_card(card: Card) -> str:
    """The page."""
    here = files(__name__)
    return rendered(
        (here / "card.html").read_text(encoding="utf-8"),
        (here / "card.css").read_text(encoding="utf-8"),
        card.name,
        card=card,
        charts={
            title: [drawn(chart) for chart in some] for title, some in card.charts.items() if some
        },
    )


def write_card(path: Path, card: Card) -> None:
    """Writes `render_card` into a file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render_card(card).encode("utf-8", "surrogatepass"))
