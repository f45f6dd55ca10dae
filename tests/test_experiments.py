"""The real `main` of every experiment: what it leaves behind, and what it says to bad input."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import char, generate, toy
from jaxrnn import runs
from jaxrnn.cells import CELLS
from jaxrnn.data import TOY, loss_floors
from jaxrnn.runs.directory import read_metrics

pytestmark = pytest.mark.full  # newer files hold most of it

ROOT = Path(__file__).parents[1]
SMALL = "--num-layers 1 --hidden-size 6 --embedding-size 4 --batch-size 4 --num-steps 8 --epochs 1"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog.\n" * 30, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def char_run(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "char"
    flags = ["--corpus", str(text), *SMALL.split(), "--seeds", "2", "--run", str(path)]
    assert char.main([*flags, "--learning-rate", "0.02"]) == 0
    return path


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "toy"
    assert toy.main(["--preset", "smoke", "--run", str(path)]) == 0
    return path


def one_line(capsys, main, arguments) -> str:
    """The single line on stderr of a command that must fail."""
    capsys.readouterr()
    assert main(arguments) not in (0, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_run_has_all_its_parts(char_run):
    names = {path.name for path in char_run.iterdir()}
    assert names >= {
        *("config.json", "environment.json", "vocabulary.json", "metrics.jsonl"),
        *("summary.json", "checkpoints", "plots", "samples"),
    }
    summary = json.loads((char_run / "summary.json").read_text())
    assert set(summary) == {"experiment", "config", "results", "claims", "seconds"}
    (row,) = summary["results"]
    assert len(row["train_loss_per_seed"]) == 2
    assert row["train_loss"] == np.median(row["train_loss_per_seed"])
    environment = json.loads((char_run / "environment.json").read_text())
    assert len(environment["texts"]["text.txt"]) == 64
    assert (char_run / "plots" / "learning_curves.png").stat().st_size > 1000


def test_the_final_loss_is_that_of_the_last_tenth(toy_run):
    (row,) = json.loads((toy_run / "summary.json").read_text())["results"]
    lines = [line for line in read_metrics(toy_run / "metrics.jsonl") if "loss" in line]
    updates = max(line["step"] for line in lines)
    for seed, final in zip(row["seeds"], row["final_loss"], strict=True):
        late = [x for x in lines if x["seed"] == seed and x["step"] > updates - updates // 10]
        assert sum(line["steps"] for line in late) == updates // 10
        weighted = sum(line["loss"] * line["steps"] for line in late)
        assert final == pytest.approx(weighted / (updates // 10), abs=1e-9)
    assert loss_floors(TOY)[(3, 8)] < row["spread"]["median"] < loss_floors(TOY)[()]


def test_the_second_run_finds_the_directory_taken(char_run, text, capsys):
    before = {p: p.read_bytes() for p in char_run.rglob("*") if p.is_file()}
    line = one_line(capsys, char.main, ["--corpus", str(text), "--run", str(char_run)])
    assert "exists" in line
    assert before == {p: p.read_bytes() for p in char_run.rglob("*") if p.is_file()}


def test_load_gives_each_member(char_run):
    params = [runs.load(char_run, member)[1] for member in range(2)]
    leaves = zip(*map(jax.tree.leaves, params), strict=True)
    assert any(not np.array_equal(a, b) for a, b in leaves)
    cell, params, vocabulary, config = runs.load(char_run, 1, which="last")
    assert vocabulary is not None
    assert config["hidden_size"] == 6
    carry = cell.init_carry(params, jax.random.key(0))
    _, logits = cell.step(params, carry, jnp.int32(0))
    assert logits.shape == (vocabulary.size,)
    with pytest.raises(ValueError, match="members 0 to 1"):
        runs.load(char_run, 2)


def test_generate_writes_prompt_and_text(char_run, capsysbinary):
    flags = ["--run", str(char_run), "--length", "20", "--temperature", "0"]
    written = []
    for prompt in ("t", "the quick brown fox"):
        for _ in range(2):
            assert generate.main([*flags, "--prompt", prompt]) == 0
            written.append(capsysbinary.readouterr().out.decode())
        assert written[-1] == written[-2]
        assert written[-1].startswith(prompt)
        assert len(written[-1]) == len(prompt) + 20 + 1


def test_generate_moved_and_into_a_file(char_run, tmp_path):
    moved = char_run.parent / "moved"
    char_run.rename(moved)
    try:
        out = tmp_path / "out.txt"
        flags = ["--run", str(moved), "--member", "1", "--samples", "3", "--length", "9"]
        assert generate.main([*flags, "--prompt", "dog", "--out", str(out)]) == 0
        assert out.read_text().count("dog") >= 3
    finally:
        moved.rename(char_run)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--prompt", "é"], "'é'"),
        (["--prompt", ""], "--prompt is '', which holds no character"),
        (["--temperature", "-1"], "temperature is -1"),
        (["--top-k", "0"], "top_k is 0"),
        (["--top-p", "2"], "top_p is 2"),
        (["--length", "0"], "length is 0"),
        (["--member", "7"], "member is 7"),
    ],
)
def test_generate_names_what_is_wrong(flags, named, char_run, capsys):
    assert named in one_line(capsys, generate.main, ["--run", str(char_run), *flags])


def test_generate_needs_a_run_with_a_text(toy_run, tmp_path, capsys):
    assert "no text" in one_line(capsys, generate.main, ["--run", str(toy_run)])
    assert "not a run" in one_line(capsys, generate.main, ["--run", str(tmp_path)])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--cell", "nonsense"], ", ".join(CELLS)),
        (["--cell", "missing.py:cell"], "missing.py does not exist"),
        (["--corpus", "nonsense"], "tiny-shakespeare"),
        (["--corpus", "missing.txt"], "missing.txt"),
        (["--batch-size", "100000"], "batch_size is 100000"),
        (["--num-steps", "100000"], "num_steps is 100000"),
        (["--hidden-size", "0"], "hidden_size is 0"),
        (["--hidden-size", "1000000000"], "GiB"),
        (["--num-layers", "1000000000"], "num_layers is 1000000000"),
        (["--seeds", "1000000000"], "--seeds 1000000000"),
        (["--epochs", "-1"], "epochs is -1"),
        (["--dropout", "1.5"], "dropout is 1.5"),
        (["--window", "3"], "window is 3"),
        (["--devices", "1000"], "--devices is 1000"),
        (["--valid-fraction", "1"], "valid_fraction is 1"),
        (["--epoch", "3"], "--epoch"),
        (["--epochs", "many"], "many"),
        (["--preset", "nonsense"], "nonsense"),
    ],
)
def test_char_names_what_is_wrong_and_leaves_nothing(flags, named, text, tmp_path, capsys):
    run = tmp_path / "run"
    corpus = [] if "--corpus" in flags else ["--corpus", str(text)]
    arguments = ["--preset", "smoke", *corpus, *flags, "--run", str(run)]
    assert named in one_line(capsys, char.main, arguments)
    assert not run.exists()


@pytest.mark.parametrize("content", [b"", b" \n", b"a\0b", b"\xff\xfe\xfa", b"ab"])
def test_char_names_a_bad_text(content, tmp_path, capsys):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    arguments = ["--preset", "smoke", "--corpus", str(path), "--run", str(tmp_path / "run")]
    one_line(capsys, char.main, arguments)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_run(text, tmp_path, capsys):
    run = tmp_path / "run"
    # fine for 100 time steps
    source = tmp_path / "fragile.py"
    source.write_text(
        "import jax.numpy as jnp\n"
        "from jaxrnn import Cell, elman\n\n\n"
        "def fragile(i, h):\n"
        "    inner = elman(i, h)\n\n"
        "    def step(params, carry, x):\n"
        "        h, count = carry\n"
        "        h, y = inner.step(params, h, x)\n"
        "        return (h, count + 1), y * jnp.where(count > 100, jnp.nan, 1.0)\n\n"
        "    def init_carry(params, key):\n"
        "        return inner.init_carry(params, key), jnp.int32(0)\n\n"
        "    return Cell(inner.init, init_carry, step)\n"
    )
    flags = ["--corpus", str(text), *SMALL.split(), "--log-every", "2", "--checkpoint-seconds", "0"]
    arguments = [*flags, "--cell", f"{source}:fragile", "--run", str(run)]
    line = one_line(capsys, char.main, arguments)
    assert "not finite at step 13" in line
    _, params, _, _ = runs.load(run, which="last")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_a_chunk_is_traced_once(text, tmp_path):
    source = tmp_path / "counting.py"
    log = tmp_path / "traces"
    source.write_text(
        "from pathlib import Path\nfrom jaxrnn import elman\n\n\n"
        "def counting(i, h):\n"
        "    inner = elman(i, h)\n\n"
        "    def step(params, carry, x):\n"
        f"        with Path({str(log)!r}).open('a') as file:\n"
        "            file.write('.')\n"
        "        return inner.step(params, carry, x)\n\n"
        "    return inner._replace(step=step)\n"
    )

    def traces(epochs):
        log.write_text("")
        flags = ["--corpus", str(text), *SMALL.split(), "--epochs", str(epochs), "--log-every", "3"]
        run = tmp_path / f"run_{epochs}"
        assert char.main([*flags, "--cell", f"{source}:counting", "--run", str(run)]) == 0
        return len(log.read_text())

    assert traces(1) == traces(4)


def test_the_list_names_every_experiment():
    command = [sys.executable, "-m", "experiments"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folder = ROOT / "experiments"
    packages = [path.parent for path in folder.glob("[a-z]*/__init__.py")]
    for path in [*folder.glob("[a-z]*.py"), *packages]:
        assert f"python -m experiments.{path.stem}" in shown
    assert shown.count("Question:") == shown.count("Run time:") == shown.count("Command:")
    assert "-\n" not in shown
