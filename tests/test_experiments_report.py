"""The report: what its jobs are, what it makes of runs, and what it does when they fail."""

import json
import re
import time
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from experiments_support import error_of
from report_support import Fakes, claim

from experiments import report
from experiments.report import page, reading, running, sources, telling
from experiments.report.beyond import beyond
from experiments.report.reading import interval_text
from experiments.report.sources import Job
from experiments.report.telling import Telling
from jaxrnn.runs.files import write_json
from jaxrnn.runs.interrupt import Interrupts
from jaxrnn.runs.summary import median_and_spread


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    return Fakes(tmp_path, monkeypatch)


# The sources


@pytest.mark.parametrize("preset", ["quick", pytest.param("published", marks=pytest.mark.full)])
def test_every_job_is_a_command_of_its_experiment(preset):
    """By the experiment's own reading of its flags; nothing is trained."""
    for job in sources.jobs_of(sources.sources_here(), preset):
        words = [word.strip("{}") for word in job.flags.split()]
        config, usual, _ = running.config_of(job, words)
        assert config.keys() == usual.keys()
        assert running.source_of(job).exists()


def test_what_is_no_flag_is_said(capsys):
    with pytest.raises(ValueError, match="--colour red cannot be read"):
        running.config_of(Job("a", "toy", "--colour red"), ["--colour", "red"])
    capsys.readouterr()


def test_what_a_job_needs_comes_before_it():
    (seen,) = (source for source in sources.SOURCES if source.name == "Distill")
    assert [job.name for job in sources.jobs_of([seen], "quick")] == ["text", "seen"]
    for preset in ("smoke", "quick", "published"):
        names = [job.name for job in sources.jobs_of(sources.sources_here(), preset)]
        assert len(names) == len(set(names))


def test_a_source_whose_experiment_is_not_here_is_left_out(monkeypatch):
    absent = sources.SOURCES[0]._replace(name="x", jobs={"quick": [Job("x", "nowhere")]})
    monkeypatch.setattr(sources, "SOURCES", (sources.SOURCES[0], absent))
    assert [source.name for source in sources.sources_here()] == [sources.SOURCES[0].name]


@pytest.mark.parametrize(("preset", "lacks"), [("quick", True), ("published", False)])
def test_what_a_preset_leaves_out_is_said(preset, lacks):
    (post,) = (source for source in sources.SOURCES if source.name == "R2RT II")
    outcomes = {job.name: running.Outcome("missing") for job in post.jobs[preset]}
    left_out = reading.read_source(post, preset, outcomes)["left_out"]
    assert ("python -m experiments.char --preset cells" in left_out) is lacks


def test_the_best_models_are_those_of_runs_and_not_of_sweeps(tmp_path):
    row = {"setting": "gru", "valid_loss": 1.5, "parameters": 9, "seconds": 2.0}
    found: dict[str, Any] = {"sweep": {"results": [row | {"task": "parity"}]}}  # has no config
    found["run"] = {"config": {"corpus": "a.txt"}, "results": [row]}
    outcomes, jobs = {}, [Job("sweep", "battery"), Job("run", "char")]
    for name, summary in found.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
        outcomes[name] = running.Outcome("finished", tmp_path / name)
    (best,) = beyond(jobs, outcomes, tmp_path)["tables"]
    assert [(row[0], row[2]) for row in best["rows"]] == [("a.txt", "gru")]


# The page


class Page(HTMLParser):
    """Addresses, tags and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self.addresses += [(tag, v) for n, v in attrs if n in ("src", "href", "srcset", "action")]

    def of(self, tag):
        return [given for name, given in self.tags if name == tag]


PICTURE = """
from PIL import Image
(path / "plots").mkdir()
Image.new("RGB", (2000, 500), "red").save(path / "plots" / "learning_curves.png")
(path / "samples").mkdir()
(path / "samples" / "gru_epoch_001_drawn_seed_0.txt").write_text("one <i>")
(path / "samples" / "gru_epoch_002_drawn_seed_0.txt").write_text("two <i>")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return _written(Fakes(tmp_path_factory.mktemp("report"), patch))


def _written(fakes):
    spread = median_and_spread([1.0, 1.1, 1.2])
    claims = [
        claim("it <i>falls</i> | far", True, published=0.25, spread=spread),
        claim("it rises", False, observed={"a": 1.0, "b": None}, spread={"a": spread}),
        claim("it stays", None, observed=None),
    ]
    table = {"title": "losses", "columns": ["cell", "loss"], "rows": [["gru", "1.25"]]}
    job = fakes.add(Job("a", "fake", "--epochs 3"), claims, PICTURE, tables=[table])
    again = [claim("it stays", None), claim("it rises", True)]
    other = fakes.add(Job("b", "fake", "--epochs 1"), again)
    decided = {"it st*": "python -m experiments.fake --epochs 99"}
    fakes.listed(job, other, decided_by=decided)
    code, found = fakes.report()
    assert code == 0
    return found, fakes.folder / "out"


def test_claims_with_their_verdicts(written):
    found, _ = written
    (source,) = found["sources"]
    assert found["counts"] == {"holds": 2, "fails": 1, "undecided": 1}
    verdicts = [(each["claim"], each["verdict"]) for each in source["claims"]]
    # two runs that decide the same stand beside each other; what none decides stands once
    assert verdicts == [
        ("it <i>falls</i> | far", "holds"),
        ("it rises", "fails"),
        ("it rises", "holds"),
        ("it stays", "undecided"),
    ]
    falls, rises, _, stays = source["claims"]
    assert (falls["figure"], falls["ours"]) == ("0.25", "1")
    assert re.fullmatch(r"1\.1 \[1, 1\.2\], 3 seeds", falls["interval"])
    assert rises["ours"] == "a 1, b -"
    assert rises["interval"].startswith("a 1.1 [")
    assert falls["command"] == "python -m experiments.fake --epochs 3"
    assert falls["run"].endswith("out/runs/a")
    assert stays["decided_by"] == "python -m experiments.fake --epochs 99"
    assert found["seconds"] > 0
    assert found["processor_seconds"] > 0
    assert found["machine"]["processors"] == "2"


def test_the_page_is_by_itself_and_readable(written):
    _, out = written
    text = (out / "report.html").read_text(encoding="utf-8")
    assert len(text) < 10_000_000
    read = Page(text)
    for tag, address in read.addresses:
        local = address.startswith(("#", "data:"))
        assert local or (tag, address) == ("a", "https://example.org/a")
    assert not read.of("script")
    assert "<i>" not in text
    assert "<b>bold" not in text
    assert len(read.of("table")) == len(read.of("caption")) == 3
    assert all(given.get("scope") in ("row", "col") for given in read.of("th"))
    (picture,) = read.of("img")
    assert picture["alt"].startswith("Learning curves")
    assert (picture["width"], picture["height"]) == ("1300", "325")
    assert [given["class"] for given in read.of("figure")] == ["wide", "text"]
    headings = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert max(np.diff(headings)) <= 1
    ids = [given["id"] for _, given in read.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {a[1:] for _, a in read.addresses if a.startswith("#")} <= set(ids)
    assert "two &lt;i&gt;" in text  # what the model wrote in the last epoch
    assert "one &lt;i&gt;" not in text


def test_markdown(written):
    _, out = written
    lines = (out / "report.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith("| it &lt;i>falls")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 8
    assert "![" in "\n".join(lines)
    assert "(<runs/a/plots/learning_curves.png>)" in "\n".join(lines)


def test_pictures_have_room(tmp_path):
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (60, 400, 3), np.uint8)
    given = []
    for name in ("a", "b", "absent"):
        given.append({"path": str(tmp_path / f"{name}.png")})
        if name != "absent":
            Image.fromarray(noise).save(given[-1]["path"])
    every = page.embedded(given)
    assert list(every) == [each["path"] for each in given[:2]]
    size = sum(len(each.data) for each in every.values())
    smaller = page.embedded(given, size - 1, (400, 100))
    assert [each.width for each in smaller.values()] == [100, 100]
    assert list(page.embedded(given, size - 1, (400,))) == [given[0]["path"]]


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (None, ""),
        (median_and_spread([1.0]), ""),
        (median_and_spread([2.0, 2.0]), "2 in all 2 seeds"),
        ({"a": median_and_spread([2.0, 2.0]), "b": None}, "a 2 in all 2 seeds"),
        ({"iqm": None, "interval": [1.0, None], "seeds": 3}, "diverged in some of 3 seeds"),
    ],
)
def test_intervals_for_a_reader(spread, text):
    assert interval_text(spread) == text


# What is run


def test_a_job_that_is_killed_is_said_and_goes_on(fakes, capsys):
    """The others go on; the next call resumes it, and the one after that runs nothing."""
    body = 'flag == "--resume" or os.kill(os.getpid(), 9)'
    killed = fakes.add(Job("a", "fake", "--epochs 3"), [claim("x", True)], body)
    after = fakes.add(Job("b", "fake", "--read {a}"), [claim("y", True)])
    fine = fakes.add(Job("c", "fake"), [claim("z", True)])
    fakes.listed(killed, after, fine)
    code, found = fakes.report()
    assert code == 1
    assert not found["complete"]
    a, b, c = found["sources"][0]["jobs"]
    assert a["said"].startswith("killed by SIGKILL")
    assert (a["state"], b["state"], c["state"]) == ("failed", "missing", "finished")
    assert b["said"] == "needs a, which did not come to its end"
    assert [each["claim"] for each in found["sources"][0]["claims"]] == ["z"]
    capsys.readouterr()
    code, found = fakes.report()
    assert code == 0
    assert found["counts"]["holds"] == 3
    assert fakes.calls == ["a --run", "c --run", "a --resume", "b --run"]
    spent = found["seconds"]
    code, found = fakes.report()
    assert (code, len(fakes.calls)) == (0, 4)
    assert found["seconds"] == pytest.approx(spent)  # nothing was spent


def test_what_fails_says_why(fakes):
    body = 'print("error: no such text"); sys.exit(1)'
    fakes.listed(fakes.add(Job("a", "fake"), [], body))
    code, found = fakes.report()
    assert code == 1
    (job,) = found["sources"][0]["jobs"]
    assert job["said"].startswith("error: no such text; log ")


def test_ctrl_c_is_passed_on_and_the_same_command_goes_on(fakes):
    body = 'flag == "--resume" or time.sleep(60)'
    waits = fakes.add(Job("a", "fake", "--epochs 3"), [claim("x", True)], body)
    next_one = fakes.add(Job("b", "fake"), [claim("y", True)])
    fakes.listed(waits, next_one)
    asked, out = Interrupts(), fakes.folder / "out"

    class Told(Telling):
        def tick(self, line):
            if fakes.calls:
                asked.signal = 2

    place = running.Place(out, fakes.folder / "elsewhere")
    start = time.monotonic()
    found = running.run_all([waits, next_one], place, asked, Told([waits, next_one]))
    assert time.monotonic() - start < 50
    assert [each.state for each in found.values()] == ["missing", "missing"]
    assert found["a"].said.startswith("interrupted")
    code, read = fakes.report()
    assert code == 0
    assert fakes.calls == ["a --run", "a --resume", "b --run"]
    assert read["counts"]["holds"] == 2


@pytest.mark.parametrize(
    ("config", "environment", "any_code", "taken"),
    [
        ({}, {}, False, True),
        ({"flags": "--epochs 4"}, {}, False, False),
        ({"flags": "--epochs 4"}, {}, True, False),
        ({}, {"code": {"jaxrnn": "0", "experiment": "0"}}, False, False),
        ({}, {"versions": {"jax": "0.0.1"}}, False, False),
        ({}, {"code": None}, True, True),
        # a flag that came after the run
        ({"later": 1}, {}, False, True),
        ({"later": 2}, {}, False, False),
    ],
)
def test_finished_runs_are_reused(fakes, config, environment, any_code, taken):
    """Of the same config; and of the same code, unless any will do."""
    fakes.listed(job := fakes.add(Job("a", "fake", "--epochs 3"), [claim("x", True)]))
    run = fakes.folder / "elsewhere" / "char" / "today"
    run.mkdir(parents=True)
    summary = json.loads((fakes.folder / "a.summary").read_text())
    write_json(run / "summary.json", summary | {"config": fakes.config(job) | config})
    write_json(run / "environment.json", fakes.environment | environment)
    code, found = fakes.report(*(["--any-code"] if any_code else []), "--only-read")
    (state,) = (each["state"] for each in found["sources"][0]["jobs"])
    assert (code, state) == ((0, "reused") if taken else (1, "missing"))
    assert not fakes.calls


def test_a_finished_run_of_other_code_is_left_and_a_new_one_made(fakes):
    fakes.listed(fakes.add(Job("a", "fake"), [claim("x", True)]))
    fakes.report()
    path = fakes.folder / "out" / "runs" / "a" / "environment.json"
    write_json(path, fakes.environment | {"code": None})
    code, found = fakes.report()
    assert code == 0
    assert found["sources"][0]["jobs"][0]["run"].endswith("runs/a-2")
    assert fakes.calls == ["a --run", "a --run"]


def test_what_is_left_is_reckoned_from_what_was(monkeypatch, capsys):
    """Twice as slow as usual in the first job is twice as slow in the others."""
    now = [0.0]
    monkeypatch.setattr(telling, "time", SimpleNamespace(monotonic=lambda: now[0]))
    jobs = [Job("a", "toy", "", 100.0), Job("b", "toy", "", 50.0), Job("c", "toy", "", 30.0)]
    told = Telling(jobs)
    assert told.left().total_seconds() == 180
    told.begin(jobs[0], "begins")
    now[0] = 200.0
    told.end(jobs[0], "finished", "")
    assert told.left().total_seconds() == 160
    told.end(jobs[1], "reused", "")
    assert told.left().total_seconds() == 60
    told.begin(jobs[2], "begins")
    now[0] = 230.0
    assert told.left().total_seconds() == 30
    assert told.done() == 165
    now[0] = 400.0
    assert 0 < told.left().total_seconds() < 10
    assert "[3/3] python -m experiments.toy: begins" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--only", "Nobody"], "the sources are R2RT I, Styles"),
        (["--preset", "long"], "--preset"),
        (["--out", "FILE"], "is a file; give a folder"),
    ],
)
def test_refused_in_one_line(flags, told, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    given = [str(file) if flag == "FILE" else flag for flag in flags]
    assert told in error_of(capsys, report.main, given, code=2 if "--preset" in flags else 1)


@pytest.mark.full
def test_a_real_report(tmp_path):
    """Every kind of experiment that resumes, reads another's run, and ends."""
    flags = ["--preset", "smoke", "--out", str(tmp_path), "--look-in", str(tmp_path)]
    assert report.main(flags) == 0
    found = json.loads((tmp_path / "report.json").read_text())
    assert all(job["run"] for source in found["sources"] for job in source["jobs"])
    before = (tmp_path / "jobs.json").read_text()
    assert report.main(flags) == 0
    assert (tmp_path / "jobs.json").read_text() == before
