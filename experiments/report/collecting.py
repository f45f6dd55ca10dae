"""The whole report as data: what report.json holds, and page and Markdown are made of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.report.beyond import beyond
from experiments.report.reading import VERDICTS, read_source
from experiments.report.running import Outcome
from experiments.report.sources import Job, PresetName, Source
from jaxrnn.analysis.coverage import covers
from jaxrnn.runs.files import read_json
from jaxrnn.starting import called

SEVERAL = (2, 3, 8)
"""Numbers of seeds of which the page says what an interval covers."""


def collect(
    sources: Sequence[Source],
    jobs: Sequence[Job],
    outcomes: Mapping[str, Outcome],
    preset: PresetName,
    look_in: Path,
) -> dict[str, Any]:
    """Everything that the report says."""
    read = [read_source(source, preset, outcomes) for source in sources]
    verdicts = VERDICTS.values()
    total = {v: sum(source["counts"][v] for source in read) for v in verdicts}
    published = {v: sum(s["counts"][v] for s in read if not s["own"]) for v in verdicts}
    return {
        "title": "What jaxrnn reproduces",
        "preset": preset,
        "command": f"{called('experiments.report')} --preset {preset}",
        "made": datetime.now().astimezone().isoformat(timespec="minutes"),
        "covers": ", ".join(f"{100 * covers(n):.0f} % at {n} seeds" for n in SEVERAL),
        "counts": total,
        "counts_of_sources": published,
        "complete": all(each.state in ("finished", "reused") for each in outcomes.values()),
        "seconds": _sum(outcomes, "seconds"),
        "processor_seconds": _sum(outcomes, "processor_seconds"),
        "machine": machine([each.run for each in outcomes.values() if each.run]),
        "sources": read,
        "beyond": beyond(jobs, outcomes, look_in),
    }


def _sum(outcomes: Mapping[str, Outcome], field: str) -> float:
    """Of the runs that were made for this report; those from elsewhere took their time there."""
    mine = [each for each in outcomes.values() if each.state != "reused"]
    return sum(getattr(each, field) or 0.0 for each in mine)


def machine(runs: Sequence[Path]) -> dict[str, str]:
    """What the runs were made on, by what they recorded; where they differ, all of it."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        path = run / "environment.json"
        environment = read_json(path) if path.is_file() else {}
        versions = environment.get("versions") or {}
        devices = environment.get("devices") or {}
        said = {
            "system": environment.get("platform"),
            "processors": environment.get("cpus"),
            "devices": ", ".join(devices.get("kinds") or []) or None,
            "Python": environment.get("python"),
            **versions,
            "code": _code(environment.get("git")),
        }
        for name, value in said.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    if processor := _processor():
        found["processor"] = {processor: None}
    return {name: "; ".join(values) for name, values in found.items()}


def _code(git: Mapping[str, Any] | None) -> str | None:
    if not git or not git.get("commit"):
        return None
    return f"commit {git['commit'][:12]}" + (" with changes" if git.get("diff") else "")


def _processor() -> str | None:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), None)
