"""All settings, from environment variables `BRIDGE_*` and from a TOML file."""

from bridge.settings.loading import load, load_http, load_kafka
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
    masked,
)

__all__ = [
    "Account",
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
    "WebServices",
    "load",
    "load_http",
    "load_kafka",
    "masked",
]
