"""The settings that deployment files speak of."""

import re
from pathlib import Path

import pytest
import yaml

from bridge import settings
from bridge.errors import SettingsError

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "cometd-kafka-bridge"
FILES = [ROOT / "Dockerfile", ROOT / "deploy" / "compose.yaml", ROOT / "docs" / "deployment.md", *CHART.rglob("*")]
NAMED = sorted(
    {
        (str(file.relative_to(ROOT)), name)
        for file in FILES
        if file.is_file() and not file.is_symlink()
        for name in re.findall(r"\bBRIDGE_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_variable_that_is_named_exists(file: str, name: str) -> None:
    """Each `BRIDGE_…` in the Dockerfile, the compose file, the chart and their page is a setting."""
    with pytest.raises(SettingsError) as caught:
        settings.load(environment={name: ""})
    assert [fault for fault in caught.value.faults if fault.startswith(f"{name}: unknown setting")] == [], file


def test_health_and_metrics_have_a_port_of_their_own() -> None:
    """The image and the chart set the same management port, so health answers also while callers fill the other one."""
    [port] = re.findall(r"^ +BRIDGE_HTTP__MANAGEMENT_PORT=(\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    http = yaml.safe_load((CHART / "values.yaml").read_text())["config"]["http"]
    assert http["management_port"] == int(port) != http["port"]
