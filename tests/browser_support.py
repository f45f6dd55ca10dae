"""A headless browser for tests that look at a page: found, and how it is started."""

import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# without a window, as root, without a graphics card (WebGL is computed), quiet on the network
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
    "--force-color-profile=srgb",
    "--enable-unsafe-swiftshader",
)


def find_browser() -> Path | None:
    """The Chromium of this machine, or None. A test without one is skipped:
    `@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")`."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return None if found is None else Path(found)


def browser_command(profile: Path, *arguments: str) -> list[str]:
    """How the browser is started, with a folder of its own for what it remembers: two of them run
    beside each other."""
    browser = find_browser()
    assert browser is not None, "ask find_browser first"
    return [str(browser), *FLAGS, f"--user-data-dir={profile}", *arguments]
