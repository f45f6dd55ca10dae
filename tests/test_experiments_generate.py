"""Text from any run directory, and one line where there is none to be had."""

import json
import shutil

import jax
import numpy as np
import pytest
from experiments_support import error_of, small_char
from trained_runs import char_run, toy_run

from experiments import char, generate
from jaxrnn import runs
from jaxrnn.runs.checkpoints import committed_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two checkpoints, of two seeds."""
    return char_run(tmp_path_factory)


@pytest.fixture
def write(run, capsys):
    """What the command writes, and nothing else goes to stdout or stderr."""

    def write(*arguments) -> str:
        capsys.readouterr()
        flags = ["--run", run, "--length", 12, *arguments]
        assert generate.main([str(flag) for flag in flags]) == 0
        text, errors = capsys.readouterr()
        assert errors == ""
        return text

    return write


PROMPT = "the rose "  # most tests take it: one of another length, as any other flag, compiles anew


def test_the_prompt_and_what_follows(write):
    text = write("--prompt", PROMPT)
    assert text.startswith(PROMPT)
    assert len(text) == len(PROMPT) + 12 + 1


def test_the_same_again_and_another_with_another_seed(write):
    arguments = ["--prompt", PROMPT]
    assert write(*arguments) == write(*arguments)
    assert write(*arguments) != write(*arguments, "--seed", "1")
    assert write(*arguments) != write(*arguments, "--member", "1")


def test_without_a_prompt_a_line_begins(write):
    assert write("--temperature", "0") == write("--temperature", "0", "--prompt", "\n")


def test_temperature_zero_takes_the_likeliest_whatever_the_seed(write):
    greedy = write("--prompt", "the", "--temperature", "0")
    assert greedy == write("--prompt", "the", "--temperature", "0", "--seed", "5")
    assert greedy == write("--prompt", "the", "--temperature", "1", "--top-k", "1")
    assert greedy == write("--prompt", "the", "--temperature", "1", "--top-p", "1e-6")


def test_what_follows_does_not_depend_on_how_the_prompt_is_padded(run, write):
    """Read step by step with the loaded cell, a prompt of any length gives the same."""
    cell, params, vocabulary, _ = runs.load(run)
    assert vocabulary is not None
    step = jax.jit(cell.step)
    for prompt in ("t", "the", "the rose by any other name"):
        carry, logits = cell.init_carry(params, jax.random.key(0)), np.zeros(0)
        for token in vocabulary.encode(prompt):
            carry, logits = step(params, carry, token)
        written = []
        for _ in range(12):
            written.append(int(np.argmax(logits)))
            carry, logits = step(params, carry, np.int32(written[-1]))
        expected = prompt + vocabulary.decode(written) + "\n"
        assert write("--prompt", prompt, "--temperature", "0") == expected


def test_several_samples_have_a_line_between_them(write):
    texts = write("--prompt", "rose", "--samples", "3", "--temperature", "1").split("-" * 40 + "\n")
    assert len(texts) == 3
    assert all(text.startswith("rose") and len(text) == 4 + 12 + 1 for text in texts)
    assert len(set(texts)) == 3


def test_into_a_file(write, tmp_path):
    path = tmp_path / "out.txt"
    text = write("--prompt", PROMPT)
    assert write("--prompt", PROMPT, "--out", path) == ""
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "théQ"], "--prompt holds 'é', which is not in the vocabulary"),
        (["--prompt", ""], "--prompt is '', which holds no character; give at least one"),
        (["--temperature", "-1"], "temperature is -1.0"),
        (["--temperature", "nan"], "temperature is nan"),
        (["--temperature", "inf"], "temperature is inf"),
        (["--top-k", "0"], "--top-k is 0"),
        (["--top-k", "-3"], "--top-k is -3"),
        (["--top-p", "2"], "--top-p is 2.0"),
        (["--top-p", "0"], "--top-p is 0.0"),
        (["--top-p", "nan"], "--top-p is nan"),
        (["--member", "2"], "member is 2"),
        (["--member", "-1"], "member is -1"),
        (["--length", "0"], "length is 0"),
        (["--length", "-4"], "length is -4"),
        (["--length", "1000000000"], "1000000000"),
        (["--samples", "0"], "samples is 0"),
        (["--samples", "1000000000"], "--samples 1000000000"),
        (["--seed", "-1"], "--seed is -1"),
        (["--seed", "100000000000"], "--seed is 100000000000"),
        (["--out", "nowhere/to/be/found.txt"], "--out nowhere/to/be/found.txt cannot be written"),
    ],
)
def test_what_cannot_be_written_is_one_line(run, capsys, arguments, message):
    assert message in error_of(capsys, generate.main, ["--run", run, *arguments])


def test_places_that_are_no_run_with_text(tmp_path, capsys):
    assert "does not exist" in error_of(capsys, generate.main, ["--run", tmp_path / "none"])
    assert "not a run directory" in error_of(capsys, generate.main, ["--run", tmp_path])
    (tmp_path / "config.json").write_text("{")
    assert "not valid JSON" in error_of(capsys, generate.main, ["--run", tmp_path])


def test_a_run_that_reads_no_text(tmp_path_factory, capsys):
    run = toy_run(tmp_path_factory)
    assert "reads no text" in error_of(capsys, generate.main, ["--run", str(run)])


def test_a_run_without_a_checkpoint(run, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints")
    assert "has no checkpoint" in error_of(capsys, generate.main, ["--run", copy])


@pytest.mark.parametrize("damage", ["one bit", "cut short"])
def test_a_damaged_checkpoint(run, tmp_path, capsys, damage):
    """The one before it is taken, and stderr says so; where none is left, one line."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    checkpoints = copy / "checkpoints" / "char"
    older, newest = committed_steps(checkpoints)
    for step in (newest, older):
        files = [path for path in (checkpoints / f"{step:010d}").rglob("*") if path.is_file()]
        victim = max(files, key=lambda path: path.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 4
        victim.write_bytes(data if damage == "one bit" else data[: len(data) // 2])
        if step == newest:
            capsys.readouterr()
            assert generate.main(["--run", str(copy), "--prompt", PROMPT, "--length", "12"]) == 0
            text, warning = capsys.readouterr()
            assert len(text) == len(PROMPT) + 12 + 1
            (line,) = warning.splitlines()
            assert line.startswith(f"warning: checkpoint {newest} is damaged")
            assert line.endswith(f"falling back to checkpoint {older}")
    assert generate.main(["--run", str(copy)]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert "no sound checkpoint is left" in error


@pytest.mark.full
def test_a_vocabulary_without_lines(tmp_path, capsys):
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("ab" * 900 + "c", encoding="utf-8")
    assert char.main([*small_char(text), "--epochs", "1", "--run", str(run)]) == 0
    assert generate.main(["--run", str(run), "--length", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("a")
    record = json.loads((run / "vocabulary.json").read_text())
    assert record["symbols"][0] == "a"
