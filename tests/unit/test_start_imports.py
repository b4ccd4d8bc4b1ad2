"""What a start of the bridge and its first request do not load: each of these costs every process time or memory."""

import json
import os
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlsplit

NOT_NEEDED: Final = {
    "cryptography.x509": "to read a client certificate that a server refused",
    "jwt": "where callers show tokens of an identity provider",
    "opentelemetry.sdk": "where tracing is on",
    "rich.console": "for tables, progress bars and --help",
    "jinja2": "at the first page of the console",
    "pydantic.v1.main": "never",
    "greenlet._greenlet": "never",
    "bridge.evidence": "at the first evidence",
    "cryptography.hazmat.primitives.serialization": "to read the key that signs evidence",
    "confluent_kafka": "for the demo, and for a schema registry",
    "fastavro": "for a schema registry",
    "bridge.registry.avro": "for a schema registry",
    "datamodel_code_generator": "for `bridge schemas models`",
    "bridge.simulator": "for the demo",
}
"""Modules, and what they are loaded for."""
SETTINGS: Final = {
    "BRIDGE_WEB_SERVICES__URL": "http://127.0.0.1:1",
    "BRIDGE_WEB_SERVICES__USERNAME": "agent",
    "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
    "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "BRIDGE_HTTP__PORT": "0",
}
LISTENING: Final = '"event": "listening"'


def test_a_start_loads_nothing_that_it_does_not_need() -> None:
    """`bridge run` with the least settings loads no module that only other commands or other settings use.

    This includes the modules that FastAPI imports at the first request.
    """
    command = [sys.executable, "-X", "importtime", "-m", "bridge", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | SETTINGS) as bridge:
        assert bridge.stderr is not None
        lines = []
        for line in bridge.stderr:
            lines.append(line)
            if LISTENING in line:
                break
        assert LISTENING in lines[-1], lines[-20:]
        with closing(HTTPConnection(urlsplit(json.loads(lines[-1])["url"]).netloc, timeout=30)) as client:
            client.request("GET", "/health/live")
            assert client.getresponse().read()
        bridge.kill()
        lines += bridge.stderr
    loaded = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert {"bridge.app", "fastapi", "aiokafka"} <= loaded
    assert {name: why for name, why in NOT_NEEDED.items() if name in loaded} == {}
