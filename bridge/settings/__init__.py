"""All settings, from environment variables `BRIDGE_*` and from a TOML file."""

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
    load,
    masked,
)

__all__ = [
    "Account",
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
    "load",
    "masked",
]
