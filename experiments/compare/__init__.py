"""Compare: any number of runs and sweeps beside each other, with what their seeds allow to say.

Question:  Which setting is better, how sure is that, and how much does the learning rate decide?
Command:   python -m experiments.compare RUN...
Expected:  a row for each setting: interquartile mean of its seeds with an interval, median, range,
           how probably it beats the first; windows of learning rates; plots, and one tidy CSV file
Run time:  seconds

Only runs that read the same text with the same part of it held out are compared.
"""

import csv
import io
import sys
from collections.abc import Sequence
from typing import Any

from experiments.compare.config import Config, check, made, out_of
from experiments.compare.drawing import plots
from experiments.compare.groups import Group, grouped, measured_by, pooled
from experiments.compare.reading import fields_of, read, require_alike
from experiments.compare.tables import tables
from jaxrnn import runs
from jaxrnn.runs.command import guarded, parse
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.frame import columns_of, run_paths
from jaxrnn.runs.progress import warn
from jaxrnn.runs.report import print_report, write_pictures

__all__ = ["Config", "compare", "main"]


def compare(config: Config) -> list[Group]:
    """Reads, prints, draws and writes; returns the settings that were compared.

    Raises:
      ValueError, OSError: whatever is wrong with a flag or a run, in one line.
    """
    check(config)
    paths = run_paths(config.runs)
    require_alike(paths)
    rows = [row for path in paths for row in read(path)]
    measure = measured_by(rows)
    fields = fields_of(paths)
    groups = grouped(rows, measure, fields, config.by)
    for path in dict.fromkeys(row["run"] for row in rows if not row["finished"]):
        warn(f"{path} is not finished; it is shown as far as it is")
    shown = tables(groups, measure, config.tolerance, pooled(groups, fields))
    pictures = plots(groups, measure, config.tolerance)
    print_report(runs.Report(None, tables=shown))
    out = made(out_of(config))
    table = out / "compare.csv"
    write_atomic(table, as_csv(rows))
    print(f"table {table}")
    lines = write_pictures(runs.Report(None, plots=pictures), out)
    print(*lines, sep="\n", end="\n" if lines else "")
    return groups


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """The members, one a line; what is missing is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)

    def body():
        prog = "python -m experiments.compare"
        compare(parse(Config, prog=prog, description=__doc__ or "", argv=arguments))

    return guarded(body)
