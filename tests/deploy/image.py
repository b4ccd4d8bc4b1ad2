"""The container image: built from the Dockerfile, and run the way a hardened cluster runs it."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.tools.required import require_tool

ROOT = Path(__file__).parents[2]
BASE = "localhost/python:3.11"
"""Made by tests/tools/image."""
IMAGE = "localhost/cometd-kafka-bridge:test"
_STORAGE = ROOT / "tests" / "tools" / ".build" / "containers"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""What the build trusts is what this machine trusts."""
_BUILD_DEADLINE = 600.0
_COMMAND_DEADLINE = 60.0

# The root file system is the image's, read-only, without a single place to write to; /dev and /proc are the usual ones.
# Mount and process namespace are the container's own: the bridge is process 1 in there, as it is in Kubernetes.
_ENTER = """
set -euo pipefail
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot --userspec="$2" "$1" "${@:3}"
"""


class Health(msgspec.Struct, frozen=True, rename="pascal"):
    """The HEALTHCHECK; times in nanoseconds."""

    test: list[str]
    interval: int
    timeout: int


class Config(msgspec.Struct, frozen=True, rename="pascal"):
    """What the image says of how it is to be run."""

    user: str
    env: list[str]
    entrypoint: list[str]
    cmd: list[str]
    labels: dict[str, str]
    healthcheck: Health
    stop_signal: str


class _Docker(msgspec.Struct, frozen=True):
    config: Config


class _Inspected(msgspec.Struct, frozen=True):
    docker: _Docker = msgspec.field(name="Docker")


async def build(*, version: str, revision: str) -> Config:
    """Build the image with what earlier builds left, and return what it says of itself."""
    await _buildah("inspect", "--type", "image", BASE)
    certificates = ("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro")
    arguments = {"BASE": BASE, "VERSION": version, "REVISION": revision}
    options = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    isolation = ["--isolation", "chroot", "--network", "host", "--format", "docker"]
    await _buildah(
        "bud", "--layers", *isolation, *certificates, *options, "--tag", IMAGE, str(ROOT), deadline=_BUILD_DEADLINE
    )
    inspected = await _buildah("inspect", "--type", "image", IMAGE)
    return msgspec.json.decode(inspected, type=_Inspected).docker.config


class Container:
    """One container of the image, on the machine's own network; an asynchronous context manager."""

    def __init__(self, config: Config, log: Path) -> None:
        self.config = config
        self._log = log
        self._name = ""
        self._root = ""
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._name = (await _buildah("from", IMAGE)).decode().strip()
        self._root = (await _buildah("mount", self._name)).decode().strip()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await _buildah("umount", self._name)
        await _buildah("rm", self._name)

    async def start(self, environment: Mapping[str, str], *command: str) -> None:
        """Start the command, or what the image says is to be started, with these variables beside the image's own."""
        with self._log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("bash", "-c", _ENTER, "container", self._root, self.config.user),
                *(command or (*self.config.entrypoint, *self.config.cmd)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**dict(one.split("=", 1) for one in self.config.env), **environment},
            )

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command in the running container, as `docker exec` does; return its status and output."""
        pid = await self.first_process()
        user, _, group = self.config.user.partition(":")
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--target={pid}", "--mount", "--pid", "--root", "--wd", f"--setuid={user}"),
            *(f"--setgid={group}", "--", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(pid),
        )
        async with asyncio.timeout(_COMMAND_DEADLINE):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace")

    async def healthy(self, *, within: float) -> None:
        """Run the image's health check until it ends with 0. AssertionError, with the log, when it never does."""
        deadline = time.monotonic() + within
        kind, *check = self.config.healthcheck.test
        assert kind == "CMD"
        while True:
            status, output = await self.run(*check)
            if status == 0:
                return
            assert self._running.returncode is None, f"the container ended\n{self.output()}"
            assert time.monotonic() < deadline, f"not healthy within {within:g} s: {output}\n{self.output()}"

    async def terminate(self, *, within: float) -> int:
        """End it as Kubernetes and Docker do, with the image's stop signal; return the exit status."""
        os.kill(await self.first_process(), signal.Signals[self.config.stop_signal])
        return await self.ended(within=within)

    async def ended(self, *, within: float) -> int:
        """The exit status, waited for `within` seconds at most (TimeoutError)."""
        async with asyncio.timeout(within):
            return await self._running.wait()

    async def first_process(self) -> int:
        """The process id of the bridge, seen from outside; inside it is 1."""
        async with asyncio.timeout(10):
            while not (children := _children(self._running.pid)):  # noqa: ASYNC110 -- /proc tells nobody
                await asyncio.sleep(0.01)
        return children[0]

    async def users(self) -> set[int]:
        """The real, effective, saved and file system user of the bridge."""
        return _users(await self.first_process())

    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process


def _children(pid: int) -> Sequence[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _environment(pid: int) -> dict[str, str]:
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(one.split("=", 1) for one in variables if one)


def _users(pid: int) -> set[int]:
    found = re.search(r"^Uid:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return {int(user) for user in found[1].split()}


async def _buildah(*arguments: str, deadline: float = _COMMAND_DEADLINE) -> bytes:
    storage = ("--root", str(_STORAGE / "root"), "--runroot", str(_STORAGE / "run"))
    process = await asyncio.create_subprocess_exec(
        require_tool("buildah"),
        *storage,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(deadline):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"buildah {arguments[0]}: {errors.decode(errors='replace')[-2000:]}"
    return output
