"""Loads all settings, or only the sections that a command needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError, create_model

from bridge.errors import SettingsError
from bridge.settings import sources
from bridge.settings.accounts_file import read_accounts
from bridge.settings.faults import unknown_variable
from bridge.settings.files import read_toml
from bridge.settings.models import Http, Kafka, Settings
from bridge.settings.section import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.settings.models import Account, Evidence, Fleet, Operations

Model = TypeVar("Model", bound=BaseModel)


class TopicSettings(Protocol):
    """The sections that decide which topics and rights the bridge needs in Kafka. `Settings` has them too."""

    kafka: Kafka
    http: Http
    evidence: Evidence
    fleet: Fleet
    operations: Operations


def load(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from the environment and from the TOML file `config`. Environment variables win.

    Raises:
        SettingsError: settings are missing or wrong. Each line of the error names a variable, or the file and a key.
    """
    accounts: list[Account] = []

    def read_file(values: Mapping[str, Any]) -> list[str]:
        """Read the accounts file, if there is one, and return its faults."""
        path, setting = values.get("accounts_file"), sources.variable(("accounts_file",))
        name = setting if environment.get(setting) else f"{config}: accounts_file"
        try:
            accounts.extend(read_accounts(Path(path), name) if isinstance(path, str) else ())
        except SettingsError as error:
            return error.faults
        return []

    settings = _load(Settings, ("web_services", "kafka"), config, environment, read_file)
    return settings.model_copy(update={"accounts": tuple(accounts)}) if accounts else settings


def load_kafka(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Kafka:
    """Read only the section `kafka`, for commands that read topics and need no account at Web Services.

    The other sections may be incomplete or wrong. Unknown names of variables and sections are faults as in `load`.

    Raises:
        SettingsError: see `load`.
    """
    kafka: Kafka = _load(_only("kafka"), ("kafka",), config, environment).kafka  # type: ignore[attr-defined]
    return kafka


def load_http(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Http:
    """Read only the section `http`, for commands that call a running bridge. See `load_kafka`.

    Raises:
        SettingsError: see `load`.
    """
    http: Http = _load(_only("http"), ("http",), config, environment).http  # type: ignore[attr-defined]
    return http


def load_for_topics(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> TopicSettings:
    """Read only the sections that decide which topics and rights the bridge needs in Kafka. See `load_kafka`.

    Raises:
        SettingsError: see `load`.
    """
    return cast(
        "TopicSettings",
        _load(_only("kafka", "http", "evidence", "fleet", "operations"), ("kafka",), config, environment),
    )


def _only(*names: str) -> type[Section]:
    """Return a model with the sections of `Settings`.

    It validates the sections `names`, and accepts any values elsewhere.
    """
    fields: dict[str, Any] = dict.fromkeys(Settings.model_fields, (Any, None))
    kept = {name: (Settings.model_fields[name].annotation, Settings.model_fields[name]) for name in names}
    return create_model("Settings", __base__=Section, **(fields | kept))


def _load(
    model: type[Model],
    sections: tuple[str, ...],
    config: Path | None,
    environment: Mapping[str, str],
    more_faults: Callable[[Mapping[str, Any]], list[str]] = lambda _: [],
) -> Model:
    variables, unknown = sources.read_environment(Settings, environment)
    faults = [unknown_variable(name, sources.variables(Settings)) for name in unknown]
    file: dict[str, Any] = {}
    if config is not None:
        try:
            file = sources.beside(Settings, read_toml(config), config.parent)
        except ValueError as error:  # settings that the file may contain must not be reported as missing
            raise SettingsError([*faults, f"{config}: {error}"]) from None
    # With empty sections, pydantic reports each missing setting. Without the sections, pydantic would report only the
    # section.
    empty: dict[str, Any] = {name: {} for name in sections}
    values = sources.merge(empty, sources.merge(file, variables))
    settings = None
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        for line in error.errors(include_input=False):
            location = line["loc"]
            place = sources.outside_lists(location)
            in_file = sources.at(file, place) is not None and isinstance(sources.at(variables, place), dict | None)
            name = f"{config}: {sources.dotted(location)}" if in_file else sources.variable(location)
            faults.append(f"{name}: {line['msg']}")
    faults += more_faults(values)
    if settings is None or faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    return settings
