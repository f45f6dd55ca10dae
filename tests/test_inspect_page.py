"""The page in a real browser: what it shows, how it is used, and that it fetches nothing."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser_support import find_browser
from experiments_support import small_char
from inspect_support import read_as_words
from page_browser import browsing

from experiments import char, inspect
from jaxrnn.analysis.page.symbols import describe
from jaxrnn.data import words

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here"),
]

HOSTILE = (
    "<script>alert(1)</script><!-- &amp; ' \" ` {{ 7*7 }} {% x %} ]]> \\u0041 </title></style>\n"
    "\u202eabc\u202c a\u200db\u200b\ufeff e\u0301 \u05e9\u05dc\u05d5\u05dd \u0627\u0644 漢字 "
    "👩\u200d👩\u200d👧\ufe0f \u2028\u2029\t\x07\x1b\xa0\xad\n"
    "ROMEO:\nhere is 'a' \"quoted text\" (and brackets), " + "verylongline" * 20 + "\n"
)
LAGS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "train.txt").write_text(HOSTILE * 10, encoding="utf-8", newline="")
    (folder / "<b>&amp;'x.txt").write_text(HOSTILE * 2, encoding="utf-8", newline="")
    return folder


@pytest.fixture(scope="module")
def symbols():
    return list(HOSTILE * 2)


def made(folder: Path, *more: str) -> Path:
    flags = ["--run", str(folder / "run"), "--text", str(folder / "<b>&amp;'x.txt")]
    out = folder / f"out{len(more)}"
    assert inspect.main([*flags, "--lags", str(LAGS), "--out", str(out), *more]) == 0
    return out


@pytest.fixture(scope="module")
def out(folder):
    """Page and arrays of one run."""
    flags = [*small_char(folder / "train.txt"), "--cell", "lstm", "--seeds", "2"]
    assert char.main([*flags, "--epochs", "1", "--run", str(folder / "run")]) == 0
    return made(folder)


@pytest.fixture(scope="module")
def beside(out, folder):
    """A page of both seeds."""
    return made(folder, "--beside", str(folder / "run"), "--beside-member", "1")


@pytest.fixture(scope="module")
def arrays(out):
    return np.load(out / "inspect.npz")


@pytest.fixture(scope="module")
def browser():
    with browsing() as tab:
        yield tab


@pytest.fixture
def tab(browser, out):
    """The page, freshly opened; it must have complained of nothing and fetched nothing else."""
    browser.requests.clear()
    browser.look(1280, 900)
    browser.open(out / "inspect.html")
    yield browser
    assert browser.faults == []
    pages = {page.resolve().as_uri() for page in out.parent.glob("out*/inspect.html")}
    assert {url.partition("#")[0] for url in browser.requests} <= {*pages, "about:blank"}


def coloured(tab, pane: int = 0) -> dict[int, str]:
    """Symbols that have a colour, and which."""
    found = tab.evaluate(
        f"[...document.querySelectorAll('#text-{pane} .s')]"
        ".map((s, i) => [i, s.style.backgroundColor]).filter(([i, c]) => c)"
    )
    return {i: colour for i, colour in found}


def shade(colour: str) -> tuple[float, float]:
    """How far a colour is from the paper, and its place between blue and yellow."""
    light, _, b = map(float, re.findall(r"-?[\d.]+", colour))
    return 1 - light, b


def text_of(tab, selector: str) -> str:
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def test_every_symbol_is_shown_as_what_it_is(tab, symbols):
    shown = tab.evaluate("[...document.querySelectorAll('#text-0 .s')].map(s => s.textContent)")
    assert shown == [describe(symbol).shown for symbol in symbols]
    names = tab.evaluate("[...document.querySelectorAll('#text-0 .mark')].map(s => s.ariaLabel)")
    assert "right-to-left override U+202E" in names
    assert "zero width joiner U+200D" in names


def test_the_text_is_text_and_nothing_else(tab):
    """No element came out of it, in the heading or the body, and no direction was turned."""
    assert tab.evaluate("document.scripts.length") == 2
    bold = "document.querySelectorAll('b').length"
    assert tab.evaluate(f"{bold} === document.querySelectorAll('.numbers b, .snippets b').length")
    assert tab.evaluate("document.title") == "run on <b>&amp;'x.txt"
    assert text_of(tab, "h1") == "run on <b>&amp;'x.txt"
    places = tab.evaluate(
        "[...document.querySelectorAll('#text-0 .s')]"
        ".map(s => s.getClientRects()[0]).map(r => [r.top, r.left])"
    )
    for (top, left), (next_top, next_left) in itertools.pairwise(places):
        assert next_left > left or next_top > top + 10


def test_pointing_at_a_symbol_shows_what_it_depended_on(tab, arrays, symbols):
    by_lag = arrays["connectivity/square_root"]
    before = coloured(tab)
    for i in (30, 55):
        tab.hover(f"#s0-{i}")
        found = coloured(tab)
        assert found != before
        row = by_lag[i - 1]
        strongest = i - 1 - int(row.argmax())
        assert max(found, key=lambda k: shade(found[k])[0]) == strongest
        assert set(found) <= set(range(i - LAGS, i))
        assert all(row[i - 1 - k] > 0 for k in found)
        loss = arrays["predictions/loss"][i - 1]
        assert f"loss {loss:.2f} nats" in text_of(tab, ".numbers")
        assert describe(symbols[i]).name in text_of(tab, ".place")
        before = found
    tab.evaluate(
        "(document.querySelector('#measure').value = 'squared',"
        "document.querySelector('#measure').dispatchEvent(new Event('change')))"
    )
    assert coloured(tab) != before


def test_the_likeliest_symbols_and_their_probabilities(tab, arrays, folder):
    symbols = json.loads((folder / "run" / "vocabulary.json").read_text())["symbols"]
    tab.hover("#s0-40")
    rows = tab.evaluate(
        "[...document.querySelectorAll('.guesses li')].map(r =>"
        " [r.querySelector('.sym').ariaLabel, r.querySelector('.fill').style.width])"
    )
    likeliest = arrays["predictions/likeliest"][39]
    assert [row[0] for row in rows[:6]] == [describe(symbols[i]).name for i in likeliest]
    widths = [float(row[1].rstrip("%")) for row in rows[:6]]
    assert np.allclose(widths, 100 * arrays["predictions/probability"][39], atol=0.01)
    assert len(tab.evaluate("[...document.querySelectorAll('.guesses .came')].map(r => 1)")) == 1


def test_the_text_in_the_colours_of_a_unit(tab, arrays):
    tab.evaluate(
        "(document.querySelector('#unit').value = 3,"
        "document.querySelector('#unit').dispatchEvent(new Event('change')))"
    )
    values = arrays["units/layer_1/c"][:, 3]
    assert values.min() < 0 < values.max()
    found = coloured(tab)
    far = np.abs(values) > 0.2 * np.abs(values).max()
    assert set(found) >= set(np.flatnonzero(far).tolist())
    # yellower than the paper where it is above 0, bluer below
    assert all((shade(found[i])[1] > 0) == (values[i] > 0) for i in np.flatnonzero(far).tolist())
    assert f"{values.max():.2f}" in text_of(tab, ".legend")
    tab.press("]")
    assert "layer_1/c 4" in text_of(tab, "#chosen")
    assert coloured(tab) != found


def test_with_the_keyboard_alone(tab, symbols):
    tab.evaluate("document.querySelector('#text-0').focus()")
    tab.press("Home")
    tab.press("ArrowRight")
    assert tab.evaluate("document.activeElement.getAttribute('aria-activedescendant')") == "s0-1"
    tab.wait("document.querySelector('#status').textContent.includes('predicted with')")
    assert describe(symbols[1]).name in text_of(tab, "#status")
    tab.press("ArrowDown")
    line = symbols.index("\n")
    assert int(tab.evaluate("document.querySelector('.at').dataset.i")) > 1
    tab.press("ArrowUp")
    assert tab.evaluate("document.querySelector('.at').dataset.i") == "1"
    for _ in range(3):
        tab.press("ArrowRight", shift=True)
    assert tab.evaluate("document.querySelectorAll('[aria-selected=true]').length") == 4
    tab.wait("document.querySelector('#feature').value === 'stretch'")
    assert tab.evaluate("document.querySelectorAll('#found tbody tr').length") > 0
    tab.press("Escape")
    assert tab.evaluate("document.querySelectorAll('[aria-selected=true]').length") == 0
    tab.press("s")
    assert tab.evaluate("document.querySelector('input[name=mode]:checked').value") == "surprise"
    assert len(coloured(tab)) > line


def test_units_that_follow_a_stretch(tab, arrays):
    tab.drag("#s0-20", "#s0-25")
    assert tab.evaluate("document.querySelectorAll('.s.in').length") == 6
    tab.wait("document.querySelector('#found-note').textContent.startsWith('6 symbols')")
    name, gap = tab.evaluate(
        "(r => [r.querySelector('.link').textContent, r.cells[1].textContent])"
        "(document.querySelector('#found tbody tr'))"
    )
    best = -np.inf
    inside, around = slice(20, 26), [16, 17, 18, 19, 26, 27, 28, 29]
    for values in (arrays["units/layer_1/h"], arrays["units/layer_1/c"]):
        share = (values - values.min(0)) / (values.max(0) - values.min(0))
        above = share[inside].min(0) - share[around].max(0)
        below = share[around].min(0) - share[inside].max(0)
        best = max(best, above.max(), below.max())
    assert abs(float(gap.replace("−", "-")) - best) < 0.011
    tab.click("#found tbody .link")
    assert name in text_of(tab, "#chosen")
    assert tab.evaluate("document.body.dataset.mode") == "units"


def test_units_that_follow_a_feature(tab, arrays, symbols):
    tab.evaluate(
        "(f => { f.value = 'own'; f.dispatchEvent(new Event('change'));"
        "const e = document.querySelector('#expression'); e.value = 'very|line';"
        "e.dispatchEvent(new Event('input')); })(document.querySelector('#feature'))"
    )
    feature = np.zeros(len(symbols))
    for match in re.finditer("very|line", "".join(symbols)):
        feature[match.start() : match.end()] = 1
    best = max(
        abs(np.corrcoef(values[:, unit], feature)[0, 1])
        for values in (arrays["units/layer_1/h"], arrays["units/layer_1/c"])
        for unit in range(values.shape[1])
    )
    shown = text_of(tab, "#found tbody tr td:nth-child(2)").replace("−", "-")
    assert abs(abs(float(shown)) - best) < 0.011
    tab.evaluate(
        "(e => { e.value = '(['; e.dispatchEvent(new Event('input')); })"
        "(document.querySelector('#expression'))"
    )
    assert "cannot be read" in text_of(tab, "#found-note")


def test_a_view_can_be_noted_down(tab, out):
    tab.evaluate("document.querySelector('#text-0').focus()")
    tab.press("ArrowRight")
    tab.press("u")
    fragment = tab.evaluate("location.hash")
    at, seen = tab.evaluate("document.querySelector('.at').dataset.i"), coloured(tab)
    tab.open(out / "inspect.html", fragment)
    assert tab.evaluate("document.querySelector('.at').dataset.i") == at
    assert coloured(tab) == seen


def test_on_a_phone(tab, out):
    tab.look(390, 844, touch=True)
    tab.open(out / "inspect.html")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    before = coloured(tab)
    tab.touch("#s0-40")
    tab.wait("document.querySelector('.at').dataset.i === '40'")
    assert coloured(tab) != before


def test_the_text_stands_out_from_every_colour(tab, out):
    """A contrast of at least 4.5 to 1 (WCAG AA) of text and of what is said in grey, in the light
    and in the dark."""
    papers = set()
    for dark in (False, True):
        tab.look(1280, 900, dark=dark)
        names = ["ink", "quiet", "paper", "ground", "warm", "cold"]
        colours = {
            name: tab.evaluate(
                f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"
            )
            for name in names
        }
        papers.add(colours["paper"])
        for back in ("paper", "ground", "warm", "cold"):
            assert contrast(colours["ink"], colours[back]) >= 4.5, (dark, back)
        assert contrast(colours["quiet"], colours["paper"]) >= 4.5
        assert contrast(colours["quiet"], colours["ground"]) >= 4.5
    assert len(papers) == 2


def contrast(one: str, other: str) -> float:
    def luminance(colour):
        parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return float((high + 0.05) / (low + 0.05))


def test_every_control_has_a_name(tab):
    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "combobox", "textbox", "spinbutton", "checkbox", "radio", "listbox"}
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] in controls
    ]
    assert {role for role, _ in seen} >= {"button", "combobox", "radio", "listbox"}
    assert all(name for _, name in seen), seen


def test_words(tab, folder):
    """Known ones and unknown ones; the space between them is not one of the symbols."""
    text = "Here is the rose , by any other name , says Romeo . " * 3
    run = read_as_words(folder / "run", folder / "words", "here is the name by rose , .")
    path = folder / "words.txt"
    path.write_text(text, encoding="utf-8")
    flags = ["--run", str(run), "--text", str(path), "--out", str(folder / "out_words")]
    assert inspect.main(flags) == 0
    tab.open(folder / "out_words" / "inspect.html")
    shown = tab.evaluate("[...document.querySelectorAll('#text-0 .s')].map(s => s.textContent)")
    assert shown == words(text)
    strange = tab.evaluate("[...document.querySelectorAll('.s.unknown')].map(s => s.textContent)")
    assert set(strange) == {"any", "other", "says", "romeo"}
    tab.evaluate(
        "(f => { f.value = 'own'; f.dispatchEvent(new Event('change'));"
        "const e = document.querySelector('#expression'); e.value = 'rose , by';"
        "e.dispatchEvent(new Event('input')); })(document.querySelector('#feature'))"
    )
    assert f"above 0 at 9 of {len(shown)} symbols" in text_of(tab, "#found-note")


def test_a_text_of_two_characters(tab, folder):
    tab.open(made(folder, "--length", "2") / "inspect.html")
    tab.hover("#s0-1")
    assert coloured(tab).keys() == {0}


def test_two_runs_side_by_side(tab, beside):
    tab.open(beside / "inspect.html")
    first, second = (np.load(beside / f"inspect{end}.npz") for end in ("", "_beside"))
    tab.hover("#s1-50")
    assert tab.evaluate("[...document.querySelectorAll('.at')].map(s => s.id)") == [
        "s0-50",
        "s1-50",
    ]
    tab.click("input[value=difference] + span")
    here, there = coloured(tab, 0), coloured(tab, 1)
    apart = first["predictions/loss"] - second["predictions/loss"]
    clear = np.flatnonzero(np.abs(apart) > 0.1 * np.abs(apart).max())
    assert len(clear) > 10
    for i in (clear + 1).tolist():
        assert (shade(here[i])[1] > 0) == (apart[i - 1] > 0)
        assert (shade(there[i])[1] > 0) == (apart[i - 1] < 0)


def test_a_picture_of_it(tab, tmp_path):
    tab.screenshot(tmp_path / "page.png")
    import matplotlib.image

    drawn = np.asarray(matplotlib.image.imread(tmp_path / "page.png"))
    assert drawn.shape[:2] == (900, 1280)
    assert len(np.unique(drawn.reshape(-1, drawn.shape[2]), axis=0)) > 50
