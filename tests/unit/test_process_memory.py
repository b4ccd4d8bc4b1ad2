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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_used_again() -> None:
    """The system clears the memory of a transaction once, and not again for each transaction that follows."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    by_default, kept = map(int, done.stdout.split())
    assert kept < by_default / 20
