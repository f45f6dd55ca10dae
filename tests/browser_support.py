"""A headless browser for tests that look at a page: found, started and asked for a picture."""

import shutil
import subprocess
import tempfile
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


def screenshot(
    page: str | Path,
    picture: Path,
    *,
    width: int = 1400,
    height: int = 900,
    milliseconds: int = 10_000,
) -> None:
    """Writes `picture`, a PNG of the page as it is after `milliseconds` of its own time, which
    passes faster than ours and not while it waits for the network.

    Args:
      page: an address, or a file.
    """
    address = page.resolve().as_uri() if isinstance(page, Path) else page
    with tempfile.TemporaryDirectory() as profile:
        command = browser_command(
            Path(profile),
            f"--window-size={width},{height}",
            f"--virtual-time-budget={milliseconds}",
            f"--screenshot={picture}",
            address,
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), f"no picture of {address}: {done.stderr[-2000:]}"
