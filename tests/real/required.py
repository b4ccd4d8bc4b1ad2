"""Whether the real parts can run here, and what a test does when they can't."""

import functools
import os
import subprocess
from pathlib import Path

import pytest

_ADVICE = "install Java 17+ and Maven, then run tests/real/install"
_INSTALL_DEADLINE = 600.0
_TOOL_MISSING = 3


@functools.cache
def real_parts() -> str | None:
    """Install the real parts, once a run (nothing is done when they are up to date).

    Returns:
        None when they can run here, else what to do about it.
    """
    install = Path(__file__).parent / "install"
    try:
        done = subprocess.run([install], capture_output=True, text=True, timeout=_INSTALL_DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{_ADVICE} ({error})"
    if done.returncode == _TOOL_MISSING:
        return f"{_ADVICE} ({done.stderr.strip()})"
    return f"tests/real/install failed: {done.stderr.strip()}" if done.returncode else None


def require_real_parts() -> None:
    """Skip the running test where the real parts are missing; with BRIDGE_REQUIRE_REAL=1 (CI) fail it instead."""
    missing = real_parts()
    if missing is None:
        return
    if os.environ.get("BRIDGE_REQUIRE_REAL") == "1":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)
