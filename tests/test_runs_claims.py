"""Claims: `holds` follows from the numbers."""

import json

import numpy as np
import pytest

from jaxrnn.runs.claims import (
    Claim,
    at_least,
    at_most,
    below,
    between,
    claims_table,
    ordered,
    within,
)
from jaxrnn.runs.files import to_json
from jaxrnn.runs.summary import median_and_spread, over_seeds

NAN = float("nan")


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        (within("n", "s", 0.516, 0.52, 0.004), True),
        (within("n", "s", 0.5151, 0.5192, 0.004), False),
        (within("n", "s", None, 0.5192, 0.004), None),
        (within("n", "s", NAN, 0.5192, 0.004), False),
        (below("n", "s", 0.46, 0.461), True),
        (below("n", "s", 0.461, 0.461), False),
        (below("n", "s", None, 0.461), None),
        (below("n", "s", NAN, 0.461), False),
        (at_least("n", "s", 2.0, 2.0), True),
        (at_least("n", "s", 1.99, 2.0), False),
        (at_least("n", "s", None, 2.0), None),
        (at_least("n", "s", NAN, 2.0), False),
        (at_most("n", "s", 0.1, 0.1), True),
        (at_most("n", "s", 0.11, 0.1), False),
        (at_most("n", "s", None, 0.1), None),
        (at_most("n", "s", NAN, 0.1), False),
        (between("n", "s", 0.6, 0.6, 0.66), True),
        (between("n", "s", 0.67, 0.6, 0.66), False),
        (between("n", "s", None, 0.6, 0.66), None),
        (between("n", "s", NAN, 0.6, 0.66), False),
        (ordered("n", "s", {"a": 1.0, "b": 2.0, "c": 3.0}), True),
        (ordered("n", "s", {"a": 1.0, "b": 1.0}), False),
        (ordered("n", "s", {"a": 1.0, "b": None, "c": 3.0}), None),
        (ordered("n", "s", {"a": 3.0, "b": None, "c": 1.0}), False),
        (ordered("n", "s", {"a": 1.0, "b": NAN}), False),
        (ordered("n", "s", {"a": NAN, "b": None}), False),
    ],
)
def test_holds(claim, holds):
    assert claim.holds is holds


def test_expected_and_json():
    claim = within("loss of (5, 4)", "R2RT I", 0.5191, 0.5192, 0.004)
    assert json.loads(to_json([claim])) == [
        {
            "name": "loss of (5, 4)",
            "source": "R2RT I",
            "expected": "0.5192 ± 0.004",
            "observed": 0.5191,
            "holds": True,
            "published": 0.5192,
            "spread": None,
        }
    ]
    assert below("n", "s", 1.0, 0.461).expected == "below 0.461"
    assert between("n", "s", 1.0, 0.6, 0.66).expected == "0.6 to 0.66"
    assert ordered("n", "s", {"true": 1.0, "tf": 2.0}).expected == "true < tf"


def test_table(capsys):
    from rich.console import Console

    claims = [
        within("loss [4]", "R2RT", 0.5, 0.5192, 0.004),
        below("x", "s", None, 1.0),
        ordered("order", "s", {"a": 1.0, "b": 2.0}),
        Claim("text", "s", "same", "[same]", True),
    ]
    Console(width=120).print(claims_table(claims))
    shown = capsys.readouterr().out
    for text in ("loss [4]", "0.5192 ± 0.004", "no", "open", "a 1, b 2"):
        assert text in shown
    assert "[same]" in shown


def test_claims_over_seeds():
    """A spread is of what the seeds observed, of each name where there are several."""

    def claims(loss, other):
        observed = {"a": loss, "b": other}
        return [
            below("n", "s", loss, 2.0),
            ordered("o", "s", observed),
            Claim("t", "s", "", "x", True),
        ]

    together, seeds = claims(1.5, None), [claims(1.0, None), claims(2.0, 3.0)]
    first, order, text = over_seeds(together, seeds)
    assert first.spread == median_and_spread([1.0, 2.0])
    assert order.spread == {"a": median_and_spread([1.0, 2.0])}  # not every seed saw b
    assert text.spread is None
    assert [claim._replace(spread=None) for claim in (first, order, text)] == together
    assert over_seeds(together, seeds[:1]) == together


@pytest.mark.parametrize(
    ("seeds", "holds"),
    [
        (({"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 1.6}), True),
        (({"a": 2.0, "b": 1.0}, {"a": 1.6, "b": 1.5}), False),
        # as far apart as seeds are from each other
        (({"a": 1.0, "b": 2.0}, {"a": 1.6, "b": 1.5}), None),
        (({"a": 2.0, "b": 1.0}, {"a": 1.5, "b": 1.6}), None),
        # equal in every seed: no order
        (({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 2.0}), False),
        # each seed far from the other, and the same way round
        (({"a": 1.0, "b": 1.1}, {"a": 5.0, "b": 5.1}), True),
        # two that are no neighbours refute it
        (({"a": 2.0, "b": 1.5, "c": 1.0}, {"a": 2.0, "b": 2.1, "c": 1.1}), False),
        (({"a": 2.0, "b": 1.0}, {"a": 1.0, "b": float("nan")}), False),
        (({"a": 1.0, "b": None}, {"a": 2.0, "b": None}), None),
    ],
)
def test_an_order_is_decided_by_the_seeds(seeds, holds):
    """The difference of two names in each seed, whose interval has zero in it or not."""
    medians = {
        name: None if None in values else float(np.median(values))
        for name in seeds[0]
        for values in [[seed[name] for seed in seeds]]
    }
    alone = [[ordered("o", "s", seed)] for seed in seeds]
    (found,) = over_seeds([ordered("o", "s", medians)], alone)
    assert found.holds is holds
