"""Fabricated sources for the report: their jobs are a small script that writes what a run leaves,
and no experiment."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from experiments import report
from experiments.report import running, sources
from experiments.report.sources import Job, Source
from jaxrnn.runs.code import describe_code
from jaxrnn.runs.files import write_json

SCRIPT = """
import json, os, shutil, sys, time
from pathlib import Path
flag, path = sys.argv[-2], Path(sys.argv[-1])
name, here = sys.argv[1], Path(__file__).parent
path.mkdir(parents=True, exist_ok=True)
shutil.copy(here / f"{name}.config", path / "config.json")
shutil.copy(here / "environment", path / "environment.json")
with open(here / "calls", "a") as file: file.write(f"{name} {flag}\\n")
exec((here / f"{name}.body").read_text())
shutil.copy(here / f"{name}.summary", path / "summary.json")
"""
"""What is called as SCRIPT NAME ... FLAG PATH; the body of a job may kill it, or wait."""


def claim(name: str, holds: bool | None, **more: Any) -> dict[str, Any]:
    found = {"name": name, "source": "a page", "expected": "below 2", "observed": 1.0}
    return found | {"holds": holds, "published": None, "spread": None} | more


class Fakes:
    """Jobs that the report runs in place of experiments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.jobs = folder, {}
        (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
        self.environment = {
            "code": describe_code(folder / "script.py"),
            "versions": {"jax": jax.__version__},
            "cpus": 2,
        }
        write_json(folder / "environment", self.environment)
        (folder / "calls").touch()
        monkeypatch.setattr(
            running, "config_of", lambda job, flags: (self.config(job), {"later": 1}, True)
        )
        monkeypatch.setattr(running, "source_of", lambda job: folder / "script.py")
        monkeypatch.setattr(running, "program", self.program)
        monkeypatch.setattr(running, "POLL", 0.01)
        self._patch = monkeypatch

    def config(self, job: Job) -> dict[str, Any]:
        return {"flags": job.flags}

    def program(self, job: Job) -> list[str]:
        return [sys.executable, str(self.folder / "script.py"), job.name]

    def add(self, job: Job, claims: list[dict[str, Any]], body: str = "", **more: Any) -> Job:
        record = {"experiment": job.experiment, "config": self.config(job)}
        summary = record | {"results": [], "claims": claims, "seconds": 3.0, "tables": []} | more
        write_json(self.folder / f"{job.name}.config", record)
        write_json(self.folder / f"{job.name}.summary", summary)
        (self.folder / f"{job.name}.body").write_text(body, encoding="utf-8")
        self.jobs[job.name] = job
        return job

    def listed(self, *jobs: Job, **more: Any) -> Source:
        """Makes the jobs those of the only source."""
        title = "Somebody <b>bold</b> (2020)"
        says, link = "That it is so & no other way.", "https://example.org/a"
        source = Source("One", title, link, says, {"quick": jobs}, **more)
        self._patch.setattr(sources, "SOURCES", (source,))
        self._patch.setattr(report, "sources_here", lambda: [source])
        return source

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().split("\n")[:-1]

    def report(self, *flags: str) -> tuple[int, dict[str, Any]]:
        """The exit code, and report.json."""
        out = self.folder / "out"
        places = ["--out", str(out), "--look-in", str(self.folder / "elsewhere")]
        code = report.main([*places, *flags])
        path = out / "report.json"
        return code, json.loads(path.read_text()) if path.is_file() else {}
