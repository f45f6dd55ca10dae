"""How much the tests protect: one-line faults in `jaxrnn/`, and which of them the tests catch.

    python tests/mutants.py                      all of them, about an hour on two cores
    python tests/mutants.py NAME [NAME ...]      those whose names hold one of these
    python tests/mutants.py --default            with the tests of the plain pytest command alone
    python tests/mutants.py --list               what there is

Each fault is put into a scratch copy of the tree, the tests that should see it run there until the
first one fails, and the fault is taken out again. A fault that no test sees has survived: what it
spoils is not protected. At the end the tests that caught something run once more without a fault:
what fails then too has caught nothing. The compiled programs are shared with the checkout.
"""

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mutations import FAULTS

ROOT = Path(__file__).parent.parent
LIMIT = 900.0  # seconds that the tests of one mutant may take
WANTED = 0.9  # the share that has to be caught
# in the summary of pytest: the tests that failed
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", re.MULTILINE)
CACHE = Path(".pytest_cache", "jax")  # where tests/conftest.py keeps what was compiled


class Mutant(NamedTuple):
    """A fault, and who should see it.

    Attributes:
      name: what is wrong.
      file: below `jaxrnn/`.
      old: what is there; it occurs once.
      new: what is put in its place.
      tests: names of test files with a space between them, as few as possible.
      select: which of their tests to run, as pytest's -k has it, where all would take long.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    select: str

    def files(self) -> list[str]:
        return [f"tests/{name}" for name in self.tests.split()]


class Outcome(NamedTuple):
    """What the tests made of a mutant; `by` is the test that caught it, or what went wrong."""

    verdict: Literal["caught", "SURVIVED", "error"]
    seconds: float
    by: str


MUTANTS = [Mutant(*fields) for fields in FAULTS]


def broken(mutants: Sequence[Mutant]) -> list[str]:
    """What keeps mutants from being what they say, a line each: code moves on, and they with it."""
    found = [
        f"{name}: there are {times} mutants of this name"
        for name, times in Counter(mutant.name for mutant in mutants).items()
        if times > 1
    ]
    for mutant in mutants:
        path = ROOT / "jaxrnn" / mutant.file
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        times = source.count(mutant.old)
        if times != 1:
            found.append(f"{mutant.name}: {mutant.file} has its old text {times} times, not once")
            continue
        if mutant.old == mutant.new:
            found.append(f"{mutant.name}: its new text is the old one")
        try:
            ast.parse(source.replace(mutant.old, mutant.new))
        except SyntaxError as error:
            found.append(f"{mutant.name}: {mutant.file} is no Python with it ({error.msg})")
        missing = [name for name in mutant.files() if not (ROOT / name).is_file()]
        if missing or not mutant.tests:
            found.append(f"{mutant.name}: there is no {' '.join(missing) or 'test file for it'}")
    return found


def scratch_copy(tree: Path) -> None:
    """The checkout at `tree`, without what tools have left in it."""

    def left_out(folder, names):
        made = {"__pycache__", ".git", ".hypothesis", ".pytest_cache", ".ruff_cache"}
        if Path(folder) == ROOT:
            made |= {"runs", "build", "dist"}
        return [name for name in names if name in made or name.startswith(".venv")]

    shutil.copytree(ROOT, tree, ignore=left_out)
    (ROOT / CACHE).mkdir(parents=True, exist_ok=True)
    (tree / CACHE.parent).mkdir()
    (tree / CACHE).symlink_to(ROOT / CACHE)


def surroundings(tree: Path) -> dict[str, str]:
    """The environment in which Python imports `jaxrnn` from `tree`, in processes that tests start
    too. No bytecode is kept: a file that changes twice in a second would be taken for the same."""
    search = [str(tree), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = os.environ | {"PYTHONPATH": os.pathsep.join(search), "PYTHONDONTWRITEBYTECODE": "1"}
    if folder := found.get("JAXRNN_DATA"):
        found["JAXRNN_DATA"] = str(Path(folder).absolute())
    return found


def require_own_copy(tree: Path) -> None:
    code = "import jaxrnn; print(jaxrnn.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env=surroundings(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    if not Path(done.stdout.strip()).is_relative_to(tree):
        raise SystemExit(f"error: Python imports {done.stdout.strip()}, not the copy in {tree}")


def tried(mutant: Mutant, tree: Path, *, default: bool) -> Outcome:
    """The tests of a mutant on the copy `tree`, which is then as it was."""
    path = tree / "jaxrnn" / mutant.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(mutant.old, mutant.new), encoding="utf-8")
    start = time.monotonic()
    try:
        code, output = run_tests(mutant, tree, default=default)
    finally:
        path.write_text(sound, encoding="utf-8")
    seconds = time.monotonic() - start
    failed = FAILED.search(output)
    if code == 1 and failed:
        return Outcome("caught", seconds, failed[1])
    if code is None:
        return Outcome("error", seconds, f"the tests took longer than {LIMIT:.0f} s")
    said = (output.strip().splitlines() or ["nothing"])[-1]
    # where all were skipped, or none has the name or the mark, nobody has looked
    if code in (0, 5) and " passed" not in said:
        return Outcome("error", seconds, f"no test ran: {said}")
    if code == 0:
        return Outcome("SURVIVED", seconds, "")
    return Outcome("error", seconds, f"pytest ended with {code} and says: {said}")


def fail_anyway(tests: Sequence[str], tree: Path) -> set[str]:
    """Those of the tests that fail without any fault, which have caught nothing."""
    code, output = run_pytest(["-m", "", *tests], tree, limit=4 * LIMIT)
    if code not in (0, 1):
        raise SystemExit(f"error: the tests without a fault ended with {code}: {output[-300:]}")
    return set(FAILED.findall(output))


def run_tests(mutant: Mutant, tree: Path, *, default: bool) -> tuple[int | None, str]:
    # the marks of the plain command are those of pyproject.toml; an empty -m takes all tests
    marks = [] if default else ["-m", ""]
    select = ["-k", mutant.select] if mutant.select else []
    return run_pytest(["-x", *marks, *select, *mutant.files()], tree)


def run_pytest(
    arguments: Sequence[str], tree: Path, *, limit: float = LIMIT
) -> tuple[int | None, str]:
    """The exit code of pytest, None past the limit, and what it printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=tree,
        env=surroundings(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except BaseException as error:
            # with the processes that its tests have started
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return None, ""
        return process.returncode, output


def named(part: str) -> list[Mutant]:
    return [mutant for mutant in MUTANTS if part in mutant.name]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="part of a name; all where none is given"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--default", action="store_true", help="only the tests of plain pytest")
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.names if not named(part)]:
        parser.error(f"no mutant is called {', '.join(unknown)}; --list shows those that there are")
    wanted = {mutant.name for part in options.names or [""] for mutant in named(part)}
    chosen = [mutant for mutant in MUTANTS if mutant.name in wanted]
    width = max(len(mutant.name) for mutant in chosen)
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:<{width}}  jaxrnn/{mutant.file}  {mutant.tests}")
        return 0
    if faults := broken(MUTANTS):
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    # so that nothing is left running or lying about
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: terminated"))
    # in the background Ctrl-C is ignored, and without a handler here by tests of interrupts as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
    by_test: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="jaxrnn-mutants-") as folder:
        tree = Path(folder).resolve() / "tree"
        scratch_copy(tree)
        require_own_copy(tree)
        for mutant in chosen:
            verdict, seconds, by = tried(mutant, tree, default=options.default)
            if verdict == "caught":
                by_test.setdefault(by, []).append(mutant.name)
            row = f"{mutant.name:<{width}}  {verdict:<8}  {seconds:4.0f} s  {by}"
            print(row.rstrip(), flush=True)
        wrong = fail_anyway(list(by_test), tree) if by_test else set()
    for test in sorted(wrong & by_test.keys()):
        for name in by_test.pop(test):
            print(f"{name:<{width}}  error     not caught: {test} fails without the fault too")
    caught = sum(map(len, by_test.values()))
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught >= WANTED * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
