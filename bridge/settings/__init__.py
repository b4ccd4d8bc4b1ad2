"""All settings, from environment variables `BRIDGE_*` and from a TOML file."""

from bridge.settings.accounts_file import AccountsFile, account_changes
from bridge.settings.changed import changed
from bridge.settings.files import signing_key
from bridge.settings.loading import TopicSettings, load, load_for_topics, load_http, load_kafka
from bridge.settings.models import (
    Account,
    Authentication,
    Delivery,
    Evidence,
    Fleet,
    Http,
    Kafka,
    Log,
    Privacy,
    Registry,
    Settings,
    WebServices,
)
from bridge.settings.rules import is_loopback


def template() -> str:
    """Return the content of a new file of settings, with every setting and its meaning."""
    from bridge.settings.new_file import template  # noqa: PLC0415 -- it reads the models' source, for one command

    return template()


__all__ = [
    "Account",
    "AccountsFile",
    "Authentication",
    "Delivery",
    "Evidence",
    "Fleet",
    "Http",
    "Kafka",
    "Log",
    "Privacy",
    "Registry",
    "Settings",
    "TopicSettings",
    "WebServices",
    "account_changes",
    "changed",
    "is_loopback",
    "load",
    "load_for_topics",
    "load_http",
    "load_kafka",
    "signing_key",
    "template",
]
