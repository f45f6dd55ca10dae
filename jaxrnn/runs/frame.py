"""What any number of runs logged and came to, as rows: tidy tables for pandas, or for nothing but
Python.

A row names its `run` (the path), `experiment`, `setting` and `seed`, the `epoch` and training
`step`. The columns of the config are called as its flags; where a setting has its own value, as the
cell of each setting of `--cells`, it is that. A field of several values is the text of them, and
`seed` is the member's.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxrnn.runs.directory import RunDirectory, open_run, read_metrics
from jaxrnn.runs.files import read_json
from jaxrnn.runs.progress import warn
from jaxrnn.runs.records import REMEDY, read_record
from jaxrnn.starting import installing

if TYPE_CHECKING:
    import pandas

Row = dict[str, Any]
Paths = Iterable[str | Path] | Path
SWEEP = "sweep.json"
KEYS = ("run", "experiment", "setting", "seed", "epoch", "step")
MEMBERS = ("seed", "seeds")
"""Fields of the config that a row's own seed stands for."""
COUNTED = ("parameters",)
"""Fields of a config under whose names results have something else: `--parameters` is a limit, and
0 is none, where a result counts what the model has."""
BESIDE = "config_"
"""Before the name of a field of the config whose own name has a result."""


def frame(paths: Paths) -> "pandas.DataFrame":
    """The logs: a row for each run, setting, seed and logged training step.

    Args:
      paths: of runs, and of sweeps, whose runs are all taken.

    Returns:
      columns run, experiment, setting, seed, epoch, step; those that the log has, such as `steps`
      (training steps that the line is the mean of), `loss`, `grad_norm`, `seconds`, and at the end
      of an epoch `train_loss` and `valid_loss` (nats per symbol); then those of the config. What a
      row lacks, and what was not finite, is NaN.

    Raises:
      ModuleNotFoundError: pandas is missing. FileNotFoundError, ValueError: as `open_run` and
        `read_metrics`; a sweep of which no run has begun.
    """
    return _framed(metrics_rows, paths)


def results(paths: Paths) -> "pandas.DataFrame":
    """What each member came to: a row for each run, setting and seed.

    Args:
      paths: of runs, and of sweeps, whose runs are all taken.

    Returns:
      columns run, experiment, setting, seed, and the last logged epoch and step; `final_loss`, the
      mean training loss over the last tenth of the training steps, `train_loss`, the last epoch's,
      `valid_loss`, the lowest, and `last_valid_loss` (nats per symbol, NaN where there is none);
      `diverged`, `finished` (summary.json is there), `seconds` of the setting; what summary.json
      has of the setting, where it is one number or one to a seed; then the config.

    Raises:
      as `frame`.
    """
    return _framed(results_rows, paths)


def run_paths(paths: Paths) -> list[Path]:
    """The runs among `paths` and in the sweeps among them, in order, each once, however its path
    is written. A run of a sweep that has not begun is left out with a warning.

    Raises:
      FileNotFoundError: no run, or a sweep of which no run has begun. ValueError: a sweep.json that
        names no runs.
    """
    found: dict[Path, Path] = {}  # where it lies, to how it was first called
    for given in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        listed = sweep_of(given)
        if listed is None:
            found.setdefault(given.resolve(), open_run(given).path)
            continue
        folders = [given / name for name in listed["runs"]]
        begun = [folder for folder in folders if RunDirectory(folder).config.is_file()]
        if not begun:
            raise FileNotFoundError(f"{given} is a sweep of which no run has begun; train it first")
        if missing := len(folders) - len(begun):
            warn(f"{given} is a sweep of {len(folders)} runs, {missing} of which have not begun")
        for folder in begun:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def sweep_of(path: Path) -> dict[str, Any] | None:
    """The content of a sweep's sweep.json, its `fields` (name to values) and `runs` (folder to
    field to value) among them; None where `path` is no sweep.

    Raises:
      ValueError: it is not what a sweep writes.
    """
    if not (path / SWEEP).is_file():
        return None
    content = read_json(path / SWEEP)
    for field in ("fields", "runs"):
        if not isinstance(content, dict) or not isinstance(content.get(field), dict):
            raise ValueError(f"{path / SWEEP} has no object {field}; restore it from a copy")
    if bad := [name for name in content["runs"] if Path(name).is_absolute() or ".." in name]:
        raise ValueError(f"{path / SWEEP} names {bad[0]!r}, no folder in it; restore it")
    return content


def metrics_rows(path: Path) -> Iterator[Row]:
    """Of one run the rows of `frame`; null stays None. Raises: as `frame`, but for pandas."""
    run = open_run(path)
    record = read_record(run)
    configs = _configs(run, record)
    for (setting, seed, step), line in _lines(run, record).items():
        key = _key(run, record, setting, seed) | {"epoch": line.get("epoch"), "step": step}
        own = {name: value for name, value in line.items() if name not in KEYS}
        yield key | own | _beside(configs[setting], key | own)


def results_rows(path: Path) -> Iterator[Row]:
    """Of one run the rows of `results`; null stays None. Raises: as `frame`, but for pandas."""
    run = open_run(path)
    record = read_record(run)
    configs, told, ended = _configs(run, record), _told(run), _diverged(run)
    members: dict[tuple[str, int], list[Row]] = {}
    for (setting, seed, step), line in _lines(run, record).items():
        members.setdefault((setting, seed), []).append(line | {"step": step})
    for (setting, seed), lines in members.items():
        key = _key(run, record, setting, seed)
        key |= {name: lines[-1].get(name) for name in ("epoch", "step")}
        own = _came_to(lines)
        own["diverged"] = setting in ended or own.pop("diverged")
        own["finished"] = run.summary.is_file()
        place = record["seeds"].index(seed) if seed in record["seeds"] else None
        further = _of_member(told.get(setting, {}), place, len(record["seeds"]))
        row, config = key | own, configs[setting]
        row |= {
            name: value
            for name, value in further.items()
            if name not in row and not (name in config and config[name] == value)
        }
        yield row | _beside(config, row)


def _lines(run: RunDirectory, record: Row) -> dict[tuple[str, int, int], Row]:
    """The log by (setting, seed, step): settings and seeds in the order of the run, the lines that
    a chunk and an epoch ended at the same step as one."""
    order = {each["name"]: i for i, each in enumerate(record["settings"])}
    found: dict[tuple[str, int, int], Row] = {}
    lines = read_metrics(run.metrics) if run.metrics.is_file() else []
    if not lines and order and (run.summary.is_file() or run.checkpoints.is_dir()):
        raise ValueError(f"{run.metrics} is missing or empty, and the run has trained; {REMEDY}")
    for line in lines:
        key = (line["setting"], line["seed"], line["step"])
        if key[0] not in order:
            fault = f"{run.metrics} has lines of {key[0]!r}, no setting of the run"
            raise ValueError(f"{fault}; restore it from a copy")
        found[key] = found.get(key, {}) | line
    return dict(sorted(found.items(), key=lambda item: (order[item[0][0]], *item[0][1:])))


def _came_to(lines: Sequence[Row]) -> Row:
    """What the lines of one member say of its end."""
    trained = [line for line in lines if "loss" in line]
    epochs = [line for line in lines if "train_loss" in line]
    valid = [line["valid_loss"] for line in lines if "valid_loss" in line]
    known = [value for value in valid if value is not None]
    updates = lines[-1]["step"]
    late = [line for line in trained if line["step"] > updates - max(updates // 10, 1)]
    return {
        "final_loss": _mean([(line["loss"], line.get("steps", 1)) for line in late]),
        "train_loss": epochs[-1]["train_loss"] if epochs else None,
        "valid_loss": min(known, default=None),
        "last_valid_loss": valid[-1] if valid else None,
        # a loss that is not finite is written as null
        "diverged": any(line["loss"] is None for line in trained[-1:]),
        "seconds": lines[-1].get("seconds"),
    }


def _mean(weighted: Sequence[tuple[float | None, int]]) -> float | None:
    values = [math.nan if value is None else value for value, _ in weighted]
    total = sum(weight for _, weight in weighted)
    if not weighted or any(map(math.isnan, values)):
        return None
    return sum(v * weight for v, (_, weight) in zip(values, weighted, strict=True)) / total


def _key(run: RunDirectory, record: Row, setting: str, seed: int) -> Row:
    named = {"run": str(run.path), "experiment": record["experiment"]}
    return named | {"setting": setting, "seed": seed}


def _configs(run: RunDirectory, record: Row) -> dict[str, Row]:
    """Of each setting the run's config, with what is its own."""
    told, found = _told(run), {}
    common = {name: v for name, v in record["config"].items() if name not in MEMBERS}
    for setting in record["settings"]:
        own = setting["model"] | setting.get("flags", {}) | told.get(setting["name"], {})
        fields = [name for name in common if name in own and name not in COUNTED]
        mine = {name: own[name] for name in fields if not _is_many(own[name])}
        found[setting["name"]] = {name: _cell(value) for name, value in (common | mine).items()}
    return found


def _told(run: RunDirectory) -> dict[str, Row]:
    """The rows of a summary's results that are about a setting, by its name."""
    if not run.summary.is_file():
        return {}
    summary = read_json(run.summary)
    rows = summary.get("results") if isinstance(summary, dict) else None
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {row["setting"]: row for row in found if isinstance(row.get("setting"), str)}


def _of_member(told: Row, place: int | None, count: int) -> Row:
    """Of a row of results what is one number or text, and of a number to each seed the member's."""
    found = {}
    for name, value in told.items():
        if name == "seeds":
            continue
        if not _is_many(value):
            found[name] = value
        elif isinstance(value, list) and len(value) == count and place is not None:
            found[name.removesuffix("_per_seed")] = value[place]
    return {name: value for name, value in found.items() if not _is_many(value)}


def _diverged(run: RunDirectory) -> Iterable[str]:
    return read_json(run.diverged) if run.diverged.is_file() else ()


def _is_many(value: Any) -> bool:
    return isinstance(value, list | dict)


def _cell(value: Any) -> Any:
    """A value of the config for a cell of a table."""
    if isinstance(value, list):
        return _cell(value[0]) if len(value) == 1 else " ".join(str(_cell(each)) for each in value)
    return json.dumps(value) if isinstance(value, dict) else value


def _beside(config: Row, row: Row) -> Row:
    """The config under names that the row does not use for something of its own."""
    return {f"{BESIDE}{name}" if name in row else name: value for name, value in config.items()}


def _framed(rows: Callable[[Path], Iterator[Row]], paths: Paths) -> "pandas.DataFrame":
    try:
        import pandas
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"pandas is not installed, of which a frame is made; {installing('frame')}"
        ) from None
    found = {path: list(rows(path)) for path in run_paths(paths)}
    if silent := [path for path, its in found.items() if not its]:
        others = f", and so for {len(silent) - 1} more" if len(silent) > 1 else ""
        warn(f"{silent[0]} has logged nothing yet; there is no row of it{others}")
    return pandas.DataFrame([row for its in found.values() for row in its])


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every column of the rows, in the order in which they come first."""
    return list(dict.fromkeys(name for row in rows for name in row))
