"""From runs to what the report says: claims with their verdicts, tables, pictures, texts. All of it
is in the runs' own files."""

import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.report.running import Outcome
from experiments.report.sources import Job, PresetName, Source
from jaxrnn.runs.claims import observed_text
from jaxrnn.runs.files import read_json

VERDICTS = {True: "holds", False: "fails", None: "undecided"}
EXCERPT = 750
"""Characters of a text that a model wrote."""


def read_source(
    source: Source, preset: PresetName, outcomes: Mapping[str, Outcome]
) -> dict[str, Any]:
    """A source with what its runs say of it."""
    jobs = source.jobs[preset]
    summaries = {job.name: _summary(outcomes[job.name]) for job in jobs}
    claims = _claims(source, jobs, summaries, outcomes)
    return {
        "name": source.name,
        "title": source.title,
        "link": source.link,
        "says": source.says,
        "own": source.own,
        "counts": counts(claims),
        "claims": claims,
        "jobs": [_job(job, outcomes) for job in jobs],
        "left_out": _left_out(source, preset),
        "tables": [
            table | {"job": job.name}
            for job in jobs
            for table in summaries[job.name].get("tables") or []
        ],
        "pictures": [each for job in jobs for each in pictures(job, outcomes)],
        "texts": [each for job in jobs for each in _texts(job, outcomes[job.name])],
    }


def _left_out(source: Source, preset: PresetName) -> list[str]:
    """The commands of the published preset that this one does without."""
    run = {job.command for job in source.jobs[preset]}
    return [job.command for job in source.jobs.get("published", ()) if job.command not in run]


def counts(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of the claims hold, fail and are undecided."""
    found = [claim["verdict"] for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS.values()}


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {} if outcome.run is None else read_json(outcome.run / "summary.json")


def _claims(
    source: Source,
    jobs: Sequence[Job],
    summaries: Mapping[str, Mapping[str, Any]],
    outcomes: Mapping[str, Outcome],
) -> list[dict[str, Any]]:
    """Each claim once for each run that decided it; once, where none did."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        for claim in summaries[job.name].get("claims") or []:
            by_name.setdefault(claim["name"], []).append(_claim(source, job, claim, outcomes))
    found = []
    for same in by_name.values():
        decided = [each for each in same if each["verdict"] != "undecided"]
        found += decided or same[:1]
    return found


def _claim(
    source: Source, job: Job, claim: Mapping[str, Any], outcomes: Mapping[str, Outcome]
) -> dict[str, Any]:
    verdict, published = VERDICTS[claim["holds"]], claim.get("published")
    decided_by = None
    if verdict == "undecided":
        fits = (c for p, c in source.decided_by.items() if fnmatch.fnmatch(claim["name"], p))
        decided_by = next(fits, None)
    return {
        "claim": claim["name"],
        "source": claim["source"],
        "figure": "" if published is None else f"{published:.4g}",
        "expected": claim["expected"],
        "observed": claim["observed"],
        "ours": _ours(claim["observed"]),
        "spread": claim.get("spread"),
        "interval": interval_text(claim.get("spread")),
        "verdict": verdict,
        "run": str(outcomes[job.name].run),
        "command": command_of(job, outcomes),
        "decided_by": decided_by,
    }


def _ours(observed: Any) -> str:
    nothing = isinstance(observed, dict) and set(observed.values()) == {None}
    return observed_text(None if nothing else observed)


def interval_text(spread: Mapping[str, Any] | None) -> str:
    """The interquartile mean of the seeds with its interval, for a reader; of several names each;
    nothing of one seed."""
    if not spread:
        return ""
    if "iqm" not in spread:
        shown = {name: interval_text(each) for name, each in spread.items()}
        return "; ".join(f"{name} {text}" for name, text in shown.items() if text)
    if spread.get("interval") is None:
        return ""
    numbers = [spread["iqm"], *spread["interval"]]
    if None in numbers:
        return f"diverged in some of {spread['seeds']} seeds"
    if len({*numbers}) == 1:
        return f"{numbers[0]:.5g} in all {spread['seeds']} seeds"
    iqm, low, high = (f"{number:.4g}" for number in numbers)
    return f"{iqm} [{low}, {high}], {spread['seeds']} seeds"


def command_of(job: Job, outcomes: Mapping[str, Outcome]) -> str:
    """The command that repeats a job, with the directories of the runs that it reads."""
    words = job.command.split()
    return " ".join(
        shlex.quote(str(outcomes[word[1:-1]].run or word)) if word.startswith("{") else word
        for word in words
    )


def _job(job: Job, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    outcome = outcomes[job.name]
    return {
        "name": job.name,
        "command": command_of(job, outcomes),
        "state": outcome.state,
        "run": None if outcome.run is None else str(outcome.run),
        "seconds": outcome.seconds,
        "processor_seconds": outcome.processor_seconds,
        "said": outcome.said,
    }


ALTERNATIVES = {
    "learning_curves": "Learning curves: loss against training steps or epochs, a line for each "
    "setting with the band of its seeds",
    "published": "Lowest validation loss against the number of steps that errors go back, true "
    "truncation beside TensorFlow style, a panel for each learning rate",
    "toy": "Validation loss on the toy task against targets seen, a line for each gradient style",
    "text": "Validation loss on characters by targets, updates and seconds, a line for each "
    "gradient style",
    "estimators": "Every gradient style by the time of a training step and the distance of its "
    "gradient from the full one",
    "stages": "Cosine of every style's gradient with the full one as training goes on",
    "vanishing": "Size of the gradient against time steps back, falling by a factor at every step",
    "validation_loss": "Validation loss of words while training, with what counting comes to",
    "training_loss": "Training loss of words while training",
    "saturation": "Share of saturated units while training, a line for each setting",
    "loss_and_copies": "Loss on the held-out text against the share of copied text, a mark for "
    "each model",
    "connectivity": "Each row a stretch of text in the colours of how much the next character "
    "depends on it",
    "activations": "Each row a unit: a stretch of text in the colours of the unit's square",
    "ratios": "Time of other libraries over ours, a mark for each case and library",
    "inspect_by_lag": "Share of connectivity by how many characters back, falling",
    "inspect_connectivity": "Rows of text in the colours of what the next character depends on",
    "inspect_surprise": "The text in the colours of how surprising each character was",
}
"""What a picture shows, by what its name begins with, for who does not see it."""


def pictures(job: Job, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """The plots of a run, with what they show."""
    run, command = outcomes[job.name].run, command_of(job, outcomes)
    if run is None or not (run / "plots").is_dir():
        return []
    return [_picture(job, command, path) for path in sorted((run / "plots").glob("*.png"))]


def _picture(job: Job, command: str, path: Path) -> dict[str, Any]:
    fits = [begin for begin in ALTERNATIVES if path.stem.startswith(begin)]
    title = path.stem.replace("_", " ").capitalize()
    shows = ALTERNATIVES[max(fits, key=len)] if fits else title
    caption = f"{title}: {command}"
    return {"job": job.name, "path": str(path), "title": caption, "shows": shows}


def _texts(job: Job, outcome: Outcome) -> Iterator[dict[str, str]]:
    """What the models of a run wrote at its end: of each the last text, up to four of them."""
    folder = None if outcome.run is None else outcome.run / "samples"
    if folder is None or not folder.is_dir():
        return
    last = {
        re.sub(r"_?epoch_\d+.*|_temperature_.*", "", path.stem) or job.name: path
        for path in sorted(folder.glob("*.txt"))
    }
    ends = {name: path for name, path in last.items() if "_end_" in name}
    for name, path in [*(ends or last).items()][:4]:
        text = path.read_text(encoding="utf-8", errors="replace")
        more = " …" if len(text) > EXCERPT else ""
        yield {"job": job.name, "name": name.replace("_", " "), "text": text[:EXCERPT] + more}
