"""What every page begins with: one base sheet of styles and one head, whose policy lets nothing run
but the page's own script, and nothing be fetched."""

import base64
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any


def rendered(
    template: str,
    sheet: str,
    title: str,
    script: str = "",
    *,
    filters: Mapping[str, Callable[..., Any]] = {},
    **values: Any,
) -> str:
    """A page, of a template that begins its HTML with `{% include "head.html" %}`.

    Args:
      template: Jinja's; what is put into it is escaped.
      sheet: styles of its own, behind those of all pages.
      title: of the page.
      script: the one that may run; "" has none.
      filters: of the template, by name.
      values: what else it names.
    """
    # jinja2 is imported when a page is made
    from jinja2 import DictLoader, Environment, StrictUndefined

    here = files(__package__ or "jaxrnn.analysis.page")
    head, base = ((here / name).read_text(encoding="utf-8") for name in ("head.html", "base.css"))
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=DictLoader({"head.html": head}),
    )
    environment.filters |= filters
    style = base + sheet
    return environment.from_string(template).render(
        title=title,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script) if script else "",
        **values,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
