"""A first signal is a request, a second Ctrl-C is an order, and handlers come back."""

import signal
import threading

import pytest

from jaxrnn.runs.interrupt import interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    after = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_request(number):
    with interrupts() as state:
        assert not state.requested
        signal.raise_signal(number)
        assert state.requested
        assert state.signal == number


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_ctrl_c_raises(first):
    with interrupts() as state:
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGTERM)  # only asks again
        assert state.signal == first
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts() as state:
        signal.raise_signal(signal.SIGINT)
        assert not state.requested
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, before)


def test_one_inside_another_is_the_same():
    with interrupts() as outer:
        with interrupts() as inner:
            assert inner is outer
        signal.raise_signal(signal.SIGINT)
        assert outer.requested
    with interrupts() as later:
        assert not later.requested


def test_outside_the_main_thread():
    requested = []

    def work() -> None:
        with interrupts() as state:
            requested.append(state.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]
