"""What a run found, written and printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrnn.runs.claims import Claim, claims_table
from jaxrnn.runs.experiment import Experiment, Report
from jaxrnn.runs.files import writing
from jaxrnn.runs.log import RunLog
from jaxrnn.runs.sampling import write_sample
from jaxrnn.runs.summary import write_summary


def finish(experiment: Experiment, config: Any, log: RunLog) -> None:
    """Reports a run whose settings are all trained; summary.json comes last of the files, and what
    is printed after it."""
    report, shown = write_report(experiment, config, log)
    print_report(report)
    print(f"summary {log.run.summary}", *shown, sep="\n")
    if report.samples:
        print(f"samples {log.run.samples}")


def write_report(experiment: Experiment, config: Any, log: RunLog) -> tuple[Report, list[str]]:
    """The same without printing, and into the TensorBoard that the run has; returns the report, and
    a line for each picture."""
    report, run = experiment.report(config, log), log.run
    for name, text in report.samples.items():
        write_sample(run, name, text)
    shown = write_pictures(report, run.path)
    if run.tensorboard.is_dir():
        from jaxrnn.runs.tensorboard.boards import show_results

        show_results(run)
    seconds = log.all_seconds
    found = (report.results, report.claims, seconds, report.tables)
    write_summary(run, experiment.name, config, *found)
    return report, shown


def write_pictures(report: Report, folder: Path) -> list[str]:
    """Writes a report's plots, arrays and pages below a folder; returns a line for each."""
    from jaxrnn.analysis.arrays import write_arrays

    shown = []
    for name, draw in report.plots.items():
        path = folder / "plots" / f"{name}.png"
        with writing(path):
            draw(path)
        shown.append(f"plot {path}")
    for name, arrays in report.arrays.items():
        path = folder / f"{name}.npz"
        with writing(path):
            write_arrays(path, arrays)
        shown.append(f"arrays {path}")
    for name, write in report.pages.items():
        path = folder / f"{name}.html"
        with writing(path):
            write(path)
        shown.append(f"page {path}")
    return shown


def print_report(report: Report) -> None:
    """The tables, the claims and the notes."""
    for table in report.tables:
        print_table(table.columns, table.rows, title=table.title)
    print_claims(report.claims)
    for note in report.notes:
        print(note)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str) -> None:
    """Prints `title`, and `rows` under `columns`; numbers come formatted."""
    from rich.markup import escape
    from rich.table import Table as Drawn

    table = Drawn()
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    print(f"\n{title}")
    _print(table)


def print_claims(claims: Sequence[Claim]) -> None:
    """Prints each claim with what was observed and whether it holds."""
    if claims:
        _print(claims_table(claims))


def _print(table: object) -> None:
    from rich.console import Console

    console = Console()
    # into a file or a pipe a table is as wide as it needs to be
    console.print(table) if console.is_terminal else Console(width=160).print(table)
