"""What a page of TensorBoard shows, read from its elements: whether there is content, where a
picture would be pleased with a notice.

Its plugins are custom elements, whose own elements stand in shadow roots; the projector is a page
in a frame. `LIBRARY` finds elements in all of them, and reads the tabs.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from page_browser import Tab

LIBRARY = r"""
globalThis.board = (() => {
  const inside = root => [...root.querySelectorAll("*")].flatMap(element => [
    element,
    ...(element.shadowRoot ? inside(element.shadowRoot) : []),
    ...(element.contentDocument ? inside(element.contentDocument) : []),
  ]);
  const isShown = element => element.getClientRects().length > 0;
  const text = element => element.textContent.replace(/\s+/g, " ").trim();
  const isDrawn = path => path.getTotalLength() > 5;

  // every element that is shown below `root`, wherever it stands
  const everywhere = (selector, root = document) =>
    [...(root.shadowRoot ? inside(root.shadowRoot) : []), ...inside(root)].filter(
      element => element.matches(selector) && isShown(element),
    );

  const inputs = element => everywhere("input", element);

  // the middle of an element in the window, whatever frame it is in; null where there is none
  const placed = element => {
    if (!element) return null;
    const box = element.getBoundingClientRect();
    let [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    for (let view = element.ownerDocument.defaultView; view.frameElement; view = view.parent) {
      const frame = view.frameElement.getBoundingClientRect();
      [x, y] = [x + frame.left, y + frame.top];
    }
    return [x, y];
  };

  const cards = (card, line) =>
    everywhere(card).map(each => [
      ...everywhere(".heading-label", each).map(text).sort(),
      everywhere(line, each).filter(isDrawn).length,
    ]);

  const table = () => {
    const rows = new Map();
    for (const content of everywhere("vaadin-grid-cell-content")) {
      const row = content.assignedSlot?.parentElement.parentElement;
      rows.set(row, [...(rows.get(row) ?? []), content.innerText.trim()]);
    }
    return [...rows.values()].filter(row => row.some(cell => cell));
  };

  const node = name => everywhere("g.node").find(each => each.dataset.name === name);

  return {
    notices: () => everywhere("h3").map(text).filter(each => /^No .* (was|were) found/.test(each)),
    categories: () => everywhere("button.heading .category-name").map(text),
    scalars: () => cards("tf-scalar-card", ".line-plot:not(.ghost) path.line"),
    histograms: () => cards("tf-histogram-loader", "g.histogram path.outline"),
    distributions: () => cards("tf-distribution-loader", "path.area"),
    table,
    points: () => everywhere("span.numDataPoints, span.dim").map(each => Number(text(each))),
    words: () => everywhere(".matches-list .row .label").map(text),
    labels: () => everywhere("g.node > text.nodelabel").map(each => each.firstChild.data),
    nodes: () => everywhere("g.node").map(each => each.dataset.name),
    placeOf: (selector, word) => placed(everywhere(selector).find(each => text(each) === word)),
    placeOfSearch: () => placed(everywhere("vz-projector-input").flatMap(inputs)[0]),
    placeOfNode: name => placed(node(name)?.querySelector(":scope > .nodeshape")),
    isOnTop: (name, [x, y]) => {
      let found = document.elementFromPoint(x, y);
      while (found?.shadowRoot?.elementFromPoint(x, y)) {
        found = found.shadowRoot.elementFromPoint(x, y);
      }
      return Boolean(node(name)?.contains(found));
    },
  };
})();
"""


def equip(page: Tab) -> None:
    """Every document that the page opens has `LIBRARY`; the window holds a page of charts."""
    page.ask("Page.addScriptToEvaluateOnNewDocument", source=LIBRARY)
    page.look(1400, 1800)


def open_tab(page: Tab, server: str, name: str) -> None:
    """Opens a tab of TensorBoard; what it shows comes by and by, see `seen`."""
    page.ask("Page.navigate", url="about:blank")
    page.ask("Page.navigate", url=f"{server}/#{name}")
    page.wait(f"location.href.startsWith({json.dumps(server)}) && globalThis.board !== undefined")


def seen(read: Callable[[], Any], wanted: Any, seconds: float = 30) -> Any:
    """What is read, once it is what is wanted or the time is over."""
    end = time.monotonic() + seconds
    while (found := read()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return found


def picture(page: Tab, path: Path) -> np.ndarray:
    """Writes a picture for a person to look at, once nothing moves any more, or after a moment: the
    projector turns for ever. Returns it, [height, width, 3], 0 to 255."""
    before = b""
    for _ in range(8):
        page.screenshot(path)
        if (now := path.read_bytes()) == before:
            break
        before = now
        time.sleep(0.1)
    return (np.asarray(matplotlib.image.imread(path))[:, :, :3] * 255).round()


def click_at(page: Tab, place: tuple[float, float], times: int = 1) -> None:
    """With the mouse, so many times in a row."""
    x, y = place
    page.mouse("mouseMoved", place)
    for count in range(1, times + 1):
        for kind in ("mousePressed", "mouseReleased"):
            button = {"button": "left", "buttons": 1, "clickCount": count}
            page.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)


def open_node(page: Tab, name: str) -> None:
    """A double click on a node of the graph, which is brought into view where it is not."""
    place = _still(page, _place_of_node(name))
    if not page.evaluate(f"board.isOnTop({json.dumps(name)}, {place})"):
        click_at(page, page.evaluate("board.placeOf('.icon-button', 'Fit to screen')"))
        place = _still(page, _place_of_node(name))
    click_at(page, place, times=2)


def search_words(page: Tab) -> None:
    """Looks for every word in the projector: those that the regular expression `.` finds."""
    click_at(page, _still(page, "board.placeOf('paper-button#regex', '.*')"))
    click_at(page, _still(page, "board.placeOfSearch()"))
    page.ask("Input.insertText", text=".")


def _place_of_node(name: str) -> str:
    return f"board.placeOfNode({json.dumps(name)})"


def _still(page: Tab, place: str, seconds: float = 30) -> Any:
    """Where something is, once it has come to rest: TensorBoard moves what it opens."""
    end, before = time.monotonic() + seconds, None
    while (now := page.evaluate(place)) is None or now != before:
        assert time.monotonic() < end, f"{place} never rests"
        before = now
        time.sleep(0.15)
    return now
