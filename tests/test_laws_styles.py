"""Every gradient style under every law."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from jaxrnn.gradients import STYLES
from jaxrnn.laws import STYLE_LAWS
from jaxrnn.laws.styles import Case, equals_by_hand


@pytest.mark.parametrize("law", STYLE_LAWS)
@pytest.mark.parametrize("name", STYLES)
def test_laws(name, law):
    STYLE_LAWS[law](STYLES[name])


@st.composite
def cases(draw):
    stride = draw(st.integers(1, 4))
    window = draw(st.integers(stride, stride + 5))
    scored = stride * draw(st.integers(1, 4))
    return Case(window, stride, scored, draw(st.integers(0, window - stride)))


@pytest.mark.slow
@pytest.mark.parametrize("name", STYLES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(case=cases())
def test_any_window_and_stride(name, case):
    equals_by_hand(STYLES[name], case)
