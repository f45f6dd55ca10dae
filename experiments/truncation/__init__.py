"""Gradient styles: what truncating, or replacing, backpropagation through time does to learning.

Question:  How good is a gradient whose errors go back n steps only, and what does it cost in
           learning? After R2RT, "Styles of Truncated Backpropagation" (2016), with every style
           of the library, at equal numbers of targets, updates and seconds.
Command:   python -m experiments.truncation --preset quick
Expected:  the post's claims hold on Sherlock's words: TensorFlow style is behind true truncation,
           by about 0.07 nats at n = 5 and learning rate 0.003, 0.02 at n = 20
Run time:  about 6 minutes on two CPU cores; the published grid takes many hours, a cell of it is
           `--part published --grid true_5_lr_0.003`, and every run can be resumed
"""

from dataclasses import replace
from typing import Any

from experiments.truncation import estimators, fair, published, speed, vanishing
from experiments.truncation.config import PRESETS, Config
from experiments.truncation.study import Study, row
from jaxrnn import runs
from jaxrnn.cell_files import find_cell
from jaxrnn.data import is_here
from jaxrnn.parallel import Devices
from jaxrnn.runs.directory import RunDirectory
from jaxrnn.runs.opening import with_code_of

STUDIES: dict[str, Study] = {
    "published": published.STUDY,
    "fair": fair.STUDY,
    "vanishing": vanishing.STUDY,
    "estimators": estimators.STUDY,
    "speed": speed.STUDY,
}
"""What `--part` chooses from; training runs, claims and tables come in this order."""


def settings(config: Config) -> dict[str, Config]:
    """The training runs of the parts asked for, each a config of its part alone."""
    if not config.part:
        raise ValueError("--part names nothing; give at least one of its parts")
    find_cell(config.model.cell)
    return {
        name: replace(part, part=(study,))
        for study, each in STUDIES.items()
        if study in config.part
        for name, part in each.settings(config).items()
    }


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    (study,) = config.part
    make = STUDIES[study].build
    assert make is not None  # it has settings
    return make(config, devices)


def resolved(config: Config, resumed: RunDirectory | None = None) -> Config:
    """With the corpus named, so that a run that is resumed reads what it began with: the Penn
    Treebank, which the post is about, where it was fetched before; it is not openly licensed, so
    nobody gets it unasked."""
    usual = "ptb" if is_here("ptb") else "sherlock"
    return runs.replaced(config, corpus=config.text.corpus or usual)


def report(config: Config, log: runs.RunLog) -> runs.Report:
    """What the studies say, one after the other."""
    built = with_code_of(log.run, config)

    def measured() -> dict[str, Any]:
        rows = {}
        for name, study in STUDIES.items():
            rows |= study.measure(built, log) if name in config.part else {}
        return {"estimators": [], "vanishing": [], "speed": [], **rows}

    styles = [row(*each, log) for each in settings(built).items()]
    results = {"styles": styles, "whole_grid_seconds": None, **log.once("measured", measured)}
    found = runs.Report(results)
    for study in STUDIES.values():
        own = study.report(config, log, found.results)
        found = runs.Report(
            results=found.results | own.results,
            claims=[*found.claims, *own.claims],
            tables=[*found.tables, *own.tables],
            plots={**found.plots, **own.plots},
            notes=[*found.notes, *own.notes],
        )
    return found


EXPERIMENT = runs.Experiment("truncation", __doc__, PRESETS, settings, build, report, resolved)
main = EXPERIMENT.main
