"""One process at a time writes into a run: a lock of the operating system, which goes with its
process however that ends.

    .lock    in the run's directory: locked while a process trains it, and who that is. What the
             file says after that means nothing, and the file may be deleted.
"""

import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jaxrnn.runs.progress import warn

LOCK = ".lock"

_held: dict[str, int] = {}  # resolved path of a run -> descriptor


class InUse(OSError):
    """Another process trains the run; `str()` is one line that names it."""


@contextmanager
def releasing_locks() -> Iterator[None]:
    """At its end the runs that were locked in it are free again."""
    before = set(_held)
    try:
        yield
    finally:
        for name in set(_held) - before:
            os.close(_held.pop(name))


def lock_run(path: Path) -> None:
    """Locks the run at `path` for this process until `releasing_locks` ends, or the process does.

    Where the run's file system has no locks, a file in this machine's temporary folder is locked in
    its stead: that holds against the other processes of this machine.

    Raises: InUse; OSError if the run's directory cannot be written.
    """
    name = os.path.realpath(path)
    if name in _held:
        return
    for place in (Path(name) / LOCK, _elsewhere(name)):
        try:
            descriptor = _open(place)
        except OSError as error:
            if place.parent != Path(name):
                continue
            cause = str(error.strerror).lower()
            remedy = "see to it that you may write it, or go on with a copy"
            raise OSError(f"{place} cannot be written: {cause}; {remedy}") from None
        for lock in _ways():
            try:
                lock(descriptor)
            except (BlockingIOError, PermissionError):
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise InUse(
                    f"{path} is being trained by {holder or 'another process'}; wait until it has "
                    "ended, or stop it first"
                ) from None
            except OSError:
                continue  # not on this file system
            _held[name] = descriptor
            with suppress(OSError):  # a full disk: the lock holds without it
                os.ftruncate(descriptor, 0)
                os.pwrite(
                    descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0
                )
            return
        os.close(descriptor)
    warn(f"{path} cannot be locked here; see to it that no other process trains it")


def _open(place: Path) -> int:
    with suppress(FileNotFoundError):
        # a file of somebody else's in a shared folder may be opened, but not created anew
        return os.open(place, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    return os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _elsewhere(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"jaxrnn-{hashlib.sha256(name.encode()).hexdigest()}.lock"


def _ways() -> list[Callable[[int], None]]:
    """How a descriptor is locked, at once or not at all; a file system may have the one or the
    other. Of both the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        return [lambda descriptor: msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)]  # pyright: ignore
    now = fcntl.LOCK_EX | fcntl.LOCK_NB
    return [lambda d: fcntl.flock(d, now), lambda d: fcntl.lockf(d, now)]
