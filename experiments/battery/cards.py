"""A card for each cell: what it is, what came of it, and how errors go back in it."""

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.battery.config import Config, names_of, setting_name, task_of
from experiments.battery.found import Found, windows
from jaxrnn import explain, runs
from jaxrnn.analysis.card import Card, Chart, Line, Table, paragraphs, write_card
from jaxrnn.analysis.flow import gradient_flow, lyapunov_exponents
from jaxrnn.analysis.vectors import to_vector
from jaxrnn.base import Cell, Params, named_leaves
from jaxrnn.cell_files import cell_name, find_cell
from jaxrnn.data.tasks import Task
from jaxrnn.data.tasks.figures import FIGURES
from jaxrnn.runs.kept import once
from jaxrnn.tasks import task_name

LAGS = 64
"""How far back the gradient is looked at, where sequences are as long."""
MOST = 512
"""Numbers of a carry above which its gradient by lag, which takes their square, is left out."""
FAINT = 1e-6
"""Where the axis of gradients ends."""

Best = Mapping[tuple[str, str], Found]


def cards_of(
    config: Config, every: Sequence[Found], best: Best, logs: Mapping[str, runs.RunLog]
) -> dict[str, Any]:
    """Of each cell `path -> None`, which writes its card.

    Args:
      every: of all learning rates.
      best: of each cell on each task.
      logs: by the name of the run's folder.
    """
    return {
        f"cards/{cell_name(cell)}": partial(_write, config, cell, every, best, logs)
        for cell in config.cells
    }


def _write(
    config: Config,
    cell: str,
    every: Sequence[Found],
    best: Best,
    logs: Mapping[str, runs.RunLog],
    path: Path,
) -> None:
    mine = {task_name(name): best[task_name(name), cell_name(cell)] for name in names_of(config)}
    measured = {
        task_name(name): _kept(config, name, cell, mine[task_name(name)], logs)
        for name in names_of(config)
    }
    write_card(path, card_of(config, cell, mine, best, windows(every), measured))


def card_of(
    config: Config,
    cell: str,
    mine: Mapping[str, Found],
    best: Best,
    rates: Mapping[tuple[str, str], Any],
    measured: Mapping[str, Mapping[str, Any]],
) -> Card:
    """The card of a cell.

    Args:
      mine: of each task what the cell came to at its best rate.
      best: the same of all cells.
      rates: the windows of learning rates.
      measured: of each task, as `measure` has it.
    """
    name = cell_name(cell)
    text = paragraphs(inspect.getdoc(find_cell(cell)) or "Its factory has no docstring.")
    summary = "".join(part for part, _ in text[0].parts) if not text[0].equations else ""
    first = next(iter(measured.values()))
    # a task of a researcher's file is another, whatever it is called
    published, sources = _published([name for name in names_of(config) if name in mine])
    sizes = sorted({each["hidden_size"] for each in measured.values()})
    counts = sorted({each.parameters for each in mine.values()})
    return Card(
        name=name,
        summary=summary,
        facts={
            "parameters of a model": _range(counts),
            "hidden size": _range(sizes),
            "numbers in the carry": _range(sorted({m["carry"] for m in measured.values()})),
            "training": f"{config.loop.epochs * config.steps:,} steps of {config.loop.batch_size} "
            f"sequences, {config.loop.seeds} seed{'s' * (config.loop.seeds > 1)}",
        },
        text=text[1:] if summary else text,
        tables=[
            _tasks(mine, best, rates, name),
            _exponents(measured),
            *([published] if published.rows else []),
        ],
        charts={
            "Beyond the length of training": [_lengths(t, mine[t], best) for t in mine],
            "How errors go back": [c for t, m in measured.items() if (c := _flow(t, m))],
        },
        code={
            "Its parameters": first["shapes"],
            "How its time steps are run": first["schedule"],
        },
        sources=sources,
    )


def measure(cell: Cell, params: Params, xs: Any, batch: Any) -> dict[str, Any]:
    """How errors go back in a model before and after it was trained, and how it is unrolled.

    Args:
      params: trained.
      xs: one sequence, leaves [T, ...].
      batch: inputs of a training step, leaves [T, B, ...].
    """
    key = jax.random.key(0)
    keys = jax.random.split(key, jax.tree.leaves(batch)[0].shape[1])
    carries = jax.jit(jax.vmap(cell.init_carry, in_axes=(None, 0)))(params, keys)
    size = jax.eval_shape(lambda: to_vector(cell.init_carry(params, key))).size
    steps = jax.tree.leaves(xs)[0].shape[0]
    found: dict[str, Any] = {
        "carry": size,
        "shapes": "\n".join(
            f"{name} {list(leaf.shape)}" for name, leaf in named_leaves(params).items()
        ),
        "schedule": str(explain(cell, params, carries, batch)),
        "exponents": None,
        "flow": None,
    }
    if not size:
        return found

    @jax.jit
    def look(params):
        start = cell.init_carry(params, key)
        lags = min(LAGS, steps)
        flow = None
        if size <= MOST:
            flow = gradient_flow(cell, params, start, xs, ends=[steps - 1], lags=lags).norm[0]
            flow /= flow[0]
        exponent = lyapunov_exponents(
            cell, params, start, xs, jax.random.key(1), count=1, warm_up=steps // 4
        )[0]
        return flow, exponent

    both = {"before": look(jax.jit(cell.init)(key)), "after": look(params)}
    if size <= MOST:
        found["flow"] = {name: np.asarray(flow).tolist() for name, (flow, _) in both.items()}
    found["exponents"] = {name: float(exponent) for name, (_, exponent) in both.items()}
    return found


def _kept(
    config: Config, name: str, cell: str, found: Found, logs: Mapping[str, runs.RunLog]
) -> dict[str, Any]:
    """Measured once, and kept in the run whose model it is."""
    log, setting = logs[found.run], setting_name(name, cell)
    task = task_of(config, name)

    def compute() -> dict[str, Any]:
        seed = int(np.argmax(next(iter(found.scores.values()))))
        model, params = log.load(setting, seed, "last")
        xs = _drawn(task, task.test_lengths[-1], 1)[:, 0]
        batch = _drawn(task, task.train_lengths[1], config.loop.batch_size)
        measured = measure(model, params, xs, batch)
        return measured | {"hidden_size": log.models[setting].hidden_size}

    path = log.run.path / "cards" / f"{setting}.json"
    path.parent.mkdir(exist_ok=True)
    return once(log.run, path, compute)


@lru_cache(maxsize=64)
def _drawn(task: Task, length: int, batch_size: int) -> jax.Array:
    """Once for all cells."""
    draw = jax.jit(lambda key: task.test(key, length, batch_size).inputs)
    return jnp.asarray(draw(jax.random.key(0)))


def _tasks(
    mine: Mapping[str, Found], best: Best, rates: Mapping[tuple[str, str], Any], name: str
) -> Table:
    rows = []
    for task, found in mine.items():
        others = {c: each.score for (t, c), each in best.items() if t == task}
        highest = max(others.values())
        # of as many digits as are shown
        first = [c for c, score in others.items() if f"{score:.3f}" == f"{highest:.3f}"]
        window = rates[task, name]
        *_, last = found.scores
        rows.append(
            [
                task,
                f"{found.score:.3f}",
                f"{found.score_at(last):.3f} at {last}",
                f"{found.rate:g}",
                "-" if window is None else f"{window.low:g} to {window.high:g}",
                "this cell" if name in first else f"{first[0]} {highest:.3f}",
                f"{found.seconds:.0f}",
            ]
        )
    columns = ["task", "score", "at the longest", "learning rate", "rates as good"]
    return Table(
        "Tasks",
        [*columns, "best of this run", "seconds"],
        rows,
        "Scaled scores, 0 at chance and 1 where all is right: the interquartile mean over seeds "
        "at the length of training, and at the longest that was tested. Every cell of the run has "
        "as much to spend and its own best rate.",
    )


def _exponents(measured: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    note = "Nats per time step, along one sequence: above 0 small differences of the carry grow, "
    note += "below 0 they vanish, and errors with them."
    if any(found["flow"] is None and found["carry"] for found in measured.values()):
        note += f" The gradient by lag is not worked out for more than {MOST} numbers."
    for task, found in measured.items():
        both = found["exponents"]
        if both is None:
            # by an older version, which left it out of large ones
            count = found["carry"]
            rows.append(
                [task, f"not worked out for {count:,} numbers" if count else "no carry", ""]
            )
            continue
        rows.append([task, *(_signed(both[when]) for when in ("before", "after"))])
    return Table(
        "Largest Lyapunov exponent",
        ["task", "before training", "after"],
        rows,
        note,
    )


def _published(tasks: Sequence[str]) -> tuple[Table, list[str]]:
    """Figures of these tasks, a row for each model of each paper; and the papers."""
    some = [figure for figure in FIGURES if figure.task in tasks]
    sources = list(dict.fromkeys(figure.source for figure in some))
    named = [task for task in tasks if any(figure.task == task for figure in some)]
    by_model: dict[tuple[str, str, str], dict[str, float]] = {}
    for figure in some:
        who = (figure.model, figure.metric, figure.source)
        by_model.setdefault(who, {})[figure.task] = figure.score
    rows = [
        [
            f"{model} ({1 + sources.index(source)})",
            *(f"{scores[task]:.3f}" if task in scores else "-" for task in named),
            metric,
        ]
        for (model, metric, source), scores in by_model.items()
    ]
    title = "Published figures of these tasks"
    note = "Of larger models, trained for longer; the longest sequences are those of the papers."
    numbered = [f"({1 + i}) {source}" for i, source in enumerate(sources)]
    return Table(title, ["model", *named, "metric"], rows, note), numbered


def _lengths(task: str, found: Found, best: Best) -> Chart:
    others = {c: each for (t, c), each in best.items() if t == task and c != found.cell}
    lengths = np.array(list(found.scores), float)

    def line(label: str, which: Found, faint: bool) -> Line:
        scores = np.array([which.score_at(length) for length in which.scores])
        return Line(label, lengths, scores, faint)

    lines, longest = [line(found.cell, found, False)], int(lengths[-1])
    if others:
        first = max(others.values(), key=lambda each: each.score_at(longest))
        lines.append(line(f"{first.cell}, best of the others at {longest}", first, True))
    label, low = "scaled score, 0 is chance", -0.1
    if any(-np.inf < y < low for each in lines for y in each.y):
        label += ", lower than −0.1 as −0.1"
    return Chart(task, "time steps", label, lines, low, 1.05)


def _flow(task: str, measured: Mapping[str, Any]) -> Chart | None:
    both = measured["flow"]
    if both is None:
        return None
    lags = np.arange(len(both["after"]))
    # what is not finite came back from JSON as nothing
    after, before = (
        np.array([np.nan if x is None else max(x, FAINT) for x in both[when]])
        for when in ("after", "before")
    )
    lines = [Line("after training", lags, after), Line("before", lags, before, True)]
    known = np.concatenate([after, before])
    highest = float(known[np.isfinite(known)].max(initial=1.0))
    label = "size of ∂ carry / ∂ carry so many steps before"
    return Chart(task, "lag (time steps)", label, lines, FAINT, 2 * highest, logarithmic=True)


def _range(numbers: Sequence[int]) -> str:
    low, high = numbers[0], numbers[-1]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _signed(exponent: float | None) -> str:
    return "not finite" if exponent is None else f"{exponent:+.3f}".replace("-", "−")
