"""The checkers of Prometheus and AlertManager."""

import subprocess
from pathlib import Path

from tests.tools.required import require_tool


def run_tool(name: str, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """Run `promtool` or `amtool`; return its exit status, and all that it wrote."""
    command = [require_tool(name), *arguments]
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode()
