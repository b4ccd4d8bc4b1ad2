"""HAProxy and nginx in front of two HTTP servers, with and without stickiness."""

import re
import subprocess
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import aiohttp

from tests.real.process import ServerProcess, free_port
from tests.real.server import RealServer

SERVED_BY = "X-Served-By"
"""The response header that tells which of the servers has answered."""
_HAPROXY = """
defaults
    mode http
    retries 3
    option redispatch
    timeout connect 2s
    timeout client 120s
    timeout server 120s
listen servers
    bind 127.0.0.1:{port}
    balance roundrobin
    {sticky}
    {check}
    http-response set-header {served_by} %s
"""
_NGINX = """
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_connect_timeout 2s;
    proxy_read_timeout 120s;
    upstream servers {{
        {sticky}
        {servers}
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        add_header {served_by} $upstream_addr always;
        location / {{ proxy_pass http://servers; }}
    }}
}}
"""


class Balancer(RealServer):
    """A balancer on loopback, in front of these servers (host:port)."""

    command: ClassVar[str]
    package: ClassVar[str]
    """The Debian package that has the command."""

    def __init__(self, servers: Sequence[str], *, sticky: bool, health: str = "") -> None:
        """Nothing is started yet. `health`: the path whose status says whether a server can take requests."""
        super().__init__()
        self._servers = servers
        self._sticky = sticky
        self._health = health
        self._port = free_port()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    @classmethod
    def version(cls) -> str:
        """Return the version of the installed command."""
        done = subprocess.run([cls.command, "-v"], capture_output=True, text=True, timeout=10, check=True)
        found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        assert found is not None
        return found[0]

    async def _launch(self, directory: Path) -> None:
        file = directory / "balancer.conf"
        file.write_text(self._configuration(directory))
        self._process = ServerProcess(self._command(file), log=directory / "output.log", name=self.name)
        await self._process.ready(self._answers, deadline=10)

    @abstractmethod
    def _configuration(self, directory: Path) -> str: ...

    @abstractmethod
    def _command(self, file: Path) -> Sequence[str]: ...

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as client, client.get(self.url):
                return True
        except aiohttp.ClientError:
            return False


class HAProxy(Balancer):
    """HAProxy. Sticky by a cookie of its own; asks the servers for their health."""

    name = "HAProxy"
    prefix = "bridge-haproxy-"
    command = "haproxy"
    package = "haproxy"

    def _configuration(self, directory: Path) -> str:  # noqa: ARG002 - nginx needs it
        text = _HAPROXY.format(
            port=self._port,
            sticky="cookie SERVERID insert indirect nocache" if self._sticky else "",
            check=f"option httpchk GET {self._health}" if self._health else "",
            served_by=SERVED_BY,
        )
        lines = [
            f"    server server{number} {address} check inter 200 cookie server{number}\n"
            for number, address in enumerate(self._servers)
        ]
        return text + "".join(lines)

    def _command(self, file: Path) -> Sequence[str]:
        return [self.command, "-db", "-f", str(file)]


class Nginx(Balancer):
    """The free nginx. Sticky by the client's address; a server that refuses connections is left out for a second."""

    name = "nginx"
    prefix = "bridge-nginx-"
    command = "nginx"
    package = "nginx-light"

    def _configuration(self, directory: Path) -> str:
        return _NGINX.format(
            place=directory,
            port=self._port,
            sticky="ip_hash;" if self._sticky else "",
            servers=" ".join(f"server {address} max_fails=1 fail_timeout=1s;" for address in self._servers),
            served_by=SERVED_BY,
        )

    def _command(self, file: Path) -> Sequence[str]:
        return [self.command, "-c", str(file)]
