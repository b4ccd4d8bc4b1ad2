"""The example consumers, each built outside the repository, as a reader who copies its folder builds it."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.real import require_real_parts
from tests.tools.required import require_tool

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILD_DEADLINE = 300
REGISTRY = "http://127.0.0.1:1"
"""Where nothing answers, for runs in which no value has a schema's id."""


@dataclass(frozen=True)
class Program:
    """An example that can be started."""

    name: str
    start: tuple[str, ...]

    def arguments(
        self, bootstrap: str, prefix: str, *, events: int = 0, group: str = "examples", registry: str = REGISTRY
    ) -> list[str]:
        """Return the command with its arguments. The program ends after so many events (0: never).

        The Python example keeps what it has seen in a database for each prefix of topics.
        """
        if self.name == "java":
            return [*self.start, bootstrap, registry, f"{prefix}.acknowledgements.v1", group, str(events)]
        options = ["--bootstrap", bootstrap, "--prefix", prefix, "--group", group, "--events", str(events)]
        if self.name == "python":
            options += ["--database", str(Path(self.start[-1]).with_name(f"{prefix}.db"))]
        return [*self.start, *options]


async def _run(*command: str, cwd: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_DEADLINE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def _python(place: Path) -> Program:
    await _run(sys.executable, "-m", "bridge", "schemas", "models", "--output", str(place / "gws_events.py"), cwd=place)
    return Program("python", (sys.executable, str(place / "acknowledgements.py")))


async def _java(place: Path) -> Program:
    require_real_parts()
    await _run("mvn", "--batch-mode", "--quiet", "compile", cwd=place)
    classes = f"{place}/.build/classes:{place}/.build/jars/*"
    java = ("env", "--unset=JDK_JAVA_OPTIONS", "java")  # the JVM would tell about the options of `scripts/test`
    return Program("java", (*java, "-cp", classes, "example.Acknowledgements"))


async def _go(place: Path) -> Program:
    go = require_tool("go", "install Go 1.26 or newer")
    await _run(go, "vet", "./...", cwd=place)
    await _run(go, "build", "-mod=readonly", "-o", "acknowledgements", ".", cwd=place)
    return Program("go", (str(place / "acknowledgements"),))


async def _typescript(place: Path) -> Program:
    npm = require_tool("npm", "install Node.js 20 or newer with npm")
    await _run(npm, "ci", "--ignore-scripts", cwd=place)
    await _run(npm, "run", "build", cwd=place)
    return Program("typescript", (require_tool("node"), str(place / "build" / "acknowledgements.js")))


BUILDERS: dict[str, Callable[[Path], Awaitable[Program]]] = {
    "python": _python,
    "go": _go,
    "typescript": _typescript,
    "java": _java,
}


async def build(name: str, directory: Path) -> Program:
    """Copy the example's folder into `directory`, build it there, and return the program.

    Skips the running test if a tool is missing; with BRIDGE_REQUIRE_REAL=1 (CI) fails it instead.
    """
    place = directory / name
    built = shutil.ignore_patterns("node_modules", "build", ".build", "__pycache__", "gws_events.py", "*.db")
    shutil.copytree(EXAMPLES / name, place, ignore=built)
    return await BUILDERS[name](place)
