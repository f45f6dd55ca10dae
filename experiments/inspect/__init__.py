"""See what a trained model does with a text: one page to explore, figures, and the arrays.

Question:  What did each prediction of a run depend on, and what do its units follow?
Command:   python -m experiments.inspect --run DIR
Expected:  inspect.html, one page that needs no network and no server; inspect.npz, all arrays;
           plots/inspect_*.png. With `--beside DIR` two runs side by side, and what Distill's
           article says of GRU and LSTM. In a folder of its own, --out, also summary.json
Run time:  about half a minute for 5,000 characters and a model of 300,000 parameters
"""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import jax

from experiments.inspect.claims import claims, row_of
from experiments.inspect.config import Config, check
from experiments.inspect.figures import check_figures, figures
from experiments.inspect.reading import arrays_of, read_run, read_symbols, source_of
from jaxrnn.analysis.page import Reading, units_kept, write_page
from jaxrnn.runs import Report
from jaxrnn.runs.command import run_command
from jaxrnn.runs.directory import RunDirectory, open_run
from jaxrnn.runs.environment import describe_environment, recorded_x64
from jaxrnn.runs.files import write_json, writing
from jaxrnn.runs.report import print_claims, write_pictures
from jaxrnn.runs.summary import write_summary

__all__ = ["Config", "inspect", "main"]


def inspect(config: Config) -> None:
    """Reads the text with one run or two and writes page, arrays and figures.

    Raises:
      ValueError, OSError: whatever is wrong with a flag, a run or the text, in one line.
    """
    check(config)
    start = time.perf_counter()
    sources = [source_of(config, "--run", config.run, config.member, config.setting)]
    if config.beside is not None:
        member, setting = config.beside_member, config.beside_setting
        sources.append(source_of(config, "--beside", config.beside, member, setting))
    text = read_symbols(config, sources)
    readings = [read_run(config, source, text) for source in sources]
    for reading in readings:
        check_figures(config, reading)
    _say_what_is_left_out(readings)
    rows = [row_of(*each) for each in zip(sources, readings, strict=True)]
    held = claims(rows) if len(rows) > 1 else []
    plots, arrays = {}, {}
    # a second run has files of its own
    for reading, ending in zip(readings, ["", "_beside"], strict=False):
        arrays[f"inspect{ending}"] = arrays_of(reading)
        plots |= figures(ending, config, reading)
    out = config.out or config.run
    page, names = out / "inspect.html", [source.path.resolve().name for source in sources]
    title = f"{' and '.join(names)} on {text.name}"
    with writing(page):
        size = write_page(page, title, sources[0].vocabulary.level, readings)
    print(f"page {page}  {size / 1e6:.1f} MB, {len(text.symbols):,} symbols")
    directory = RunDirectory(out)
    if not directory.config.is_file():  # a folder of its own, and no run's
        environment = describe_environment({}, 1, Path(__file__).parent)
        write_json(directory.environment, environment)
        write_summary(directory, "inspect", config, rows, held, time.perf_counter() - start)
    with warnings.catch_warnings():
        # a script that the figure's typeface does not have is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        print(*write_pictures(Report(None, plots=plots, arrays=arrays), out), sep="\n")
    print_claims(held)


def _say_what_is_left_out(readings: Sequence[Reading]) -> None:
    for reading in readings:
        kept = sum(map(len, units_kept(reading, len(readings)).values()))
        every = sum(values.shape[1] for values in reading.units.values())
        if kept < every:
            print(
                f"the page has {kept:,} of the {every:,} units of {reading.name}, those that vary "
                "the most; all are in the .npz file"
            )


def main(argv: Sequence[str] | None = None) -> int:
    def body(config: Config) -> None:
        runs = [config.run] if config.beside is None else [config.run, config.beside]
        open_run(config.run, "--run")
        with jax.enable_x64(any(map(recorded_x64, runs))):
            inspect(config)

    return run_command("experiments.inspect", Config, body, description=__doc__, argv=argv)
