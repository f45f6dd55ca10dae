"""What to look at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxrnn.base import require_positive
from jaxrnn.runs.directory import refuse_links_out

MOST_SYMBOLS = 20_000  # what a browser draws without waiting


@dataclass(frozen=True)
class Config:
    """A run, a text, and what to see of them."""

    run: Path
    """Directory of the run, of any experiment whose models read text."""
    text: Path | None = None
    """A UTF-8 file for it to read; if not given, what the run's own text has held out."""
    beside: Path | None = None
    """Directory of a second run, or the same one, to compare with; it must read alike."""
    out: Path | None = None
    """Folder for inspect.html, inspect.npz and plots/; that of the run if not given."""
    start: int = 0
    """Symbols (characters or words) of the text to leave out at its beginning."""
    length: int = 5000
    """Symbols to read, at most."""
    lags: int = 100
    """How many symbols back connectivity and the flow of gradients are followed."""
    units: tuple[str, ...] = ()
    """Values to show as units, such as "layer_2/*"; the carries if not given. A name that is not
    there is answered with all that are."""
    at: tuple[int, ...] = ()
    """Symbols, counted from 0, whose connectivity is drawn as a figure; eight of the text if not
    given."""
    draw: tuple[str, ...] = ()
    """Units, by their names on the page such as "layer_2/h 26", in whose colours the text is drawn
    as figures, around the first symbol of --at."""
    setting: str | None = None
    """Which of several settings, by name: in a comparison the cell's. The first if not given."""
    member: int = 0
    """Which seed; without --setting, the seeds of all settings count on."""
    beside_setting: str | None = None
    """The setting of the second run."""
    beside_member: int = 0
    """The seed of the second run."""
    trust: bool = False
    """Run the code of the run's own cell, where it was not written or trusted here."""
    no_cell_code: bool = False
    """Run no code that a run brings: known cells alone."""
    which: Literal["best", "last"] = "best"
    """Params with the lowest validation loss, or the last ones."""


def check(config: Config) -> None:
    """Raises:
    ValueError: a number that cannot be meant, or a place that cannot be written to."""
    require_positive(length=config.length, lags=config.lags)
    if not 2 <= config.length <= MOST_SYMBOLS:
        raise ValueError(f"--length is {config.length}; give 2 to {MOST_SYMBOLS:,} symbols")
    if config.start < 0:
        raise ValueError(f"--start is {config.start}; give 0 or more symbols to leave out")
    out = config.out or config.run
    if config.out is None:
        refuse_links_out(config.run)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give a folder")
    if config.beside is None and (config.beside_setting is not None or config.beside_member):
        raise ValueError("--beside-setting and --beside-member need --beside, a second run")
