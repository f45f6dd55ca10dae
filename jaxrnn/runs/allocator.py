"""What malloc does with the memory between two training steps.

XLA takes the arrays of a training step from malloc and gives them back at its end. glibc returns
blocks of that size to the system at once, which fills the next step's with zeros page by page: for
R2RT's 3-layer model that is nearly half of the time on a CPU
(`python -m experiments.speed --case char-step` prints both). A process that keeps its pages stays
as large as its largest step.
"""

import ctypes
import sys

# mallopt's names for them, malloc.h of glibc
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8

_NEVER = 2**31 - 1
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _NEVER, _TOP_PAD: 2**26, _ARENA_MAX: 1}

# where glibc's thresholds come to rest by themselves once blocks of 32 MiB were given back
_RETURNED = {_MMAP_MAX: 2**16, _TRIM_THRESHOLD: 2**26, _TOP_PAD: 2**17}


def keep_pages() -> bool:
    """Lets the process keep what it has once taken; false where its malloc is not glibc's."""
    return _set(_KEPT)


def return_pages() -> bool:
    """Gives back what is free, and from now on large blocks as soon as they are: glibc's own way;
    false where malloc is not glibc's."""
    if not _set(_RETURNED):
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


def _set(options: dict[int, int]) -> bool:
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # musl's malloc has no options
        return False
    return all([libc.mallopt(option, value) == 1 for option, value in options.items()])
