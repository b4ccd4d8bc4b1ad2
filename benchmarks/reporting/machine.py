"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.measuring.process import ROOT

_SERVER_JARS: Final = ROOT / "tests" / "real" / ".build"
_JAVA_JARS: Final = ROOT / "benchmarks" / "java" / ".build" / "jars"


def machine() -> str:
    """Cores, processor, memory and the load before the run, in one sentence."""
    processor = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    name = processor[1] if processor is not None else platform.machine()
    return (
        f"{os.cpu_count()} cores ({name}), {memory:.0f} GB, Linux {platform.release()}; load {os.getloadavg()[0]:.1f}"
    )


def versions() -> dict[str, str]:
    """Name and version of everything that took part."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    return {
        "bridge": version("cometd-kafka-bridge"),
        "Python": platform.python_version(),
        **{name: version(name) for name in ("aiocometd", "aiohttp", "aiokafka", "msgspec", "uvloop")},
        "Java": java.split('"')[1],
        "CometD client": _jar(_JAVA_JARS, "cometd-java-client-common"),
        "kafka-clients": _jar(_JAVA_JARS, "kafka-clients"),
        "Kafka broker": _jar(_SERVER_JARS / "kafka", "kafka_2.13"),
        "CometD server": _jar(_SERVER_JARS / "cometd", "cometd-java-server"),
    }


def _jar(directory: Path, name: str) -> str:
    return next((jar.stem.removeprefix(f"{name}-") for jar in directory.glob(f"{name}-[0-9]*.jar")), "unknown")
