"""Kills runs of several experiments again and again, and alters their files.

    python tests/kills.py [--kills 40] [--flips 60] [--minutes 30] [--only char toy]

Each run is killed at any moment (SIGKILL), resumed and killed again, and has to be equal to the
run that was not: metrics, params, samples, summary but for seconds, TensorBoard's values. Then bits
of its files are flipped, one at a time: what reads the run says so in one line, or does not notice
what it does not read; never a wrong result without a word, never a traceback. tests/test_resume.py
and tests/test_runs_checkpoints.py have both in short form.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from experiments_support import logged, small_char, summary, without_clocks, write_text
from test_tensorboard_files import accumulated

from jaxrnn import runs
from jaxrnn.runs.lock import LOCK

ROOT = Path(__file__).parents[1]
OFTEN = ["--checkpoint-seconds", "0"]
BOARD = ["--tensorboard", "--tensorboard-every", "6"]
SECONDS = 300


def commands(text: Path) -> dict[str, list[str]]:
    """By experiment: flags of runs of several seconds, with several settings and members."""
    corpus = ["--preset", "smoke", "--corpus", str(text), "--devices", "1", *OFTEN, *BOARD]
    word = "--cell elman --hidden-size 6 --embedding-size 4 --dense-size 5 --batch-size 16"
    word += " --num-steps 4 --negatives 5 --epochs 4 --log-every 5 --sample-length 6"
    one = "--hidden-size 6 --embedding-size 4 --batch-size 8 --num-steps 30 --log-every 3"
    truncation = "--part fair --toy-styles tbptt artbp --text-styles tbptt uoro"
    sweep = "--sweep learning_rate=0.05,0.1 --sweep state_size=2,3 --num-steps 2 --epochs 3"
    sweep += " --length 2400 --batch-size 10 --seeds 2 --log-every 4 --devices 1"
    return {
        "char": [*small_char(text), "--epochs", "6", *OFTEN, *BOARD],
        "word": [*corpus, *word.split()],
        "truncation": [*corpus, "--log-every", "2", *truncation.split()],
        "baselines": [*corpus, *one.split()],
        "toy": ["--preset", "smoke", *sweep.split(), *OFTEN],
    }


def start(experiment: str, *flags: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.{experiment}", *map(str, flags)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(experiment: str, *flags: object) -> str:
    """Runs to the end; returns what it said on stderr."""
    _, errors = (process := start(experiment, *flags)).communicate(timeout=SECONDS)
    if process.returncode:
        raise AssertionError(f"{experiment} {flags}: {errors.decode()}")
    return errors.decode()


def single_runs(path: Path) -> list[Path]:
    """The run, or those of a sweep."""
    if (path / "config.json").is_file() and (path / "metrics.jsonl").is_file():
        return [path]
    return sorted(each.parent for each in path.rglob("metrics.jsonl"))


def result_of(path: Path) -> dict[str, Any]:
    """All that a run says, but for what a clock measured."""
    found: dict[str, Any] = {}
    for run in single_runs(path):
        name = run.relative_to(path).as_posix()
        found[f"{name} log"] = logged(run)
        ours = summary(run)
        for field in ("results", "claims", "config"):
            found[f"{name} {field}"] = without_speed(without_clocks(ours[field]))
        settings = [
            one["name"] for one in json.loads((run / "config.json").read_text())["settings"]
        ]
        for setting in settings:
            for which in ("best", "last"):
                try:
                    params = runs.load(run, setting=setting, which=which)[1]  # pyright: ignore
                except (FileNotFoundError, ValueError) as error:
                    found[f"{name} {setting} {which}"] = type(error).__name__
                    continue
                leaves = [np.asarray(a).tobytes() for a in jax.tree.leaves(params)]
                found[f"{name} {setting} {which}"] = leaves
        for sample in sorted((run / "samples").glob("*.txt")):
            found[f"{name} {sample.name}"] = sample.read_text(encoding="utf-8")
        for folder in sorted({p.parent for p in run.rglob("*tfevents*")}):
            board = accumulated(folder)
            where = folder.relative_to(run).as_posix()
            for tag in board.Tags()["scalars"]:
                if not tag.startswith("speed/"):
                    shown = [(e.step, e.value) for e in board.Scalars(tag)]
                    found[f"{name} {where} {tag}"] = shown
            for tag in board.Tags()["tensors"]:
                if tag.startswith("samples/"):
                    texts = [(e.step, e.tensor_proto.string_val[0]) for e in board.Tensors(tag)]
                    found[f"{name} {where} {tag}"] = texts
    return found


def without_speed(value: Any) -> Any:
    """Lines that are about seconds are of the clock."""
    if isinstance(value, dict):
        return {k: without_speed(v) for k, v in value.items() if "second" not in str(k)}
    if isinstance(value, list):
        return [
            without_speed(v)
            for v in value
            if not (isinstance(v, dict) and "second" in str(v.get("name", "")))
        ]
    return value


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]


def killed(experiment: str, flags: list[str], folder: Path, kills: int, draw: random.Random) -> Any:
    """A whole run and one that was killed so often; returns the latter's path, and what differs."""
    whole, broken = folder / "whole", folder / "broken"
    began = time.monotonic()
    finished(experiment, *flags, "--run", whole)
    length = time.monotonic() - began
    said, wrong = set(), []
    every = BOARD[1:] if "--tensorboard" in flags else []
    resume = ["--resume", broken, *OFTEN, *every]
    count = 0
    arguments: list[object] = [*flags, "--run", broken]
    wanted = result_of(whole)
    while count < kills:
        process = start(experiment, *arguments)
        # half of the time in the last part: a resumed run begins where the last one was killed
        wait = draw.uniform(0.3, 1.0) if draw.random() < 0.5 else draw.random()
        try:
            _, errors = process.communicate(timeout=wait * length)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            count += 1
            print(f"{experiment}: kill {count} after {wait * length:.1f} s", flush=True)
        else:
            said.add(errors.decode()[-300:])
            if process.returncode:
                wrong.append(f"{experiment} {arguments[-4:]}: {errors.decode()[-400:]}")
                break
            if found := differences(wanted, result_of(broken)):
                wrong.append(f"{experiment} after {count} kills: {found[:6]} of {len(wanted)}")
            shutil.rmtree(broken)  # and once more from the start
        begun = (broken / "config.json").is_file() or (broken / "sweep.json").is_file()
        if not begun and broken.exists():
            shutil.rmtree(broken)
        arguments = resume if begun else [*flags, "--run", broken]
    if not wrong:
        said.add(finished(experiment, *arguments)[-300:])
        if found := differences(wanted, result_of(broken)):
            wrong.append(f"{experiment} after {count} kills: {found[:6]} of {len(wanted)}")
        left = [p for p in broken.rglob(".*") if p.is_file() and p.name != LOCK]
        wrong += [f"{experiment} leaves {path}" for path in left]
    return broken, [*wrong, *(f"{experiment} said {line}" for line in said if line)]


def flipped(experiment: str, run: Path, flips: int, draw: random.Random, counts: Any) -> list[str]:
    """Flips a bit of a file of a finished run and resumes it, once each."""
    wanted, wrong = result_of(run), []
    files = [
        p for p in sorted(run.rglob("*")) if p.is_file() and p.name != LOCK and p.stat().st_size
    ]
    for _ in range(flips):
        copy = run.with_name("flipped")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run, copy)
        path = copy / draw.choice(files).relative_to(run)
        content = bytearray(path.read_bytes())
        at = draw.randrange(8 * len(content))
        content[at // 8] ^= 1 << at % 8
        path.write_bytes(content)
        process = start(experiment, "--resume", copy)
        _, errors = process.communicate(timeout=SECONDS)
        lines = errors.decode(errors="replace").splitlines()
        where = f"{experiment} {path.relative_to(copy)} bit {at}"
        if any("Traceback" in line for line in lines):
            wrong.append(f"{where}: traceback {lines[-1]}")
            continue
        if process.returncode:
            counts["refused"] += 1
            if len(lines) != 1 or not lines[0].startswith("error: "):
                wrong.append(f"{where}: {lines}")
            continue
        heard = io.StringIO()
        try:
            with contextlib.redirect_stderr(heard):
                found = differences(wanted, result_of(copy))
        except ValueError as error:  # what reads the run refuses it by one line
            found, heard = [], io.StringIO(str(error))
        said = bool(lines or heard.getvalue())
        counts["said" if said else "not noticed"] += 1
        if found and not said:
            wrong.append(f"{where}: not a word, and other {found[:4]}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--flips", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    draw, end = random.Random(options.seed), time.monotonic() + 60 * options.minutes
    counts = {"refused": 0, "said": 0, "not noticed": 0}
    wrong, tried = [], {"kills": 0, "flips": 0}
    with tempfile.TemporaryDirectory() as place:
        every = commands(write_text(Path(place)))
        chosen = {name: every[name] for name in options.only or every}
        for i, (name, flags) in enumerate(chosen.items()):
            if time.monotonic() > end:
                print(f"no time is left for {name}")
                continue
            share = [(n + i) // len(chosen) for n in (options.kills, options.flips)]
            (folder := Path(place) / name).mkdir()
            run, found = killed(name, flags, folder, share[0], draw)
            wrong += found
            tried["kills"] += share[0]
            print(f"{name}: {share[0]} kills, {found or 'equal'}", flush=True)
            if time.monotonic() < end and not found:
                found = flipped(name, run, share[1], draw, counts)
                wrong += found
                tried["flips"] += share[1]
                print(f"{name}: {share[1]} bits, {found or 'none unseen'}", flush=True)
    print(f"{tried['kills']} kills, {tried['flips']} flipped bits: {counts}; {len(wrong)} wrong")
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
