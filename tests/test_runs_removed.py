"""Somebody removes a run's directory while it is trained."""

import shutil

import pytest

from experiments import toy
from jaxrnn.runs.directory import create_run
from jaxrnn.runs.interrupt import Interrupted


@pytest.mark.parametrize("removed", [True, False])
def test_there_is_nothing_to_resume(removed, tmp_path, capsys):
    path = tmp_path / "run"

    def resolved(config, resumed):
        create_run(path).config.write_text("{}")
        if removed:
            shutil.rmtree(path)
            (path / "checkpoints").mkdir(parents=True)  # what saves at the end makes its folders
        raise Interrupted("stopped at step 3")

    experiment = toy.EXPERIMENT._replace(resolved=resolved)
    assert experiment.main(["--preset", "smoke", "--run", str(path)]) == 130
    said = capsys.readouterr().err
    assert "stopped at step 3" in said
    assert ("resume with" in said) == (not removed)
    assert ("was removed meanwhile, so there is nothing to resume" in said) == removed
