"""What belongs together is bound together: whatever is altered in a run is said in one line that
names the file, before anything is trained, written or shown."""

import json
import shutil
from pathlib import Path

import jax
import pytest
from experiments_support import error_of, files_of, logged, small_char, summary, unbind
from trained_runs import shared_text

from experiments import char, generate, inspect
from jaxrnn.runs import load
from jaxrnn.runs.bound import check_complete, check_run
from jaxrnn.runs.directory import open_run
from jaxrnn.runs.records import read_record

STEP = "0000000014"  # the checkpoint of the first epoch; there is one of the second, too


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bound")
    text = shutil.copy(shared_text(tmp_path_factory), folder)
    flags = [*small_char(Path(text)), "--seeds", "2", "--checkpoint-seconds", "1000"]
    assert char.main([*flags, "--epochs", "1", "--run", str(folder / "run")]) == 0
    resume = ["--resume", str(folder / "run"), "--checkpoint-seconds", "1000"]
    assert char.main([*resume, "--epochs", "2"]) == 0
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def set_in(*place):
    """A change of the value at `place`, whose last part is the value."""
    *names, last, value = place

    def change(content):
        for name in names:
            content = content[name]
        content[last] = value

    return change


def swap(content):
    symbols = content["symbols"]
    symbols[0], symbols[1] = symbols[1], symbols[0]


CONFIG = {
    "config.seed is 5": set_in("config", "seed", 5),
    "config.hidden_size is 7": set_in("config", "hidden_size", 7),
    "config.epochs is 1": set_in("config", "epochs", 1),
    "config.epochs is missing": lambda content: content["config"].pop("epochs"),
    "log_every": set_in("config", "log_every", True),
    "seeds[0] is 3": set_in("seeds", 0, 3),
    "seeds.length is 1": set_in("seeds", [0]),
    "settings[0].model.hidden_size is 7": set_in("settings", 0, "model", "hidden_size", 7),
    "settings[0].name is 'other'": set_in("settings", 0, "name", "other"),
    "settings[0].name is missing": lambda content: content["settings"][0].pop("name"),
    "settings[0] is None": set_in("settings", 0, None),
    "seeds is empty": set_in("seeds", []),
    "seeds is missing": lambda content: content.pop("seeds"),
    "settings is 3": set_in("settings", 3),
    "config is None": set_in("config", None),
    "experiment is missing": lambda content: content.pop("experiment"),
}


def refused_by_all(run, capsys, text, *parts, only=("resume", "generate", "inspect")):
    before = files_of(run)
    commands = {
        "resume": (char.main, ["--resume", run, "--checkpoint-seconds", "0"]),
        "generate": (generate.main, ["--run", run, "--length", "3"]),
        "inspect": (inspect.main, ["--run", run, "--text", text, "--length", "5"]),
    }
    for name in only:
        said = error_of(capsys, *commands[name])
        for part in parts:
            assert part in said, name
    after = files_of(run)
    assert {name: after[name] for name in before if name != ".lock"} == {
        name: before[name] for name in before if name != ".lock"
    }


@pytest.mark.parametrize("said", CONFIG)
def test_an_altered_config(said, run, trained, capsys):
    edit(run / "config.json", CONFIG[said])
    refused_by_all(run, capsys, trained.parent / "text.txt", "config.json: ", said)


VOCABULARY = {
    "symbols": swap,
    "symbols[1]": set_in("symbols", 1, 3),
    "level": set_in("level", "word"),
    "unknown": lambda content: content.pop("unknown"),
}


@pytest.mark.parametrize("field", VOCABULARY)
def test_an_altered_vocabulary(field, run, trained, capsys):
    edit(run / "vocabulary.json", VOCABULARY[field])
    said = field.partition("[")[0]
    refused_by_all(run, capsys, trained.parent / "text.txt", "vocabulary.json: ", said)


@pytest.mark.parametrize("content", ["null", "[]", "3"])
@pytest.mark.parametrize("name", ["config.json", "vocabulary.json"])
def test_files_that_hold_something_else(name, content, run, trained, capsys):
    (run / name).write_text(content)
    refused_by_all(run, capsys, trained.parent / "text.txt", name, "not an object")


def test_a_lost_vocabulary(run, trained, capsys):
    (run / "vocabulary.json").unlink()
    refused_by_all(run, capsys, trained.parent / "text.txt", "vocabulary.json is missing")


def alter_loss(lines):
    line = json.loads(lines[3])
    return [*lines[:3], (json.dumps(line | {"loss": 1.5}) + "\n").encode(), *lines[4:]]


LOGS = {
    "a byte cut off": (lambda lines: [*lines[:-1], lines[-1][:-1]], "the checkpoint expects"),
    "a line lost": (lambda lines: lines[:2] + lines[3:], "the checkpoint expects"),
    "a line twice": (lambda lines: [lines[0], *lines], "are not those that the checkpoint has"),
    "a loss edited": (alter_loss, "are not those that the checkpoint has seen"),
    "empty": (lambda lines: [], "the checkpoint expects"),
    "null": (lambda lines: [*lines[:2], b"null\n", *lines[2:]], "line 3 is no object"),
    "no setting": (lambda lines: [b'{"seed": 0, "step": 1}\n', *lines], "line 1: setting"),
    "a seed of text": (
        lambda lines: [b'{"setting": "char", "seed": "0", "step": 1}\n', *lines],
        "line 1: seed is '0'",
    ),
    "no JSON": (lambda lines: [*lines, b"{\n"], "is not valid JSON"),
}


@pytest.mark.parametrize("kind", LOGS)
def test_an_altered_log_of_a_complete_run(kind, run, trained, capsys):
    change, said = LOGS[kind]
    log = run / "metrics.jsonl"
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))
    refused_by_all(run, capsys, trained.parent / "text.txt", "metrics.jsonl", said)


def test_a_log_that_was_doubled_is_cut_back_and_another_jax_said(run, capsys):
    log = run / "metrics.jsonl"
    whole, found = log.read_bytes(), summary(run)
    log.write_bytes(whole + whole)
    edit(run / "environment.json", set_in("versions", "jax", "0.0.1"))
    capsys.readouterr()
    assert char.main(["--resume", str(run)]) == 0
    said = capsys.readouterr().err
    assert f"began with jax 0.0.1, this is {jax.__version__}" in said
    assert log.read_bytes() == whole
    assert summary(run) == found


def test_a_renamed_checkpoint_is_not_another_step(run, trained, capsys):
    """Complete with two of three epochs, it would be."""
    checkpoints = run / "checkpoints" / "char"
    newest = sorted(checkpoints.iterdir())[-1]
    shutil.rmtree(checkpoints / STEP)
    newest.rename(checkpoints / "0000000042")
    said = "manifest.json is that of step 28; the folder was renamed"
    refused_by_all(run, capsys, trained.parent / "text.txt", said)


def test_a_lost_manifest_is_said(run, capsys):
    (run / "checkpoints" / "char" / "0000000028" / "manifest.json").unlink()
    capsys.readouterr()
    load(run)
    said = capsys.readouterr().err
    assert "checkpoint 28 is damaged" in said
    assert "manifest.json missing" in said
    assert "falling back to checkpoint 14" in said


def test_all_manifests_lost_is_not_a_new_training(run, trained, capsys):
    for manifest in run.rglob("manifest.json"):
        manifest.unlink()
    said = ("manifest.json missing", "no sound checkpoint is left")
    refused_by_all(run, capsys, trained.parent / "text.txt", *said)


@pytest.mark.parametrize("what", ["checkpoints", "checkpoints/char", "checkpoints/char/*"])
def test_lost_checkpoints_of_a_complete_run(what, run, trained, capsys):
    for folder in list(run.glob(what)):
        shutil.rmtree(folder)
    text = trained.parent / "text.txt"
    refused_by_all(run, capsys, text, "has no checkpoint, though", only=("resume",))


def test_a_run_without_these_records_is_held_against_none(run):
    """It is read and complete, whatever was altered in it since."""
    unbind(run)
    edit(run / "config.json", set_in("config", "seed", 5))
    edit(run / "vocabulary.json", swap)
    record = read_record(open_run(run))
    check_run(open_run(run), record)
    check_complete(open_run(run))
    (run / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match=r"metrics.jsonl is missing, which the run wrote"):
        check_complete(open_run(run))
    load(run)


def test_a_complete_run_of_a_sweep_has_its_checkpoints_looked_at(run, capsys):
    """Nothing restores them, so nothing else would say it."""
    check_complete(open_run(run))
    assert not capsys.readouterr().err
    newest = sorted((run / "checkpoints" / "char").iterdir())[-1]
    array = max((newest / "state").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(array.read_bytes())
    content[len(content) // 2] ^= 1
    array.write_bytes(content)
    stays = f"; {run} is complete and stays so: restore it from a copy, or resume it alone"
    for change, said in [
        (lambda: None, f"checkpoint 28 is damaged ({array} altered or cut short)"),
        ((newest / "manifest.json").unlink, f"damaged ({newest / 'manifest.json'} missing or"),
        (lambda: shutil.rmtree(run / "checkpoints"), f"{run / 'checkpoints'} has no checkpoint"),
    ]:
        change()
        check_complete(open_run(run))
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert line.endswith(stays)


@pytest.mark.full
def test_a_run_without_these_records_goes_on(run):
    """As it was written before there were any: it is resumed, loaded and sampled from."""
    unbind(run)
    (run / "vocabulary.json").write_text(
        json.dumps(json.loads((run / "vocabulary.json").read_text()))
    )
    load(run)
    assert generate.main(["--run", str(run), "--length", "3"]) == 0
    assert char.main(["--resume", str(run), "--epochs", "3"]) == 0
    assert logged(run)[-1]["step"] == 42
    assert "log_sha256" in next(run.rglob("0000000042/manifest.json")).read_text()


@pytest.mark.full
def test_a_kill_after_epochs_were_raised_loses_nothing(run):
    """The config says three epochs, and no checkpoint of such a run was written yet."""
    edit(run / "config.json", set_in("config", "epochs", 3))
    load(run)
    assert char.main(["--resume", str(run)]) == 0
    assert logged(run)[-1]["step"] == 42


ENVIRONMENT = {
    "devices.used is 'x'": set_in("devices", "used", "x"),
    "devices.used is 0": set_in("devices", "used", 0),
    "devices.used is 3, the run was trained with 1": set_in("devices", "used", 3),
    "devices.used is missing": lambda content: content.pop("devices"),
    "x64 is True, the run was trained with False": set_in("x64", True),
    "x64 is 'yes'": set_in("x64", "yes"),
    "numerics.threefry_partitionable is False": set_in("numerics", "threefry_partitionable", False),
    "numerics.default_matmul_precision is missing": lambda content: content["numerics"].pop(
        "default_matmul_precision"
    ),
    "texts is None": lambda content: content.pop("texts"),
    "records no variables": lambda content: content.pop("variables"),
}


@pytest.mark.parametrize("said", ENVIRONMENT)
def test_an_altered_environment(said, run, trained, capsys):
    edit(run / "environment.json", ENVIRONMENT[said])
    text = trained.parent / "text.txt"
    refused_by_all(run, capsys, text, "environment.json", said, only=("resume",))


@pytest.mark.full
def test_draws_are_those_that_the_run_began_with(run, tmp_path, capsys):
    """Whatever JAX_THREEFRY_PARTITIONABLE says where it goes on."""
    alike = Path(shutil.copytree(run, tmp_path / "alike"))
    resume = ["--epochs", "3", "--checkpoint-seconds", "1000"]
    assert char.main(["--resume", str(alike), *resume]) == 0
    capsys.readouterr()
    with jax.threefry_partitionable(False):
        assert char.main(["--resume", str(run), *resume]) == 0
        assert "JAX_THREEFRY_PARTITIONABLE is False here" in capsys.readouterr().err
    assert logged(run) == logged(alike)
    assert files_of(run / "samples") == files_of(alike / "samples")
