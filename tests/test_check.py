"""The command `python -m jaxrnn.check`."""

import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_laws_catch import FAULTS
from tiers import mostly_full

from jaxrnn import check
from jaxrnn.cells import CELLS, elman
from jaxrnn.check import main
from jaxrnn.check.smallest import Sizes, smallest
from jaxrnn.laws import (
    CELL_LAWS,
    LEARNING_LAWS,
    REFERENCE_LAWS,
    STEP_LAWS,
    subject,
    what_is_broken,
)

BROKEN_CELLS = Path(__file__).parent / "broken_cells.py"

OWN_CELL = '''
import jax
import jax.numpy as jnp
from jaxrnn import Cell

def skip(input_size, hidden_size):
    """h also sees the h of two time steps ago."""
    def init(key):
        key_x, key_h, key_skip = jax.random.split(key, 3)
        return {
            "w_ih": jax.random.normal(key_x, (input_size, hidden_size)) / input_size**0.5,
            "w_hh": jax.random.normal(key_h, (hidden_size, hidden_size)) / hidden_size**0.5,
            "w_skip": jax.random.normal(key_skip, (hidden_size, hidden_size)) / hidden_size**0.5,
            "b": jnp.zeros(hidden_size),
        }

    def init_carry(params, key):
        return {"h": jnp.zeros(hidden_size), "before": jnp.zeros(hidden_size)}

    def step(params, carry, x):
        recurrent = carry["h"] @ params["w_hh"] + carry["before"] @ params["w_skip"]
        h = jnp.tanh(x @ params["w_ih"] + recurrent + params["b"])
        return {"h": h, "before": carry["h"]}, h

    return Cell(init, init_carry, step)

def raising(input_size, hidden_size):
    raise RuntimeError("no weights\\nfor you")

def leaving(input_size, hidden_size):
    raise SystemExit(3)

def no_cell(input_size, hidden_size):
    return 7

def no_init(input_size, hidden_size):
    return Cell(lambda key: 1 / 0, lambda params, key: 0, lambda params, carry, x: (carry, x))

def one_size(size):
    return skip(size, size)

number = 3
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN_CELL)
    return path


def report(capsys, *argv: str) -> tuple[int, dict[str, str]]:
    """The exit code, and what is said of each law."""
    code = main([*argv, "--no-speed"])
    laws = CELL_LAWS | LEARNING_LAWS | REFERENCE_LAWS
    lines = capsys.readouterr().out.splitlines()
    said = {law: [line for line in lines if line.startswith(f"{law}  ")] for law in laws}
    return code, {law: line.removeprefix(law).strip() for law, (line,) in said.items()}


@pytest.mark.full
def test_a_good_cell(capsys, own, monkeypatch):
    monkeypatch.setattr(check, "MEASURE", 0.0)
    assert main([f"{own}:skip", "--input-size", "2", "--hidden-size", "5"]) == 0
    printed = capsys.readouterr().out
    assert "input_size 2, hidden_size 5: 65 parameters" in printed
    assert "['w_skip'] float32[5, 5]" in printed
    assert printed.count("  ok\n") == len(CELL_LAWS | LEARNING_LAWS)
    assert printed.count("  not given\n") == len(REFERENCE_LAWS)
    assert "\nschedule distributed: " in printed
    times = dict(re.findall(r"^  (this cell|gru|lstm) +([\d.]+) ms", printed, re.MULTILINE))
    ratios = re.findall(r"this cell takes ([\d.]+) times as long", printed)
    for name, ratio in zip(("gru", "lstm"), ratios, strict=True):
        expected = float(times["this cell"]) / float(times[name])
        assert float(ratio) == pytest.approx(expected, abs=0.02 + 0.01 * expected)


# Two that end the examination, and one that leaves the other laws to try. That each law names its
# own faults, test_laws_catch holds.
THREE = (
    "carry_shape_drifts",
    "batch_axis_assumed",
    pytest.param("parameter_unused", marks=pytest.mark.full),
)


@pytest.mark.parametrize("fault", THREE)
def test_a_broken_cell_is_named(capsys, fault):
    law, message = FAULTS[fault]
    code, said = report(capsys, f"{BROKEN_CELLS}:{fault}")
    assert code == 1
    assert said[law].startswith("BROKEN: ")
    assert message in said[law]
    if law in STEP_LAWS:
        later = [*CELL_LAWS, *LEARNING_LAWS][[*CELL_LAWS].index(law) + 1 :]
        assert {said[other] for other in later} == {"not tried, since step cannot be unrolled"}


# What the message says at the smallest sizes, and these: a fault of params or of one step needs one
# example of one time step, a cut needs two.
SMALLEST = {
    "carry_shape_drifts": ("enters as float32[1] and leaves as float32[2]", (1, 1, 1, 1)),
    "batch_axis_assumed": ("it fails on one example, x float32[1]", (1, 1, 1, 1)),
    "parameter_unused": ("params['w_skip'] influences no output", (1, 1, 1, 1)),
    "output_rounded": ("of the outputs to params.w_ih is zero everywhere", (1, 1, 1, 1)),
    "calls_numbered": ("cut after 1 of 2 time steps", (1, 1, 1, 2)),
}


@pytest.mark.parametrize("fault", mostly_full(SMALLEST, "batch_axis_assumed", "calls_numbered"))
def test_the_smallest_example(capsys, monkeypatch, fault):
    monkeypatch.setattr(check, "SEARCH", 1e9)  # however slow the machine
    law = FAULTS[fault][0]
    cell = f"{BROKEN_CELLS}:{fault}"
    assert main([cell, "--law", law]) == 1
    printed = capsys.readouterr().out
    message, sizes = SMALLEST[fault]
    flags = " ".join(
        f"--{name.replace('_', '-')} {n}" for name, n in zip(Sizes._fields, sizes, strict=True)
    )
    _, found = printed.split(f"Smallest example of a broken {law!r}: ")
    assert message in found
    command = f"python -m jaxrnn.check {cell} {flags} --law '{law}'"
    assert f"  {command}\n" in found
    # the command shows it, and there is nothing smaller
    assert main(shlex.split(command)[3:]) == 1
    again = capsys.readouterr().out
    assert message in again
    assert "Smallest" not in again


def breaks_otherwise_when_narrow(tried):
    """A law that every cell breaks."""
    assert tried.hidden_size >= 3, "no room"
    raise AssertionError(f"h is float32[{tried.hidden_size}]")


def test_another_fault_is_no_smaller_example(monkeypatch):
    """The law looks at the size alone, so the cell is drawn once."""
    drawn = subject(elman)

    def made(factory, sizes):
        return drawn._replace(hidden_size=sizes.hidden_size)

    monkeypatch.setattr(sys.modules["jaxrnn.check.smallest"], "made", made)
    law, fault = breaks_otherwise_when_narrow, "AssertionError: h is float32[4]"
    assert what_is_broken(law, drawn) == fault
    sizes, found = smallest(elman, law, Sizes(), fault, 1e9)
    assert (sizes, found) == ((1, 3, 1, 1), "AssertionError: h is float32[3]")
    assert smallest(elman, law, Sizes(), "x", 1e9) == (Sizes(), "x")
    assert smallest(elman, law, Sizes(), fault, 0.0) == (Sizes(), fault)


def test_an_unknown_law(capsys):
    assert main(["gru", "--law", "Ohm's"]) == 2
    assert capsys.readouterr().err.startswith("error: --law is \"Ohm's\"; give one of 'takes one")


def test_a_cell_of_one_size_has_no_speed(capsys, monkeypatch):
    def narrow(input_size, hidden_size):
        if hidden_size > 20:
            raise RuntimeError("too wide")
        return elman(input_size, hidden_size)

    monkeypatch.setitem(CELLS, "narrow", narrow)
    monkeypatch.setattr(check, "LAWS", {})
    assert main(["narrow"]) == 0
    assert "hidden_size 128: not known, RuntimeError: too wide\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("gruu", f"cell 'gruu' is not known; give one of {', '.join(CELLS)}"),
        ("own.py:missing", "has no factory 'missing'"),
        ("own.py:number", "has no factory 'number'"),
        ("elsewhere.py:cell", "elsewhere.py does not exist"),
        ("own.py:raising", "RuntimeError: no weights for you"),
        ("own.py:leaving", "exits with 3 when it is called"),
        ("own.py:no_cell", "it returns int, not a jaxrnn.Cell"),
        ("own.py:no_init", "ZeroDivisionError: division by zero"),
        ("own.py:one_size", "takes 1 positional argument but 2 were given"),
        ("syntax.py:cell", "fails when it is run: SyntaxError"),
        ("binary.py:cell", "fails when it is run"),
        ("exits.py:cell", "exits with 5 when it is run"),
    ],
)
def test_no_cell_to_try(capsys, monkeypatch, own, argument, message):
    monkeypatch.chdir(own.parent)
    Path("syntax.py").write_text("def cell(:\n")
    Path("binary.py").write_bytes(b"\xff\xfe\x00cell")
    Path("exits.py").write_text("import sys\nsys.exit(5)\n")
    assert main([argument]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


STRANGE_STEPS = """
from jaxrnn import elman

def leaving(input_size, hidden_size):
    def step(params, carry, x):
        raise SystemExit(3)
    return elman(input_size, hidden_size)._replace(step=step)

def pair(input_size, hidden_size):
    cell = elman(input_size, hidden_size)
    def step(params, carry, x):
        carry, y = cell.step(params, carry, x)
        return carry, (y, y)
    return cell._replace(step=step)
"""


@pytest.mark.parametrize(
    ("factory", "law", "message"),
    [
        ("leaving", "takes one example, no batch axis", "SystemExit: 3"),
        ("pair", "learns a lag", "y is tuple of shapes [(4,), (4,)], no vector of hidden_size 4"),
    ],
)
def test_a_strange_step(capsys, tmp_path, factory, law, message):
    (tmp_path / "strange.py").write_text(STRANGE_STEPS)
    assert main([f"{tmp_path}/strange.py:{factory}", "--law", law, "--hidden-size", "4"]) == 1
    assert f"{law}  " in (printed := capsys.readouterr().out)
    assert f"BROKEN: {message}" in printed


def test_an_interrupt_is_one_line(capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "_report", interrupted)
    assert main(["gru"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_nonsense_sizes(capsys):
    assert main(["gru", "--hidden-size", "0"]) == 2
    assert capsys.readouterr().err == (
        "error: --hidden-size is 0; give a whole number of at least 1\n"
    )


@pytest.mark.parametrize("argv", [["gru", "--hiden-size", "3"], [], ["gru", "--input-size", "x"]])
def test_mistyped_flags(capsys, argv):
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


@pytest.mark.full
def test_the_command_answers_quickly():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "jaxrnn.check"]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "--hidden-size" in helped.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    wrong = subprocess.run([*command, "gruu"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: cell 'gruu' is not known")


@pytest.mark.full
def test_the_command_on_a_file(own):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "jaxrnn.check", "own.py:skip", "--no-speed"]
    done = subprocess.run(
        command, cwd=own.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
