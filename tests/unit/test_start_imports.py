"""What a start of the bridge does not load: each of these costs every process 30 ms and more."""

import subprocess
import sys
from typing import Final

NOT_NEEDED: Final = {
    "cryptography.x509": "to read a client certificate that a server refused",
    "jwt": "where callers show tokens of an identity provider",
    "opentelemetry.sdk": "where tracing is on",
    "rich.markdown": "for --help",
    "confluent_kafka": "for the demo, and for a schema registry",
    "fastavro": "for a schema registry",
    "datamodel_code_generator": "for `bridge schemas models`",
    "bridge.simulator": "for the demo",
}
"""Modules, and what they are loaded for."""


def test_a_start_loads_nothing_that_it_does_not_need() -> None:
    """`bridge run` with the least settings loads no module that only other commands or other settings use."""
    program = "import sys, bridge.cli, bridge.commands.run; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert {"bridge.app", "fastapi", "aiokafka"} <= loaded
    assert {name: why for name, why in NOT_NEEDED.items() if name in loaded} == {}
