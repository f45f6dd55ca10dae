"""The command `python -m jaxrnn.check`."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from test_laws_catch import FAULTS

from jaxrnn.cells import CELLS
from jaxrnn.check import main
from jaxrnn.laws import CELL_LAWS, LEARNING_LAWS, REFERENCE_LAWS, STEP_LAWS

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
    code = main(argv)
    laws = CELL_LAWS | LEARNING_LAWS | REFERENCE_LAWS
    lines = capsys.readouterr().out.splitlines()
    said = {law: [line for line in lines if line.startswith(f"{law}  ")] for law in laws}
    return code, {law: line.removeprefix(law).strip() for law, (line,) in said.items()}


def test_a_good_cell(capsys, own):
    assert main([f"{own}:skip", "--input-size", "2", "--hidden-size", "5"]) == 0
    printed = capsys.readouterr().out
    assert "input_size 2, hidden_size 5: 65 parameters" in printed
    assert "['w_skip'] float32[5, 5]" in printed
    assert printed.count("  ok\n") == len(CELL_LAWS | LEARNING_LAWS)
    assert printed.count("  not given\n") == len(REFERENCE_LAWS)


# Two that end the examination, and one that leaves the other laws to try. That each law names its
# own faults, test_laws_catch holds.
THREE = (
    "carry_shape_drifts",
    "batch_axis_assumed",
    pytest.param("parameter_unused", marks=pytest.mark.slow),
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


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("gruu", f"cell 'gruu' is not known; give one of {', '.join(CELLS)}"),
        ("own.py:missing", "has no factory 'missing'"),
        ("own.py:number", "has no factory 'number'"),
        ("elsewhere.py:cell", "elsewhere.py does not exist"),
        ("own.py:raising", "RuntimeError: no weights for you"),
        ("own.py:leaving", "SystemExit: 3"),
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


def test_nonsense_sizes(capsys):
    assert main(["gru", "--hidden-size", "0"]) == 2
    assert capsys.readouterr().err == (
        "error: hidden_size is 0; give a whole number of at least 1\n"
    )


@pytest.mark.parametrize("argv", [["gru", "--hiden-size", "3"], [], ["gru", "--input-size", "x"]])
def test_mistyped_flags(capsys, argv):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


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


@pytest.mark.slow
def test_the_command_on_a_file(own):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "jaxrnn.check", "own.py:skip"]
    done = subprocess.run(
        command, cwd=own.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
