"""Which of the many tests of a kind the plain pytest command runs."""

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_full(values: Iterable[Any], *by_default: Any) -> list[Any]:
    """All values of a parametrisation, those not named behind the mark `full`: the ones named are
    those that differ in kind. A tuple is the arguments of one test."""
    values = list(dict.fromkeys(values))
    unknown = [value for value in by_default if value not in values]
    assert not unknown, f"{unknown} are none of {values}"
    return [
        value
        if value in by_default
        else pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full
        )
        for value in values
    ]
