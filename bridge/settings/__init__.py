"""All settings: environment variables `BRIDGE_*`, or a TOML file; secrets also as files."""

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
