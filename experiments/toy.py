"""Toy memory task: how far back does a small recurrent network learn to look?

Question:  Which of the two dependencies, 3 and 8 time steps back, does a network find when errors
           go back 1, 5 or 10 steps? After R2RT, "Recurrent Neural Networks in Tensorflow I" (2016).
Command:   python -m experiments.toy
Expected:  median losses near 0.62 (1 step: next to nothing), 0.519 (5: the nearer dependency) and
           0.458 (10: both; the floor is 0.4545 nats)
Run time:  about 20 s on two CPU cores, compiling included

A new sequence of a million steps is drawn on the device for every epoch, so nothing is seen twice.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jaxrnn import runs
from jaxrnn.analysis.plots import learning_curves
from jaxrnn.data import TOY, lag_streams, named_floors
from jaxrnn.models import build_model
from jaxrnn.parallel import Devices
from jaxrnn.runs import Decided
from jaxrnn.runs.claims import Claim, above, below, between, ordered, within

SOURCE = "R2RT, Recurrent Neural Networks in Tensorflow I (11 July 2016)"
COLUMNS = {"steps": "{num_steps}", "state": "{state_size}", "epochs": "{epochs}"}
COLUMNS |= {"seeds": "{spread[seeds]}", **runs.SPREAD_COLUMNS, "seconds": "{seconds:.1f}"}


@dataclass(frozen=True)
class Model(runs.ModelConfig):
    cell: str = "elman"
    hidden_size: Decided[int] = 0


@dataclass(frozen=True)
class Loop(runs.LoopConfig):
    batch_size: int = 200
    epochs: Decided[int] = 0
    seeds: int = 8
    log_every: int = 100


@dataclass(frozen=True)
class Config:
    """Three settings, one an entry of num_steps, state_size and epochs."""

    num_steps: tuple[int, ...] = (1, 5, 10)
    """Time steps of a training step."""
    state_size: tuple[int, ...] = (4, 4, 16)
    """Hidden size of the cell."""
    epochs: tuple[int, ...] = (2, 1, 10)
    """Sequences to train on, each seen once."""
    length: int = 1_000_000
    """Time steps of a sequence."""
    model: Model = Model()
    gradient: runs.GradientConfig = runs.GradientConfig()
    optimizer: runs.OptimizerConfig = runs.OptimizerConfig(optimizer="adagrad", learning_rate=0.1)
    loop: Loop = Loop()


SMOKE = {"num_steps": (5,), "state_size": (4,), "epochs": (2,), "length": 20_000}
PRESETS = {
    "smoke": runs.replaced(Config(), **SMOKE, batch_size=20, seeds=2),
    "quick": runs.replaced(Config(), seeds=2),
    "published": Config(),
}


def settings(config: Config) -> dict[str, Config]:
    """One to an entry, each a config with this entry alone."""
    names = ("num_steps", "state_size", "epochs")
    each = runs.entries(**{name: getattr(config, name) for name in names})
    runs.require_memory(40 * config.length, "a sequence")  # inputs, targets and what draws them
    found = {}
    for steps, size, epochs in each:
        model, loop = replace(config.model, hidden_size=size), replace(config.loop, epochs=epochs)
        own = {"num_steps": (steps,), "state_size": (size,), "epochs": (epochs,)}
        found[f"steps_{steps}_state_{size}"] = replace(config, **own, model=model, loop=loop)
    if len(found) < len(each):
        raise ValueError("--num-steps and --state-size hold a setting twice; give it once")
    return found


def build(config: Config, devices: Devices = ()) -> runs.Setting:
    (steps,), loop, model = config.num_steps, config.loop, runs.token_model(config.model, 2)
    sequence = partial(lag_streams, TOY, length=config.length, batch_size=loop.batch_size)
    cell = build_model(model, training=True)
    training = runs.configured_training(config, cell, sequence, num_steps=steps, devices=devices)
    ends = runs.every_tenth(training.steps_per_epoch, loop.log_every)
    return runs.Setting(model, training, config.optimizer.learning_rate, loop.epochs, log_ends=ends)


def report(config: Config, log: runs.RunLog) -> runs.Report:
    parts, floors = settings(config), named_floors(TOY)
    rows = [_row(name, part, log) for name, part in parts.items()]
    titles = {n: f"time steps {p.num_steps[0]}, state {p.state_size[0]}" for n, p in parts.items()}
    drawn = {title: {"loss": (name, "loss")} for name, title in titles.items()}
    panels = log.panels(drawn, dict.fromkeys(drawn, floors))
    reached = ", ".join(f"{name} {x:.4f}" for name, x in floors.items())
    note = runs.spread_note(row["spread"] for row in rows)
    table = runs.written(f"loss in nats; floors: {reached}; {note}", rows, COLUMNS)
    draw = partial(learning_curves, panels=panels)
    # every seed as if it were the only one
    alone = [
        [row | {"spread": {"median": row["final_loss"][k]}} for row in rows]
        for k in range(config.loop.seeds)
    ]
    found = runs.over_seeds(claims(config, rows), [claims(config, each) for each in alone])
    return runs.Report(rows, found, [table], {"learning_curves": draw})


def _row(name: str, part: Config, log: runs.RunLog) -> dict[str, Any]:
    final, steps, size = log.over_last_tenth(name, "loss"), part.num_steps[0], part.state_size[0]
    row = {"setting": name, "num_steps": steps, "state_size": size, "epochs": part.epochs[0]}
    found = {"final_loss": final, "spread": runs.median_and_spread(final)}
    return row | {"seeds": log.seeds(name)} | found | {"seconds": log.seconds(name)}


def claims(config: Config, rows: list[dict[str, Any]]) -> list[Claim]:
    """The published statements, each about one setting; undecided where this run changed it."""
    free, mine = runs.WITHOUT_EFFECT | {"init"}, settings(config)
    spreads = {row["setting"]: row["spread"] for row in rows}
    one, five, ten = (
        spreads[n]["median"] if n in mine and runs.alike(mine[n], part, free) else None
        for n, part in settings(Config()).items()
    )
    floors = named_floors(TOY)
    near, both = floors["t-3"], floors["t-3 and t-8"]
    longer = {"10 steps": ten, "5 steps": five, "1 step": one}
    return [
        between("1 step, state 4: hardly below 0.6616", f"{SOURCE}, figure", one, 0.60, 0.66),
        within("5 steps, state 4: finds t-3", f"{SOURCE}, printed", five, near, 0.004),
        below("10 steps, state 16: comes close to 0.454", f"{SOURCE}, figure", ten, 0.461, 0.454),
        ordered("the farther errors go back, the lower the loss", f"{SOURCE}, figures", longer),
        above("5 steps: hardly anything of t-8", f"{SOURCE}, printed", five, (near + both) / 2),
        below("10 steps: t-8 beside t-3, below the floor of t-3 alone", SOURCE, ten, near),
    ]


EXPERIMENT = runs.Experiment("toy", __doc__, PRESETS, settings, build, report)
main = EXPERIMENT.main

if __name__ == "__main__":
    raise SystemExit(main())
