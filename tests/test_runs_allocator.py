"""Memory that the process keeps, seen in the pages that the system had to bring."""

import subprocess
import sys

import pytest

from jaxrnn.runs import allocator

FAULTS = """
import resource, runpy, sys

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        b"x" * 2**27  # 128 MiB, 32,768 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert runpy.run_path(sys.argv[1])[sys.argv[2]]()
faults()
print(faults())
"""


def faults(setting: str) -> int:
    """In a process that imports nothing else: JAX and numpy would take a second."""
    command = [sys.executable, "-S", "-c", FAULTS, allocator.__file__, setting]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not allocator.return_pages(), reason="malloc is not glibc's")
def test_pages_are_kept_or_returned():
    """Each block anew, however the system groups its pages, or none of them."""
    kept, returned = faults("keep_pages"), faults("return_pages")
    assert kept < 100
    assert returned > 10 * max(kept, 4)


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_pages()
    assert not allocator.return_pages()
