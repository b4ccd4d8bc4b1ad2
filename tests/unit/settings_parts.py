"""An environment with all that is required, and the faults of one; a plugin of tests/conftest.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.errors import SettingsError
from bridge.settings import load

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2-hunter2"


ENVIRONMENT = {
    "BRIDGE_WEB_SERVICES__URL": "http://gws.example:8080/",
    "BRIDGE_WEB_SERVICES__USERNAME": "bridge@example",
    "BRIDGE_WEB_SERVICES__PASSWORD": SECRET,
    "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092, kafka-2:9092",
}


WITHOUT_ACCOUNT = {
    name: value for name, value in ENVIRONMENT.items() if not name.endswith(("__USERNAME", "__PASSWORD"))
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The path of a TOML file of settings, which does not exist yet."""
    return tmp_path / "bridge.toml"


def faults(environment: dict[str, str], config: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(config, environment)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults
