"""All settings, from environment variables `BRIDGE_*` and from a TOML file."""

from bridge.settings.accounts_file import AccountsFile, account_changes
from bridge.settings.loading import load, load_http, load_kafka
from bridge.settings.models import (
    Account,
    Authentication,
    Delivery,
    Fleet,
    Http,
    Kafka,
    Log,
    Privacy,
    Registry,
    Settings,
    WebServices,
    masked,
)

__all__ = [
    "Account",
    "AccountsFile",
    "Authentication",
    "Delivery",
    "Fleet",
    "Http",
    "Kafka",
    "Log",
    "Privacy",
    "Registry",
    "Settings",
    "WebServices",
    "account_changes",
    "load",
    "load_http",
    "load_kafka",
    "masked",
]
