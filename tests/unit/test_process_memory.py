"""The memory of the bridge's process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from bridge.commands.process import keep_freed_memory

megabyte = 1 << 20

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        blocks = [b"x" * (megabyte + number) for number in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(10)
by_default = faults(50)
keep_freed_memory()
faults(10)
print(by_default, faults(50))
"""
"""Allocates and frees 8 MiB in each round, as the transactions of a burst do; prints the page faults of 50 rounds."""


START = """
from pathlib import Path
from bridge.commands.process import give_back_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

keep_freed_memory()
before = resident()
blocks = [b"x" * 5000 for _ in range(4000)]
del blocks[:-1]  # the last block stays, so that the end of the heap is in use
freed = resident()
give_back_memory()
print(before, freed, resident())
"""
"""Frees 20 MB below a block that stays, as a start does.

Prints the resident memory in MiB before that, after that, and after the call."""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")


@glibc
def test_freed_memory_is_used_again() -> None:
    """The system clears the memory of a transaction once, and not again for each transaction that follows."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    by_default, kept = map(int, done.stdout.split())
    assert kept < by_default / 20


@glibc
def test_the_memory_of_the_start_is_given_back() -> None:
    """The system gets back the memory that the start has freed."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=60, check=True)
    before, freed, given_back = map(int, done.stdout.split())
    assert freed > before + 15
    assert given_back < before + 3
