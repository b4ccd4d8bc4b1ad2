"""Who may call the REST side, as the settings say it."""

from __future__ import annotations

import pytest

from bridge.settings import load
from tests.unit.settings_parts import ENVIRONMENT, faults

OUTSIDE = {"BRIDGE_HTTP__HOST": "0.0.0.0"}  # noqa: S104 -- only a value
REFUSED = (
    "BRIDGE_HTTP__HOST: is open to other machines; set authentication.method to tokens or jwt, "
    "or allow_unauthenticated to true"
)
JWT = {
    "BRIDGE_HTTP__AUTHENTICATION__METHOD": "jwt",
    "BRIDGE_HTTP__AUTHENTICATION__JWKS_URL": "https://id.example/jwks",
    "BRIDGE_HTTP__AUTHENTICATION__ISSUER": "https://id.example/",
    "BRIDGE_HTTP__AUTHENTICATION__AUDIENCE": "bridge",
}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "bridge.example", "127.example"])  # noqa: S104
def test_strangers_are_not_let_in_by_accident(host: str) -> None:
    """An address that other machines reach stops the start, unless callers prove who they are or need not, told so."""
    outside = ENVIRONMENT | {"BRIDGE_HTTP__HOST": host}
    assert faults(outside) == [REFUSED]
    for told in (
        {"BRIDGE_HTTP__ALLOW_UNAUTHENTICATED": "true"},
        {"BRIDGE_HTTP__AUTHENTICATION__METHOD": "tokens", "BRIDGE_HTTP__AUTHENTICATION__TOKENS_FILE": __file__},
        JWT,
    ):
        assert load(environment=outside | told).http.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_own_machine_needs_no_authentication(host: str) -> None:
    """On loopback alone callers need not prove who they are."""
    assert load(environment=ENVIRONMENT | {"BRIDGE_HTTP__HOST": host}).http.authentication.method == "none"


def test_refusing_strangers_is_told_with_the_rest() -> None:
    """The open address is told together with other faults, and a wrong method does not count as one."""
    environment = ENVIRONMENT | OUTSIDE | {"BRIDGE_HTTP__PORT": "x", "BRIDGE_HTTP__ALLOW_UNAUTHENTICATED": "false"}
    assert REFUSED in faults(environment)


@pytest.mark.parametrize(
    ("method", "missing"), [("tokens", ["TOKENS_FILE"]), ("jwt", ["JWKS_URL", "ISSUER", "AUDIENCE"])]
)
def test_each_method_needs_its_settings(method: str, missing: list[str]) -> None:
    """A method without what it needs names each missing setting."""
    prefix = "BRIDGE_HTTP__AUTHENTICATION__"
    assert faults(ENVIRONMENT | {f"{prefix}METHOD": method}) == [
        f"{prefix}{name}: is required with {method}" for name in missing
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWKS_URL", "http://id.example/jwks"),
        ("JWKS_URL", "ftp://id.example"),
        ("JWKS_URL", "https://user:pass@id.example/jwks"),
        ("JWKS_URL", "https://user@id.example/jwks"),
        ("ALGORITHMS", '["HS256"]'),
        ("ALGORITHMS", '["none"]'),
        ("ALGORITHMS", "[]"),
        ("TOKENS_FILE", "/nowhere"),
        ("METHOD", "basic"),
    ],
)
def test_weak_authentication_is_no_setting(name: str, value: str) -> None:
    """Keys come by https from elsewhere, algorithms are asymmetric, and files are there."""
    variable = f"BRIDGE_HTTP__AUTHENTICATION__{name}"
    [fault] = faults(ENVIRONMENT | JWT | {variable: value})
    assert fault.startswith(f"{variable}")


def test_management_port_is_another_one() -> None:
    """The management port can't be the port of the REST side, unless either is any free one."""
    ports = {"BRIDGE_HTTP__PORT": "9000", "BRIDGE_HTTP__MANAGEMENT_PORT": "9000"}
    assert faults(ENVIRONMENT | ports) == ["BRIDGE_HTTP__MANAGEMENT_PORT: is also the port of the REST API"]
    assert load(environment=ENVIRONMENT | dict.fromkeys(ports, "0")).http.management_port == 0
