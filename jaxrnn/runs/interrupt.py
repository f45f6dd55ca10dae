"""Ctrl-C, SIGTERM and SIGHUP as a request, noticed where the training loop can save."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jaxrnn.starting import IS_COMMAND, SIGNALS, leave_at_exit


class Interrupted(Exception):
    """Somebody asked the run to stop; everything is saved."""


@dataclass
class Interrupts:
    """The first signal that arrived, or None."""

    signal: int | None = None

    @property
    def requested(self) -> bool:
        return self.signal is not None


_current: Interrupts | None = None


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Records SIGINT, SIGTERM and SIGHUP instead of dying.

    A second SIGINT raises KeyboardInterrupt, and a command then ends without waiting for what still
    computes.

    The handlers that were there come back at the end. Inside another `interrupts` it is that one
    again. Outside the main thread, where Python allows no handlers, nothing is ever requested.
    """
    global _current
    if _current is not None:
        yield _current
        return
    state = Interrupts()

    def handle(number: int, frame: object) -> None:
        if state.requested and number == signal.SIGINT:
            if IS_COMMAND:
                leave_at_exit()
            raise KeyboardInterrupt
        state.signal = state.signal or number

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # `command &` and nohup set "ignore" and mean it; None is a handler of C.
            if handler not in (signal.SIG_IGN, None):
                previous[number] = handler
                signal.signal(number, handle)
    try:
        _current = state
        yield state
    finally:
        _current = None
        for number, handler in previous.items():
            signal.signal(number, handler)
