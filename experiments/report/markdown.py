"""The report as Markdown."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any


def as_markdown(found: Mapping[str, Any], out: Path) -> str:
    """The report, with links to the pictures where they are, from `out`."""
    return "\n".join(_lines(found, out)) + "\n"


def _lines(found: Mapping[str, Any], out: Path) -> Iterator[str]:
    yield f"# {found['title']}"
    yield ""
    yield f"`{found['command']}`, {found['made']}: {_counted(found['counts'])}."
    yield ""
    interval = "their interquartile mean and its 95 % bootstrap interval, which covers"
    yield f"Over the seeds: {interval} {found['covers']}. An order of several is decided by the"
    yield "intervals of the differences of the same seed; where these have zero in them, it is"
    yield "undecided."
    yield ""
    for source in found["sources"]:
        yield from _source(source, out)
    yield "## Beyond the sources"
    yield ""
    yield from _rest(found["beyond"], out)
    yield "## Time, machine, versions"
    yield ""
    took = {"time": found["seconds"], "processor time": found["processor_seconds"]}
    said = {name: str(timedelta(seconds=round(seconds))) for name, seconds in took.items()}
    yield from _table(["", ""], list((said | found["machine"]).items()))


def _source(source: Mapping[str, Any], out: Path) -> Iterator[str]:
    yield f"## {source['title']}"
    yield ""
    yield source["says"] + (f" <{source['link']}>" if source["link"] else "")
    yield ""
    yield f"{_counted(source['counts'])}."
    yield ""
    columns = ["claim", "its figure", "expected", "ours", "over the seeds", "verdict", "command"]
    fields = ("claim", "figure", "expected", "ours", "interval")
    yield from _table(
        columns,
        [
            [*(claim[f] for f in fields), f"**{claim['verdict']}**", f"`{_command(claim)}`"]
            for claim in source["claims"]
        ],
    )
    for job in source["jobs"]:
        said = f": {job['said']}" if job["said"] else ""
        where = f", `{job['run']}`" if job["run"] else ""
        yield f"- `{job['command']}`: {job['state']}{where}{said}"
    yield ""
    if source["left_out"]:
        yield f"Not in this preset: {', '.join(f'`{each}`' for each in source['left_out'])}."
        yield ""
    yield from _rest(source, out)


def _command(claim: Mapping[str, Any]) -> str:
    return claim["decided_by"] or claim["command"]


def _rest(part: Mapping[str, Any], out: Path) -> Iterator[str]:
    for table in part["tables"]:
        yield f"**{table['title']}**"
        yield ""
        yield from _table(table["columns"], table["rows"])
    for picture in part["pictures"]:
        place = os.path.relpath(picture["path"], out)
        yield f"![{picture['shows']}](<{place}>)"
        yield ""
        yield picture["title"]
        yield ""


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, columns))} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: Any) -> str:
    """What would end a cell or begin a tag is itself."""
    plain = " ".join(str(text).split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
