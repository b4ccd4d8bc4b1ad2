"""What a release is made of: the wheel works in an empty environment, and the workflow is one."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from bridge import __version__

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_the_wheel_works_in_an_empty_environment() -> None:
    """`make dist` builds both, and the wheel's commands and demo work with nothing but what the wheel asks for."""
    done = run("scripts/dist", PYTHONS=sys.executable)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cometd_kafka_bridge-{__version__}-py3-none-any.whl works on Python 3.")
    [wheel], [sdist] = (ROOT / "dist").glob("*.whl"), (ROOT / "dist").glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"bridge/py.typed", "bridge/schemas/acknowledgement/v1.json"} <= names
    assert not {name for name in names if name.startswith(("tests", "benchmarks", "docs"))}
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "schemas/asyncapi.yaml"} <= sources


def test_no_python_is_a_failure() -> None:
    """A release that was tried nowhere is none."""
    done = run("scripts/dist", PYTHONS="python0.0")
    assert done.returncode == 1
    assert "python0.0 is not there" in done.stderr


def test_the_workflow_fits_its_schema() -> None:
    """The release workflow is one that GitHub takes."""
    checker = str(Path(sys.executable).parent / "check-jsonschema")
    done = run(checker, "--builtin-schema", "vendor.github-workflows", str(WORKFLOW))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bill_of_materials_names_what_is_installed() -> None:
    """It is a CycloneDX document with the bridge and with what each extra needs."""
    document = json.loads(run("scripts/sbom").stdout)
    names = {component["name"] for component in document["components"]}
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "cometd-kafka-bridge"
    assert {"aiokafka", "confluent-kafka", "opentelemetry-sdk", "phonenumberslite"} <= names
    assert "pytest" not in names
