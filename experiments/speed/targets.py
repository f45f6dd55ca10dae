"""What jaxrnn aims at, held against the rows of a run."""

from collections.abc import Sequence

import numpy as np

from experiments.speed import generating, matrix, members, words
from experiments.speed.cells import CUSTOM
from experiments.speed.compiling import GROWTH, SCAN, growth_shape, shorter
from experiments.speed.layers import chosen_devices, flax_as_ours
from experiments.speed.memory import PLAIN
from experiments.speed.presets import Preset, Shape
from experiments.speed.report import Row
from experiments.speed.tensorboard import WITHOUT
from experiments.speed.tensorboard import shape_of as tensorboard_shape
from experiments.speed.toy import shape_of
from jaxrnn.runs.claims import Claim, at_least, at_most, below

SOURCE = "target of this benchmark, on two CPU cores"
LAYERS = ("lstm", "gru")
AS_OURS = "against Flax run as ours"  # on as many devices, its memory kept


def claims(rows: Sequence[Row], published: Preset) -> list[Claim]:
    """Each target; undecided where a side is missing or was measured at other shapes than those of
    `published`."""

    def least(name: str, cases: Sequence[str], peer: str, limit: float) -> Claim:
        found = [_field(rows, "ratio", case, peer, _shape(case, published)) for case in cases]
        return at_least(name, SOURCE, _least(found), limit)

    def as_ours(case: str, shape: Shape) -> float | None:
        return _field(rows, "ratio", case, flax_as_ours(chosen_devices(shape)), str(shape))

    def matrices(key: str) -> list[float | None]:
        at = published.matrix[0]
        return [_field(rows, key, "matrix-state", matrix.PLAIN, f"{n}, {at}") for n in matrix.STEPS]

    def generated(samples: int) -> float | None:
        at = generating.shape_of(published, samples)
        return _field(rows, "ratio", "generate", "PyTorch loop", at)

    found = []
    for peer, mean, lowest in (("Flax", 2.0, 1.2), ("PyTorch", 0.9, 0.65)):
        shapes = [str(shape) for shape in published.layers]
        every = [_field(rows, "ratio", case, peer, at) for case in LAYERS for at in shapes]
        name = f"LSTM and GRU layers against {peer}"
        found.append(at_least(f"{name}, geometric mean", SOURCE, geometric_mean(every), mean))
        found.append(at_least(f"{name}, lowest", SOURCE, _least(every), lowest))
    every = [as_ours(case, shape) for case in LAYERS for shape in published.layers]
    own = [as_ours(case, published.cell) for case in CUSTOM]
    found += [
        at_least(
            f"LSTM and GRU layers {AS_OURS}, geometric mean", SOURCE, geometric_mean(every), 1.2
        ),
        at_least(f"LSTM and GRU layers {AS_OURS}, lowest", SOURCE, _least(every), 1.0),
        at_least(f"own cells {AS_OURS}, lowest", SOURCE, _least(own), 1.2),
        least("own cells against Flax, lowest", tuple(CUSTOM), "Flax", 2.0),
        least("own cells against a PyTorch loop, lowest", tuple(CUSTOM), "PyTorch loop", 5.0),
        least("training step of 3 layers against Flax", ["char-step"], "Flax", 2.2),
        least("training step of 3 layers against PyTorch", ["char-step"], "PyTorch", 1.3),
        least("toy step against eager PyTorch", ["toy-step"], "PyTorch eager", 10.0),
        least("toy step against a jitted loop", ["toy-step"], "jitted Python loop", 4.0),
        least("word model's training step against PyTorch", ["word"], "PyTorch", 1.5),
        at_least("one generated sample against a loop", SOURCE, generated(1), 10.0),
        at_least("64 generated samples at once against a loop", SOURCE, generated(64), 4.0),
    ]
    shown = _field(rows, "ratio", "tensorboard", WITHOUT, tensorboard_shape(published.logged))
    # the plain scan stands beside every number of time steps, so its rows hold ours
    milliseconds = _field(rows, "ours_ms", "compile", SCAN, _shape("compile", published))
    seconds = None if milliseconds is None else milliseconds / 1e3
    few, many = published.growth_steps
    shorter_by = _field(rows, "ratio", GROWTH, shorter(few), growth_shape(published))
    at = _shape("memory", published)
    ours, plain = (_field(rows, f"{who}_bytes", "memory", PLAIN, at) for who in ("ours", "peer"))
    faster = _field(rows, "ratio", "memory", PLAIN, at)
    together = [
        members.shape_of(t, published.members, published.member_steps) for t in members.TASKS
    ]
    faster_by = [_field(rows, "ratio", "members", members.ALONE, at) for at in together]
    return [
        *found,
        at_least(
            "32 members against jitted runs one after another, lowest",
            SOURCE,
            _least(faster_by),
            1.0,
        ),
        at_least("matrices against a plain loop, lowest", SOURCE, _least(matrices("ratio")), 5.0),
        at_most(
            "matrices: temporary memory of a plain loop's, highest",
            SOURCE,
            _most_of(matrices("ours_bytes"), matrices("peer_bytes")),
            0.1,
        ),
        at_least("32 toy seeds against jitted runs one after another", SOURCE, faster_by[0], 3.0),
        at_least("training with TensorBoard against without", SOURCE, shown, 0.95),
        below("seconds to compile the 3-layer training step", SOURCE, seconds, 2.5),
        below(
            f"its growth from {few} to {many} time steps",
            SOURCE,
            None if shorter_by is None else 1 / shorter_by,
            1.2,
        ),
        at_most(
            "bounded schedule: temporary memory of plain",
            SOURCE,
            None if ours is None or plain is None else ours / plain,
            0.1,
        ),
        at_most(
            "bounded schedule: time of plain", SOURCE, None if faster is None else 1 / faster, 1.5
        ),
    ]


def geometric_mean(ratios: Sequence[float | None]) -> float | None:
    """Of ratios that are all known, else None."""
    known = [ratio for ratio in ratios if ratio is not None]
    return float(np.exp(np.mean(np.log(known)))) if len(known) == len(ratios) else None


def _least(ratios: Sequence[float | None]) -> float | None:
    known = [ratio for ratio in ratios if ratio is not None]
    return min(known) if len(known) == len(ratios) else None


def _most_of(parts: Sequence[float | None], wholes: Sequence[float | None]) -> float | None:
    shares = [
        None if part is None or whole is None else part / whole
        for part, whole in zip(parts, wholes, strict=True)
    ]
    known = [share for share in shares if share is not None]
    return max(known) if len(known) == len(shares) else None


def _field(rows: Sequence[Row], key: str, case: str, peer: str, shape: str) -> float | None:
    """Of the one row about `case`, `peer` and `shape`, if there is one."""
    wanted = (case, peer, shape)
    found = [row for row in rows if (row["case"], row["peer"], row["shape"]) == wanted]
    return found[0].get(key) if found else None


def _shape(case: str, published: Preset) -> str:
    """What a row of `case` has to say for its shape."""
    layers = f", {published.num_layers} layers"
    if case in CUSTOM:
        return str(published.cell)
    return {
        "char-step": f"{published.model}{layers}",
        "compile": f"{published.model}{layers}",
        "memory": f"{published.bounded}{layers}",
        "toy-step": shape_of(published.toy_steps),
        "word": words.shape_of(published.word, published.words),
    }[case]
