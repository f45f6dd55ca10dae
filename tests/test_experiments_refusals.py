"""Bad input: one line, at once, and nothing is created or lost.

What a config is refused for is tried on the config itself, before anything is traced; that the
command says it too, and leaves nothing behind, on one of each kind.
"""

import time

import pytest
from experiments_support import (
    SMALL_TOY,
    config_of,
    error_of,
    files_of,
    refusal,
    small_char,
    write_cells,
    write_text,
)

from experiments import char, speed, toy
from jaxrnn.cells import CELLS
from jaxrnn.data import CORPORA
from jaxrnn.gradients import STYLES, Style, bptt
from jaxrnn.runs.config import replaced
from jaxrnn.runs.directory import create_run
from jaxrnn.runs.files import write_json


@pytest.fixture
def text(tmp_path):
    return write_text(tmp_path)


@pytest.fixture
def refused(tmp_path, text, capsys):
    """Trains with the arguments, and returns the line that refuses: nothing is left behind."""

    def refused(*arguments, experiment=char, code=1) -> str:
        before = files_of(tmp_path)
        small = small_char(text) if experiment is char else SMALL_TOY
        start = time.monotonic()
        line = error_of(
            capsys, experiment.main, [*small, "--run", tmp_path / "run", *arguments], code
        )
        assert time.monotonic() - start < 10
        assert not (tmp_path / "run").exists()
        assert files_of(tmp_path) == before
        return line

    return refused


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A config of each experiment that trains."""
    text = write_text(tmp_path_factory.mktemp("text"))
    return {char: config_of(char, *small_char(text)), toy: config_of(toy, *SMALL_TOY)}


@pytest.fixture
def says(small):
    """What is said of a config with other values."""

    def says(experiment=char, **changes) -> str:
        return refusal(experiment, replaced(small[experiment], **changes))

    return says


def test_the_configs_are_not_refused(small):
    for experiment, config in small.items():
        with pytest.raises(AssertionError, match="not refused"):
            refusal(experiment, config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden-size", "0"], "--hidden-size is 0; give a whole number of at least 1"),
        (["--hidden-size", "1000000000"], "the training state needs"),
        (["--learning-rate", "nan"], "--learning-rate is nan"),
        # a history only when the estimator is traced
        (["--history", "3"], "use at most 0"),
        (["--window", "40", "--history", "20"], "use at most 10"),
        (["--estimator", "bptt", "--history", "3"], "bptt takes none"),
        (["--estimator", "random_length", "--history", "3"], "random_length takes none"),
        (["--batch-size", "3000"], "the text has"),
        (["--seeds", "0"], "seeds is 0"),
        (["--devices", "-1"], "--devices is -1"),
        (["--devices", "3"], "--devices is 3; give at most 2"),
        (["--devices", "1000000000000"], "--devices is 1000000000000"),
        (["--checkpoint-seconds", "-1"], "--checkpoint-seconds is -1.0"),
        (["--checkpoint-seconds", "nan"], "--checkpoint-seconds is nan"),
        (["--tensorboard-every", "-1"], "--tensorboard-every is -1"),
    ],
)
def test_the_command_says_so_and_leaves_nothing(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize("arguments", [["--length", "0"], ["--state-size", "2", "1000000000"]])
def test_the_toy_says_so_too(refused, arguments):
    refused(*arguments, experiment=toy)


# Texts and cells


def test_an_unknown_corpus_names_the_known_ones(refused):
    line = refused("--corpus", "shakespeer")
    assert all(name in line for name in [*CORPORA, "stdlib", "--corpus", "'shakespeer'"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"abc\0def", "binary (NUL at byte 3)"),
        ("Käse".encode("latin-1") * 900, "not UTF-8 at byte 1"),
        (b"short", "give a smaller --num-steps or --batch-size, or a longer text"),
    ],
)
def test_a_text_that_cannot_be_used(says, tmp_path, content, message):
    path = tmp_path / "other.txt"
    if content is not None:
        path.write_bytes(content)
    assert message in says(corpus=str(path), batch_size=1, valid_fraction=0.0)


def test_a_folder_is_no_text(says, tmp_path):
    assert "Is a directory" in says(corpus=str(tmp_path))


def test_a_wrong_checksum(says, tmp_path, monkeypatch):
    path = tmp_path / "data" / "nvidia" / "nvidia_processed.txt"
    path.parent.mkdir(parents=True)
    path.write_text("something else")
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path / "data"))
    line = says(corpus="nvidia")
    assert f"{path} has sha256" in line
    assert CORPORA["nvidia"].files[0].sha256 in line


def test_no_network_and_no_folder_of_texts(tmp_path, text, capsys, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.delenv("JAXRNN_DATA", raising=False)
    monkeypatch.setenv("JAXRNN_CACHE", str(cache))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    arguments = [*small_char(text), "--corpus", "tiny-shakespeare", "--run", tmp_path / "run"]
    assert char.main([str(argument) for argument in arguments]) == 1
    *_, line = capsys.readouterr().err.splitlines()  # pooch says first what it tries
    assert line.startswith("error: --corpus: https://")
    assert "cannot be downloaded" in line
    assert "set JAXRNN_DATA" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("nosuch", f"give one of {', '.join(CELLS)}, or path/to/file.py:factory"),
        ("nowhere.py:mine", "nowhere.py does not exist"),
        ("{cells}", f"give one of {', '.join(CELLS)}, or path/to/file.py:factory"),
        ("{cells}:nosuch", "has no factory 'nosuch'"),
        ("{cells}:jax", "has no factory 'jax'"),
        ("{cells}:raises", "RuntimeError: no such luck and a second line"),
        ("{cells}:no_arguments", "no_arguments() takes 0 positional arguments"),
    ],
)
@pytest.mark.parametrize("experiment", [char, toy])
def test_a_cell_that_is_none(says, tmp_path, experiment, cell, message):
    assert message in says(experiment, cell=cell.format(cells=write_cells(tmp_path)))


@pytest.mark.parametrize(
    ("experiment", "cell", "message"),
    [
        (char, "raises", "RuntimeError: no such luck and a second line"),
        (char, "number", "(JAXRNN_TRACEBACK=1 shows where)"),
        (char, "wrong_shapes", "TypeError"),
        (char, "too_many", "give a vector of hidden_size, [6]"),
        (char, "drifts", "float32[8,6] but the corresponding output"),
        (toy, "drifts", "float32[10,2] but the corresponding output"),
    ],
)
def test_a_cell_that_fails_is_named(refused, tmp_path, experiment, cell, message):
    """The last ones only when a training step is traced."""
    cell = f"{write_cells(tmp_path)}:{cell}"
    line = refused("--cell", cell, experiment=experiment)
    assert line.startswith(f"error: with --cell {cell}: ")
    assert message in line


def test_a_cell_whose_step_jax_refuses_is_named(refused, tmp_path):
    """By a ValueError, of which JAX has many and whose lines are shown as they are."""
    cell = f"{write_cells(tmp_path)}:refuses"
    assert refused("--cell", cell).startswith(f"error: cell {cell}: ValueError: matmul")


@pytest.mark.parametrize("source", ["def f(:", "import nosuchmodule", "1 / 0"])
def test_a_cells_file_that_does_not_run(says, tmp_path, source):
    (tmp_path / "cell.py").write_text(source)
    line = says(cell=f"{tmp_path / 'cell.py'}:f")
    assert f"{tmp_path / 'cell.py'} fails when it is run: " in line


# Numbers

HUGE = [10**9, 10**12, 10**30]
SIZES = ["num_layers", "hidden_size", "batch_size", "num_steps", "epochs", "seeds", "log_every"]
MAY_BE_HUGE = {"limit", "log_every", "seed"}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_of_nothing(says, name, value):
    line = says(**{name: value})
    assert name.replace("_", "-") in line.replace("_", "-")
    assert str(value) in line


@pytest.mark.parametrize("name", ["embedding_size", "window", "stride", "history"])
def test_negative_sizes(says, name):
    assert "-1" in says(**{name: -1})


@pytest.mark.parametrize("name", [*SIZES, "embedding_size", "window", "stride", "history"])
@pytest.mark.parametrize("value", HUGE)
def test_huge_sizes_of_char(says, name, value):
    if value != HUGE[0] or name not in MAY_BE_HUGE:  # so large a log_every is an epoch
        says(**{name: value})


@pytest.mark.parametrize("name", ["sample_length", "seed", "limit"])
@pytest.mark.parametrize("value", HUGE[1:])
def test_other_huge_numbers(says, name, value):
    assert f"--{name.replace('_', '-')}" in says(**{name: value})


@pytest.mark.parametrize("name", ["batch_size", "length", "seeds", "window", "history"])
@pytest.mark.parametrize("value", [-1, *HUGE])
def test_nonsense_sizes_of_toy(says, name, value):
    says(toy, **{name: value})


@pytest.mark.parametrize("name", ["num_steps", "state_size", "epochs"])
@pytest.mark.parametrize("value", [0, -1, *HUGE])
def test_nonsense_settings_of_toy(says, name, value):
    says(toy, **{name: (1, value)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": float("nan")}, "--learning-rate is nan"),
        ({"learning_rate": -0.1}, "--learning-rate is -0.1"),
        ({"learning_rate": float("inf")}, "--learning-rate is inf"),
        ({"max_norm": 0.0}, "--max-norm is 0.0"),
        ({"max_norm": -1.0}, "--max-norm is -1.0"),
        ({"max_norm": float("nan")}, "--max-norm is nan"),
        ({"dropout": 1.5}, "dropout is 1.5"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "--dropout is nan"),
        ({"valid_fraction": 1.0}, "--valid-fraction is 1.0"),
        ({"valid_fraction": float("nan")}, "--valid-fraction is nan"),
        ({"limit": 1}, "limit is 1"),
        ({"sample_length": -1}, "--sample-length is -1"),
        ({"seed": -1}, "--seed is -1"),
        ({"window": 4, "stride": 8}, "window is 4, below the stride 8"),
        ({"stride": 7}, "--stride is 7, --num-steps"),
        ({"window": 1000}, "--window is 1000, longer than the text: a stream has 4"),
        ({"estimator": "bptt", "window": 5}, "bptt takes no window, leave it out"),
        ({"estimator": "artbp", "stride": 5}, "artbp takes no stride, leave it out"),
        ({"estimator": "artbp", "window": 1}, "artbp needs a mean length of at least 2"),
        ({"batch_size": 3000}, "the text has"),
    ],
)
def test_numbers_out_of_range(says, changes, message):
    assert message in says(**changes)


@pytest.mark.parametrize("experiment", [char, toy])
@pytest.mark.parametrize("late", [False, True])
def test_a_cell_that_an_estimator_is_not_defined_for(refused, monkeypatch, experiment, late):
    """Whether it is refused when the style is built, or when it is traced."""

    def build(cell, objective, window, stride, schedule):
        def refuse(*_):
            raise ValueError("picky is not defined for this cell, use tbptt")

        return bptt(cell, objective)._replace(estimate=refuse) if late else refuse()

    monkeypatch.setitem(STYLES, "artbp", Style(build, carries=True, truncates=True))
    line = refused("--estimator", "artbp", experiment=experiment)
    assert line == "error: picky is not defined for this cell, use tbptt"


def test_settings_of_different_lengths(says):
    assert "3, 2, 2 entries" in says(toy, num_steps=(1, 2, 3))
    assert "twice" in says(toy, num_steps=(2, 2), state_size=(3, 3), epochs=(1, 2))
    assert "0, 2, 2 entries" in says(toy, num_steps=())


@pytest.mark.parametrize("value", ["0", "-1", "1000000000"])
def test_repeats_of_speed(tmp_path, capsys, value):
    arguments = ["--repeats", value, "--run", tmp_path / "run"]
    assert value in error_of(capsys, speed.main, arguments)
    assert not (tmp_path / "run").exists()


# The command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hiden-size", "3"], "--hiden-size, 3 (perhaps --hidden-size)"),
        (["--preset", "nonsense"], "'smoke', 'quick', 'published'"),
        (["--preset=nonsense"], "'smoke', 'quick', 'published'"),
        (["--epochs", "x"], "--epochs"),
        (["--epochs"], "--epochs"),
        (["--epoch", "3"], "--epoch"),
        (["--cell"], "--cell"),
        (["surplus"], "surplus"),
        (["--optimizer", "adamm"], "--optimizer"),
        (["--estimator", "nosuch"], ", ".join(f"'{name}'" for name in STYLES)),
        (["--learning-rate", "fast"], "--learning-rate"),
    ],
)
def test_what_cannot_be_read_is_one_line(refused, arguments, message):
    line = refused(*arguments, code=2)
    assert message in line
    assert line.endswith("; see python -m experiments.char --help")


def test_the_last_preset_counts():
    found = config_of(char, "--preset", "quick", "--preset", "smoke", "--epochs", "1")
    assert found == replaced(char.PRESETS["smoke"], epochs=1)


# Runs that exist, and runs that do not


@pytest.mark.parametrize("kind", ["run", "empty folder", "file", "link"])
def test_what_exists_is_left_alone(tmp_path, text, capsys, kind):
    path = tmp_path / "there"
    if kind == "run":
        (path / "checkpoints").mkdir(parents=True)
        (path / "config.json").write_text("{}")
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / "nowhere")
    before = files_of(tmp_path)
    line = error_of(capsys, char.main, [*small_char(text), "--run", path])
    resume = f" or --resume {path}" if kind == "run" else ""
    assert line.endswith(f"--run {path} exists; choose another directory{resume}")
    assert files_of(tmp_path) == before


def test_a_folder_that_cannot_be_made(refused, text):
    assert "a parent of it is a file" in refused("--run", text / "run")


def test_what_cannot_be_resumed(tmp_path, capsys):
    """And of a run that is there: test_resume."""
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "not a run directory")):
        assert message in error_of(capsys, char.main, ["--resume", path])


def test_a_resume_of_another_experiment(tmp_path, capsys):
    run = create_run(tmp_path / "run")
    write_json(run.config, {"experiment": "toy", "config": {}})
    before = files_of(run.path)
    line = error_of(capsys, char.main, ["--resume", str(run.path)])
    assert "python -m experiments.toy" in line
    assert files_of(run.path) == before
