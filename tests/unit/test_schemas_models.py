"""`bridge schemas models`: typed models for those who read the events."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from bridge.cli import app
from bridge.contract.json_schema import json_schema
from bridge.events import KINDS, Kind
from tests.unit.mixed_run import mixed_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, type[BaseModel]]:
    """The models of the module that the command wrote, by `ce_type`."""
    file = tmp_path_factory.mktemp("models") / "gws_events.py"
    done = RUNNER.invoke(app, ["schemas", "models", "--language", "python", "--output", str(file)])
    assert (done.exit_code, done.output) == (0, f"Wrote {file}.\n")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    found: Mapping[str, type[BaseModel]] = module.MODELS
    return found


def written_back(model: BaseModel) -> dict[str, Any]:
    """The model as JSON, with times as the bridge writes them."""

    def as_told(value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {name: as_told(one) for name, one in value.items()} if isinstance(value, dict) else value

    return {name: as_told(value) for name, value in model.model_dump(by_alias=True).items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_models_hold_the_examples(models: Mapping[str, type[BaseModel]], kind: Kind) -> None:
    """Each example of a schema is read by the kind's model, which loses nothing of it."""
    for example in json_schema(kind)["examples"]:
        assert written_back(models[kind.event_type].model_validate(example)) == example


async def test_models_hold_whatever_is_published(models: Mapping[str, type[BaseModel]]) -> None:
    """So is every record of a mixed run, from the bytes on the topic."""
    for record in await mixed_run():
        model = models[dict(record.headers)["ce_type"].decode()]
        assert written_back(model.model_validate_json(record.value)) == json.loads(record.value)


def test_models_read_on_when_a_version_grows(models: Mapping[str, type[BaseModel]]) -> None:
    """A field that they don't know is left out; one that is missing is not made up."""
    [example] = json_schema(KINDS[0])["examples"]
    model = models[KINDS[0].event_type]
    assert model.model_validate(example | {"more": 1}) == model.model_validate(example)
    with pytest.raises(ValidationError):
        model.model_validate({name: value for name, value in example.items() if name != "account"})


def test_without_a_file_they_go_to_standard_output() -> None:
    """The output is the module, and nothing else."""
    done = RUNNER.invoke(app, ["schemas", "models"])
    assert done.exit_code == 0
    compile(done.stdout, "gws_events.py", "exec")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the generator is not installed, one line says how to install it, and the code is 1."""
    monkeypatch.setitem(sys.modules, "datamodel_code_generator", None)
    done = RUNNER.invoke(app, ["schemas", "models"])
    assert (done.exit_code, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "pip install '.[models]'" in line


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A wrong path ends with code 1 and the path."""
    done = RUNNER.invoke(app, ["schemas", "models", "--output", str(tmp_path / "nowhere" / "events.py")])
    assert done.exit_code == 1
    assert "nowhere" in done.stderr
