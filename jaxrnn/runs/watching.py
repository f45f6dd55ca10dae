"""How a process of several notices that another has ended, and ends in one line itself.

A process that is killed leaves the others waiting inside a computation for what never comes, so a
thread of each watches: the followers write into the key-value store of `jax.distributed` that they
are alive, the first process reads it, and whoever ends by an error says so there. The store is the
first process's; when that is gone, JAX aborts the others from a thread of C++.
"""

import ctypes
import itertools
import os
import signal
import sys
import threading
import time
from typing import Any

import jax

SILENT = 20.0
"""Seconds without a sign of life after which a process counts as gone."""
BEAT = 1.0
"""Seconds between two signs of life."""
ENDED, ALIVE = "jaxrnn/ended", "jaxrnn/alive"


class Joined:
    """What this process knows of the others."""

    def __init__(self, index: int, count: int, client: Any, stderr: int):
        self.index, self.count = index, count
        self.client, self.stderr = client, stderr
        self.handler: Any = None
        self.agreements = itertools.count()
        self.seen: dict[int, tuple[str, float]] = {}  # of each follower: its last sign, and when
        self.remedy = "start it again"
        self.leaving = threading.Lock()
        self.ending = False
        self.left = False


def watch(joined: Joined) -> None:
    """The thread that ends this process when another has ended."""
    first, count = joined.index == 0, joined.count
    joined.seen = {process: ("", time.monotonic()) for process in range(1, count)}
    for beat in itertools.count():
        time.sleep(BEAT)
        with joined.leaving:
            if joined.left:
                return
            try:
                ended = found(joined, ENDED)
                if ended is None and not first:
                    joined.client.key_value_set(
                        f"{ALIVE}/{joined.index}", str(beat), allow_overwrite=True
                    )
                elif ended is None:
                    ended = _silent(joined)
            except Exception:  # the store is gone, which JAX notices and ends us for
                continue
        if ended is not None and not joined.ending:
            process, _, said = ended.partition(" ")
            if first and process != "0":
                _say(joined, f"process {process} of {count} {said}")
                time.sleep(3 * BEAT)  # the others read it too
            if process != str(joined.index):
                end(1)
            return


def _silent(joined: Joined) -> str | None:
    """What is said of a follower that has given no sign of life, which the others read too."""
    now = time.monotonic()
    beats = dict(joined.client.key_value_dir_get(ALIVE))
    for process, (last, since) in joined.seen.items():
        found = beats.get(f"{ALIVE}/{process}", "")
        if found != last:
            joined.seen[process] = (found, now)
        elif now - since > SILENT:
            ended = f"{process} is gone: it was killed, or its machine was lost"
            joined.client.key_value_set(ENDED, ended)
            return ended
    return None


def _why_aborted(joined: Joined) -> str:
    """What the first process knows when JAX is quicker than `watch`: who was silent longest."""
    now = time.monotonic()
    silent = {process: now - since for process, (_, since) in joined.seen.items()}
    process = max(silent, key=silent.__getitem__, default=0)
    if process and silent[process] > 3 * BEAT:
        return f"process {process} of {joined.count} is gone: silent for {silent[process]:.0f} s"
    return "JAX ended this process; JAXRNN_TRACEBACK=1 shows what it says"


def found(joined: Joined, key: str) -> str | None:
    try:
        return joined.client.key_value_try_get(key)
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" in str(error):
            return None
        raise


def _say(joined: Joined, what: str) -> None:
    os.write(joined.stderr, f"error: {what}; {joined.remedy}\n".encode(errors="backslashreplace"))


def end(code: int) -> None:
    """Without what JAX does at exit: it would wait for a process that is gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue
    os._exit(code)


def quieten(index: int) -> int:
    """Leaves Python's messages where they go, and XLA's nowhere: of one lost process it prints
    pages. Returns a descriptor of what standard error was."""
    stderr = os.dup(2)
    if os.environ.get("JAXRNN_TRACEBACK"):
        return stderr
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        stream.flush()
        kept = os.dup(descriptor if index == 0 else nothing)
        os.dup2(nothing, descriptor)
        encoding, errors = stream.encoding, stream.errors
        opened = open(kept, "w", encoding=encoding, errors=errors, buffering=1)  # noqa: SIM115
        setattr(sys, name, opened)
    return stderr


def on_abort(joined: Joined) -> None:
    """JAX aborts a process from a thread of C++ when the first one, or the network, is gone; this
    says so in a line. Python's own handlers would wait for a main thread that waits itself."""

    def handle(number: int) -> None:
        if joined.ending:
            os._exit(1)
        if joined.index != 0:
            _say(joined, f"process 0 of {joined.count} is gone: it was killed, or its machine lost")
        else:
            _say(joined, _why_aborted(joined))
        os._exit(1)

    joined.handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)  # kept: C holds no reference
    if os.name == "posix":
        ctypes.CDLL(None).signal(signal.SIGABRT, joined.handler)
