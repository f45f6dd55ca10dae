"""Runs and sweeps beside each other, with what their seeds allow to say."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxrnn.analysis.statistics import TOLERANCE
from jaxrnn.runs.comparing.drawing import plots
from jaxrnn.runs.comparing.groups import Group, grouped, measured_by, pooled
from jaxrnn.runs.comparing.profiles import profile_table
from jaxrnn.runs.comparing.reading import fields_of, read, require_alike
from jaxrnn.runs.comparing.tables import tables
from jaxrnn.runs.experiment import Report
from jaxrnn.runs.files import write_atomic
from jaxrnn.runs.frame import columns_of, run_paths
from jaxrnn.runs.report import write_pictures

__all__ = ["TOLERANCE", "Comparison", "Group", "compare_runs", "write_comparison"]


class Comparison(NamedTuple):
    """What was compared.

    Attributes:
      groups: the members of each setting at each learning rate.
      rows: the members, as `jaxrnn.runs.results` has them.
      report: tables and plots of them, and a line of results for each group.
    """

    groups: list[Group]
    rows: list[dict[str, Any]]
    report: Report


def compare_runs(
    paths: Iterable[Path], by: Sequence[str] = (), tolerance: float = TOLERANCE
) -> Comparison:
    """Reads runs and sweeps.

    Args:
      by: fields of the config that make a setting; all that differ, but for the learning rate, if
        none is given.
      tolerance: what a learning rate in the window may lose, as a part of the best one's loss.

    Raises:
      ValueError, OSError: runs of different texts or splits, or whatever is wrong with one.
    """
    runs = run_paths(paths)
    require_alike(runs)
    rows = [row for path in runs for row in read(path)]
    measure, fields = measured_by(rows), fields_of(runs)
    groups = grouped(rows, measure, fields, by)
    report = Report(
        [_result(group) for group in groups],
        tables=[
            *tables(groups, measure, tolerance, pooled(groups, fields)),
            *profile_table(groups, measure),
        ],
        plots=plots(groups, measure, tolerance),
    )
    return Comparison(groups, rows, report)


def write_comparison(comparison: Comparison, out: Path) -> list[str]:
    """Writes compare.csv, the members one a line, and the plots below a folder; returns a line for
    each file.

    Raises:
      OSError: the folder cannot be made, in one line.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = str(error.strerror).lower()
        raise OSError(f"--out {out} cannot be made: {cause}; choose another folder") from None
    write_atomic(out / "compare.csv", _as_csv(comparison.rows))
    return [f"table {out / 'compare.csv'}", *write_pictures(comparison.report, out)]


def _result(group: Group) -> dict[str, Any]:
    interval = group.interval
    return {
        "setting": group.label,
        **({} if group.rate is None else {"learning_rate": group.rate}),
        "seeds": len(group.losses),
        "diverged": group.diverged,
        "iqm": group.iqm,
        "interval": None if interval is None else [float(interval.low), float(interval.high)],
        "losses": group.losses[:, 0].tolist(),
    }


def _as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
