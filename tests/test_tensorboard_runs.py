"""Runs with --tensorboard."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from experiments_support import SMALL_TOY, config_of, error_of, logged, small_char, training_of
from stopping import Killed, assert_same_run, dies_after
from sweep_support import FIXTURE
from test_tensorboard_files import accumulated, events_of, hparams_of, scalars_of
from tiers import mostly_full
from trained_runs import LOOKS, OFTEN, char_run, shared_text

from experiments import baselines, char, memorization, toy, truncation, word
from experiments.speed.presets import Shape
from experiments.speed.tensorboard import character_training
from jaxrnn import runs
from jaxrnn.models import TokenModel
from jaxrnn.optimizers import current_learning_rate
from jaxrnn.runs import main as running
from jaxrnn.runs.beside import check_beside
from jaxrnn.runs.config import replaced
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.experiment import Setting
from jaxrnn.runs.files import write_json
from jaxrnn.runs.preparing import of_seeds, prepare
from jaxrnn.runs.report import write_report
from jaxrnn.runs.tensorboard.boards import SHARE, Boards, show_results
from jaxrnn.runs.tensorboard.graph import training_graph
from jaxrnn.runs.tensorboard.observing import make_observe


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of two seeds, of 28 training steps each."""
    return char_run(tmp_path_factory)


def test_every_line_of_the_log_is_a_scalar(run):
    for seed in (0, 1):
        found = scalars_of(run / "tensorboard" / f"seed_{seed}")
        for field, tag in (("loss", "loss/training"), ("valid_loss", "loss/validation")):
            lines = [line for line in logged(run) if line["seed"] == seed and field in line]
            shown = [(step, value) for name, step, value in found if name == tag]
            assert [step for step, _ in shown] == [line["step"] for line in lines]
            values = [value for _, value in shown]
            np.testing.assert_allclose(values, [line[field] for line in lines], rtol=1e-6)
        tags = {tag for tag, _, _ in found}
        assert {"norm/gradient", "norm/params", "norm/updates", "optimizer/learning_rate"} <= tags
        assert {"speed/examples_per_second", "saturation/layer_1/tanh"} <= tags
        looks = [step for tag, step, _ in found if tag == "norm/params"]
        assert looks == [0, 6, 12, 20, 26, 28]  # ends of chunks: 3, 6, 9, 12, 14, 17, ...


@pytest.mark.full
def test_a_resumed_run_overlaps_nowhere(run, tmp_path, tmp_path_factory):
    """Killed behind a checkpoint, and the same run in all else, too. That TensorBoard changes
    nothing of a training, test_resume shows: its runs have none, and are compared with the one that
    has."""
    broken, whole = tmp_path / "run", run
    flags = [*small_char(shared_text(tmp_path_factory)), "--seeds", "2", *LOOKS, *OFTEN]
    dies_after(16, lambda: char.main([*flags, "--run", str(broken)]))
    # no --tensorboard: a run that has one goes on with it
    assert char.main(["--resume", str(broken), "--tensorboard-every", "6", *OFTEN]) == 0
    assert_same_run(whole, broken, members=2)
    for seed in (0, 1):
        mine, other = (
            accumulated(path / "tensorboard" / f"seed_{seed}") for path in (broken, whole)
        )
        for tag in ("loss/training", "norm/gradient", "norm/params", "loss/validation"):
            ours, theirs = mine.Scalars(tag), other.Scalars(tag)
            assert [e.step for e in ours] == [e.step for e in theirs], tag
            assert [e.value for e in ours] == [e.value for e in theirs], tag


@pytest.mark.full
def test_a_sample_is_shown_once_after_a_kill(run, tmp_path, tmp_path_factory):
    """Killed behind an epoch whose sample was shown, and before the next checkpoint: the epoch is
    trained again, and its sample written again."""
    broken = tmp_path / "run"
    rarely = ["--checkpoint-seconds", "1000"]
    flags = [*small_char(shared_text(tmp_path_factory)), "--seeds", "2", *LOOKS, *rarely]
    dies_after(16, lambda: char.main([*flags, "--run", str(broken)]))
    assert list(RunDirectory(broken).samples.glob("epoch_001*"))
    assert char.main(["--resume", str(broken), "--tensorboard-every", "6", *rarely]) == 0
    mine, other = (accumulated(path / "tensorboard" / "seed_0") for path in (broken, run))
    tags = [tag for tag in other.Tags()["tensors"] if tag.startswith("samples/")]
    assert tags
    for tag in tags:
        ours, theirs = (
            [(e.step, e.tensor_proto.string_val[0]) for e in each.Tensors(tag)]
            for each in (mine, other)
        )
        assert ours == theirs
        assert [step for step, _ in ours] == [14, 28]


@pytest.mark.full
def test_a_run_that_is_killed_before_it_trains_has_a_tensorboard(tmp_path, monkeypatch):
    """And each of several settings its folder, as in any run."""

    def die(*_, **__):
        raise Killed

    flags = [*SMALL_TOY, "--tensorboard", "--run", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(running, "train", die)
        with pytest.raises(Killed):
            toy.main(flags)
    run = tmp_path / "run"
    assert toy.main(["--resume", str(run)]) == 0
    folders = {path.parent.relative_to(run).as_posix() for path in run.rglob("*tfevents*")}
    assert folders == {
        "tensorboard",
        *(
            f"tensorboard/{setting}/seed_{seed}"
            for setting in ("steps_2_state_2", "steps_3_state_3")
            for seed in (0, 1, 2)
        ),
    }
    for size in (2, 3):
        row = hparams_of(run / f"tensorboard/steps_{size}_state_{size}/seed_1")
        assert row["vocab_size"] == 2
        assert row["setting"] == f"steps_{size}_state_{size}"
        assert (row["hidden_size"], row["epochs"], row["seed"]) == (size, size - 1, 1)


def test_the_results_of_a_run_are_shown_once(run, tmp_path):
    """However often it is resumed after its end, to a reader that forgets nothing; a run of a sweep
    has its report by the same function."""
    shutil.copytree(run, tmp_path / "run")
    report = runs.Report(results=[], samples={"the_end": "at last"})
    experiment = char.EXPERIMENT._replace(report=lambda config, log: report)
    for _ in range(3):
        write_report(experiment, char.Config(), runs.RunLog(RunDirectory(tmp_path / "run")))
    assert len(accumulated(tmp_path / "run" / "tensorboard").Tensors("samples/the_end")) == 1


def test_a_resume_misses_what_a_run_wrote(run, tmp_path, capsys):
    """A seed's events, the sums of the samples; of a run from before checkpoints knew of them
    nothing."""
    copy = RunDirectory(Path(shutil.copytree(run, tmp_path / "run")))
    (events,) = copy.tensorboard.glob("seed_1/events.out.tfevents.*")
    events.unlink()
    assert char.main(["--resume", str(copy.path)]) == 0
    assert f"{events} is missing, which the run wrote; restore it" in capsys.readouterr().err
    (copy.samples / "SHA256SUMS").unlink()
    check_beside(copy)
    said = capsys.readouterr().err
    assert f"{copy.samples / 'SHA256SUMS'} is missing, which the run wrote, and 1 more" in said
    older = RunDirectory(Path(shutil.copytree(FIXTURE, tmp_path / "older")))
    assert not any(older.samples.glob("SHA256SUMS"))
    check_beside(older)
    assert not capsys.readouterr().err


@pytest.mark.full
def test_every_text_of_a_run_is_shown(tmp_path):
    """What an epoch wrote with it, what the end wrote at the end."""
    run = RunDirectory(tmp_path)
    run.samples.mkdir()
    record = {"config": {}, "settings": [{"name": "char"}]}
    write_json(run.config, record)
    devices = jax.devices()[:1]
    setting = character_training(Shape(2, 3, 4), devices)
    prepared = prepare(setting, of_seeds(setting, [0, 1]), devices)
    boards = Boards(run, prepared, 0, 0)
    state = prepared.init()
    for epoch in (1, 2):
        for name in ("seed_1", "argmax_seed_0"):
            path = run.samples / f"epoch_{epoch:03d}_{name}.txt"
            path.write_text(f"{name} of epoch {epoch}", encoding="utf-8")
        boards.epoch(epoch, state, np.zeros(2))
    boards.close()
    run.metrics.write_text('{"setting": "char", "seed": 0, "step": 3}\n')
    (run.samples / "char_end_seed_0.txt").write_text("the end", encoding="utf-8")
    show_results(run)
    shown = {
        folder: [
            (value.tag, event.step, value.tensor.string_val[0].decode().strip())
            for event in events_of(tmp_path / "tensorboard" / folder)
            for value in event.summary.value
            if value.metadata.plugin_data.plugin_name == "text"
        ]
        for folder in ("seed_0", "seed_1", ".")
    }
    assert shown == {
        "seed_0": [("samples/argmax", n, f"argmax_seed_0 of epoch {n}") for n in (1, 2)],
        "seed_1": [("samples/text", n, f"seed_1 of epoch {n}") for n in (1, 2)],
        ".": [("samples/char_end_seed_0", 3, "the end")],
    }


@pytest.mark.parametrize(
    "experiment",
    mostly_full([baselines, char, memorization, toy, truncation, word], baselines, char),
    ids=lambda experiment: experiment.EXPERIMENT.name,
)
def test_every_training_run_can_be_observed(experiment, tmp_path_factory):
    """Traced only: what a run would show."""
    config = experiment.PRESETS["smoke"]
    if experiment is not toy:
        config = replaced(config, corpus=str(shared_text(tmp_path_factory)))
    training = training_of(experiment, config)
    state = jax.eval_shape(training.init, jax.random.key(0), 0.1)
    assert training.ingredients is not None
    batch = training.ingredients.batch()
    seen = jax.eval_shape(make_observe(training.ingredients, batch), state)
    assert {"norm/params", "norm/updates"} <= seen.scalars.keys()
    assert {"activations", "params", "gradients"} == {t.partition("/")[0] for t in seen.histograms}
    nodes = training_graph(training.ingredients, batch).node
    tops = {node.name.partition("/")[0] for node in nodes}
    assert {"layer_1", "head", "loss", "gradient", "optimizer"} <= tops
    assert jax.eval_shape(current_learning_rate, state.opt_state) is not None


@pytest.mark.full
def test_looks_take_their_share_of_the_time(tmp_path, tmp_path_factory, monkeypatch):
    """By a clock of ours: a chunk takes a second and a look half of one. The training is that of
    the shared run, whose looks are compiled already."""
    now = [0.0]
    run = RunDirectory(tmp_path)
    write_json(run.config, {"config": {}, "settings": [{"name": "char"}]})
    devices = jax.devices()[:1]
    training = training_of(char, config_of(char, *small_char(shared_text(tmp_path_factory))))
    setting = Setting(TokenModel(2, 2), training, 0.01, 2, name="char")
    prepared = prepare(setting, of_seeds(setting, [0, 1]), devices)
    boards = Boards(run, prepared, 0, 0, lambda: now[0])
    observe: Any = boards._observe
    state = prepared.init()

    def half_a_second(state):
        now[0] += 0.5
        return observe(state)

    monkeypatch.setattr(boards, "_observe", half_a_second)
    boards.begin(0, state)
    for step in range(1, 301):
        now[0] += 1
        boards.chunk(step, state)
    boards.close()
    looks = [s for tag, s, _ in scalars_of(tmp_path / "tensorboard/seed_0") if tag == "norm/params"]
    assert looks[0] == 0
    assert 0.9 * SHARE < 0.5 * len(looks) / now[0] <= SHARE
    assert np.diff(looks).min() >= 12  # not at once what was left out before


def test_a_negative_interval_is_refused(capsys, tmp_path):
    flags = ["--tensorboard-every", "-1", "--run", str(tmp_path / "run")]
    assert "--tensorboard-every is -1" in error_of(capsys, char.main, flags)
    assert not (tmp_path / "run").exists()
