"""Which training runs of a sweep are one compiled program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxrnn.cell_files import cell_file, cell_name
from jaxrnn.cell_neighbours import code_sha256
from jaxrnn.parallel import Devices
from jaxrnn.runs.checking import members
from jaxrnn.runs.config import flags_of, replaced
from jaxrnn.runs.devices import alone
from jaxrnn.runs.experiment import Experiment, Setting
from jaxrnn.runs.places import renamed
from jaxrnn.runs.preparing import Members, NotSwept, Prepared, prepare
from jaxrnn.runs.sweep.points import Point

SWEPT = ("dropout", "zoneout", "weight_drop", "weight_decay", "momentum", "max_norm")
"""Flags that a program computes with: where they differ, and are not 0, the program is the same."""
RATE = "learning_rate"


@dataclass(frozen=True)
class Trained:
    """One training run: a setting of one point."""

    point: Point
    part: Any
    setting: Setting


@dataclass(frozen=True)
class Group:
    """Training runs whose members are trained side by side.

    Attributes:
      swept: flags that are traced, besides the learning rate.
      devices: that the members are divided over, or the batch of a single one.
    """

    trained: Sequence[Trained]
    swept: Sequence[str]
    devices: Devices

    @property
    def points(self) -> list[Point]:
        return [each.point for each in self.trained]

    @property
    def setting(self) -> str:
        """The name of the setting, which is that of all its training runs."""
        return self.trained[0].setting.name

    def among(self, names: Sequence[str]) -> "Group":
        """What of it belongs to the points of these names."""
        some = [each for each in self.trained if each.point.name in names]
        return Group(some, self.swept, self.devices)

    def members(self) -> Members:
        """Of all its training runs, one after the other."""
        every = [(each, seed) for each in self.trained for seed in _seeds(each.point.config)]
        return Members(
            seeds=[seed for _, seed in every],
            learning_rates=[each.setting.learning_rate for each, _ in every],
            swept={n: [flags_of(each.part)[n] for each, _ in every] for n in self.swept},
        )

    def programmed(self, prepared: Prepared, experiment: Experiment) -> Prepared:
        """The programs of some of its points for all of these, where they are as many; else their
        own. Raises: as `prepare`."""
        who, setting = self.members(), self.trained[0].setting
        if len(who.seeds) != len(prepared.seeds) or len(who.seeds) == 1:
            return self.prepared(experiment)
        if prepared.setting is setting:
            return prepared
        return prepared.among(who)._replace(setting=setting)

    def prepared(self, experiment: Experiment, at_once: int = 1) -> Prepared:
        """Raises: as `prepare`."""
        first, who = self.trained[0], self.members()
        if len(who.seeds) == 1:  # divides its batch over the devices, where it can
            who = who._replace(swept={})  # it has numbers of its own alone
            setting = experiment.build(first.part, self.devices)._replace(name=first.setting.name)
            return prepare(
                setting, who, self.devices if setting.divides else alone(setting, self.devices)
            )

        def build(swept: Mapping[str, float]) -> Setting:
            return experiment.build(replaced(first.part, **swept), ())

        return prepare(first.setting, who, self.devices, at_once=at_once, build=build)


def programs_of(
    experiment: Experiment, points: Sequence[Point], *, bit_exact: bool
) -> dict[str, Any]:
    """Of each point, by name, what is the same for those whose training runs share programs.

    Raises:
      ValueError: as `settings` and `build`, and names the point, where a command asked for it.
    """
    allowed, found, built = () if bit_exact else SWEPT, {}, set()
    for point in points:
        parts = experiment.settings(experiment.resolved(point.config, None))
        found[point.name] = tuple(_program(n, part, allowed) for n, part in parts.items())
        if found[point.name] not in built:  # one of each kind is refused here, and not in its job
            _of_point(experiment, point)
            built.add(found[point.name])
    return found


def groups_of(
    experiment: Experiment,
    points: Sequence[Point],
    devices: Devices,
    *,
    bit_exact: bool,
    side_by_side: int = 0,
) -> list[tuple[Group, Prepared]]:
    """Every training run of the points, in groups of one program each, prepared: what cannot work
    is refused here.

    Args:
      side_by_side: how many points a program is to train at once, the others after them; 0: all.
      bit_exact: share programs only where that changes no bit of a member's numbers, which is where
        learning rates and seeds differ alone.

    Raises:
      ValueError: as `settings`, `build` and `prepare`, and names the point.
    """

    def prepared(group: Group) -> Prepared:
        names = [point.name for point in group.points]
        return group.among(names[: side_by_side or None]).prepared(experiment)

    every = [each for point in points for each in _of_point(experiment, point)]
    allowed = () if bit_exact else SWEPT
    groups: dict[Any, list[Trained]] = {}
    for each in every:
        groups.setdefault(_program(each.setting.name, each.part, allowed), []).append(each)
    found = []
    for some in groups.values():
        group = Group(some, _differing(some, allowed), devices)
        try:
            found.append((group, prepared(group)))
        except NotSwept:
            alone: dict[Any, list[Trained]] = {}
            for each in some:
                alone.setdefault(_program(each.setting.name, each.part, ()), []).append(each)
            parts = [Group(same, (), devices) for same in alone.values()]
            found += [(part, prepared(part)) for part in parts]
    return found


def _of_point(experiment: Experiment, point: Point) -> list[Trained]:
    try:
        config = experiment.resolved(point.config, None)
        return [
            Trained(point, part, experiment.build(part, ())._replace(name=name))
            for name, part in experiment.settings(config).items()
        ]
    except ValueError as error:
        if experiment.swept(point.config).sweep:
            raise  # nobody asked for a sweep
        given = " ".join(f"{name}={value}" for name, value in point.values.items())
        raise ValueError(f"--sweep {given}: {error}") from error


def _program(name: str, part: Any, allowed: Sequence[str]) -> Any:
    """What is the same of all training runs of one program: everything but numbers that it computes
    with, of which only whether they are there."""
    flags = flags_of(renamed(part, _by_code)) | {"seed": 0}
    if isinstance(flags.get(RATE), int | float):
        flags[RATE] = 0.0
    for flag in allowed:
        if flag in flags:
            flags[flag] = bool(flags[flag])
    return (name, repr(sorted(flags.items())))


def _by_code(kind: str, name: str) -> str:
    """A researcher's code by what it is: every run keeps its own copy, and resumes with that."""
    path = cell_file(name)
    return f"{code_sha256(path)}:{cell_name(name)}" if path and path.is_file() else name


def _differing(some: Sequence[Trained], allowed: Sequence[str]) -> list[str]:
    first = flags_of(some[0].part)
    return [
        name
        for name in allowed
        if name in first and len({flags_of(each.part)[name] for each in some}) > 1
    ]


def _seeds(config: Any) -> range:
    return members(config.loop.seed, config.loop.seeds)
