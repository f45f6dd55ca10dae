"""What the report shows beyond its sources: speed of plainly written cells, gradient styles beside
each other, and the best models of all runs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.report.reading import pictures
from experiments.report.running import Outcome
from experiments.report.sources import Job
from jaxrnn.runs.files import read_json
from jaxrnn.runs.finding import runs_below

Table = dict[str, Any]


def beyond(
    jobs: Sequence[Job], outcomes: Mapping[str, Outcome], look_in: Path
) -> dict[str, list[dict[str, Any]]]:
    """Tables and pictures."""
    runs = {job: outcomes[job.name].run for job in jobs}
    summaries = {job: read_json(run / "summary.json") for job, run in runs.items() if run}
    tables = [_best(summaries), *_styles(summaries), *_speed(summaries, look_in)]
    drawn = [
        picture
        for job in summaries
        for picture in pictures(job, outcomes)
        if Path(picture["path"]).stem in ("estimators", "ratios")
    ]
    return {"tables": [table for table in tables if table["rows"]], "pictures": drawn}


def _best(summaries: Mapping[Job, Mapping[str, Any]]) -> Table:
    """The models by their loss on held-out text, of each text and symbol the best first."""
    found = []
    for job, summary in summaries.items():
        # the summary of a sweep is of many configs and has none
        corpus, results = summary.get("config", {}).get("corpus", "-"), summary.get("results")
        for row in results if isinstance(results, list) else []:
            level = row.get("level") or {"char": "character", "word": "word"}.get(job.experiment)
            loss = row.get("nats_per_token") if "level" in row else row.get("valid_loss")
            if level is None or loss is None:
                continue
            name = row.get("setting") or row.get("model")
            label = row["cell"] if name == "char" and "cell" in row else name
            found.append((corpus, level, loss, label, row.get("parameters"), job, row["seconds"]))
    # a bound from above sorts by text and symbol first
    found.sort(key=lambda each: (each[0], each[1], each[2]))
    rows = [
        [
            corpus,
            level,
            str(label),
            "-" if parameters is None else f"{parameters:,}",
            f"{loss:.4f}",
            f"{loss / math.log(2):.4f}",
            f"{seconds:.0f}",
            job.command,
        ]
        for corpus, level, loss, label, parameters, job, seconds in found
    ]
    columns = ["text", "symbol", "model", "parameters", "nats", "bits", "seconds", "command"]
    title = (
        "all models by their loss on held-out text, per symbol (of networks the lowest of their "
        "epochs, the median of the seeds)"
    )
    return {"title": title, "columns": columns, "rows": rows}


def _styles(summaries: Mapping[Job, Mapping[str, Any]]) -> list[Table]:
    """Every gradient style at the last stage of training."""
    found = []
    for job, summary in summaries.items():
        if job.experiment != "truncation" or not summary["results"].get("estimators"):
            continue
        rows = summary["results"]["estimators"]
        last = max(row["epoch"] for row in rows)
        mine = sorted(
            (row for row in rows if row["epoch"] == last), key=lambda row: row["relative_error"]
        )
        lines = [
            [
                row["estimator"],
                f"{row['cosine']:.4f}",
                f"{row['relative_error']:.3g}",
                f"{row['ms_per_step']:.3g}",
                f"{row['bytes']:,}",
            ]
            for row in mine
        ]
        columns = ["gradient style", "cosine", "relative error", "ms / step", "bytes"]
        title = "gradient styles beside the full gradient, at the end of training"
        found.append({"title": title, "columns": columns, "rows": lines})
    return found


def _speed(summaries: Mapping[Job, Mapping[str, Any]], look_in: Path) -> list[Table]:
    """Of the report's own benchmark, else of the last one that is here."""
    mine = [summary for job, summary in summaries.items() if job.experiment == "speed"]
    if not mine:
        others = [m.path for m in runs_below(look_in) if m.experiment == "speed" and m.finished]
        mine = [read_json(max(others) / "summary.json")] if others else []
    found = []
    for summary in mine:
        lines = [
            [
                row["case"],
                row["shape"],
                row["peer"],
                f"{row['ours_ms']:.4g}",
                f"{row['peer_ms']:.4g}",
                f"{row['ratio']:.2f}",
            ]
            for row in summary["results"]
            if row.get("ratio") is not None
        ]
        columns = ["what", "shape", "beside", "ours (ms)", "theirs (ms)", "theirs / ours"]
        title = "speed: medians; above 1 ours is faster"
        found.append({"title": title, "columns": columns, "rows": lines})
    return found
