"""Rules that settings must follow.

The rules for one setting return the value in its final form, or raise ValueError. The rules for several settings
(`..._faults`) take a section as a mapping and yield the faults. The rules for several settings also run if validation
has refused a field. So these rules must accept values of any type, and skip faults that validation reports.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import HttpUrl, SecretStr, TypeAdapter

from bridge import tls
from bridge.settings import files as files_of
from bridge.settings import sources

Finding = tuple[sources.Location, str]
"""The location of a faulty setting, and the text that follows its name in the error."""
Values = Mapping[str, Any]

_HTTP_URL = TypeAdapter(HttpUrl)
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LEAST_SECRET = 16
_USER_ID = re.compile(r"[^:\x00-\x1f\x7f]+")
_HOST_NAME = re.compile(r"\*|[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def base_url(text: str) -> str:
    """Check the base URL of a service. Return the URL without a slash at its end."""
    url = _HTTP_URL.validate_python(text)
    _refuse_login(url)
    if url.query is not None or url.fragment is not None:
        raise ValueError("must end after the path, without ? and #")
    base = str(url).rstrip("/")
    if base.endswith("/api/v2"):
        raise ValueError("must be the base URL, without /api/v2")
    return base


def registry_url(text: str) -> str:
    """Check the URL of the schema registry, or of another service. Return the URL without a slash at its end."""
    url = _HTTP_URL.validate_python(text)
    _refuse_login(url)
    return str(url).rstrip("/")


def hard_to_guess(secret: SecretStr | None) -> SecretStr | None:
    """Check that a secret is long enough for the key of an HMAC."""
    if secret is not None and len(secret.get_secret_value()) < _LEAST_SECRET:
        raise ValueError(f"should have at least {_LEAST_SECRET} characters")
    return secret


def servers(servers: str) -> str:
    """Check a list of Kafka brokers. Return the list without blanks."""
    names = [name.strip() for name in servers.split(",")]
    if not all(_SERVER.fullmatch(name) for name in names):
        raise ValueError("should be host:port, or several of them separated by commas")
    return ",".join(names)


def some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Check that a list has at least one item."""
    if not items:
        raise ValueError("is empty")
    return items


def host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check names for the header Host, or `*` for any name. Return the names in lower case."""
    if not all(_HOST_NAME.fullmatch(name) for name in names):
        raise ValueError("should contain host names without ports, or *; IP addresses are always allowed")
    return tuple(name.lower().removesuffix(".") for name in names)


def keys_url(text: str) -> str:
    """Check the URL of signing keys. The URL must be https, unless its host is this machine."""
    url = _HTTP_URL.validate_python(text)
    _refuse_login(url)
    if url.scheme != "https" and not is_loopback(url.host or ""):
        raise ValueError("should be https, because an attacker who replaces the keys could sign tokens")
    return str(url)


def proxy_url(text: str) -> str:
    """Check the URL of an HTTP proxy."""
    url = _HTTP_URL.validate_python(text)
    if url.scheme != "http" or url.path not in {None, "/"} or url.query is not None or url.fragment is not None:
        raise ValueError("should be http://host:port, for https connections too (the proxy opens a tunnel)")
    _refuse_login(url)
    return str(url)


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL is this machine: `localhost`, or a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def basic_user(username: str) -> str:
    """Check a user name: RFC 7617, section 2, forbids colons and control characters."""
    if not _USER_ID.fullmatch(username):
        raise ValueError("should be a user name, without colons and control characters")
    return username


def account_faults(settings: Values) -> Iterable[Finding]:
    """Yield contradictions between the three places for accounts: a file, the list `accounts`, and `web_services`."""
    one, accounts = settings.get("web_services"), settings.get("accounts")
    if not isinstance(one, Mapping) or isinstance(accounts, sources.Unreadable):
        return  # validation reports this fault
    given = [name for name in ("username", "password") if one.get(name, one.get(f"{name}_file")) is not None]
    instead = "accounts_file" if settings.get("accounts_file") is not None else "accounts" if accounts else None
    if instead is not None:
        text = f"is set together with {instead}; remove one of them"
        yield from ((("web_services", name), text) for name in given)
        if accounts and instead == "accounts_file":
            yield ("accounts",), text
        yield from repeated_accounts(settings)
        return
    yield from ((("web_services", name), "is required") for name in ("username", "password") if name not in given)
    username = one.get("username")
    if isinstance(username, str) and _USER_ID.fullmatch(username) and not ACCOUNT_NAME.fullmatch(username):
        text = "can't also be the account's name (64 letters, digits or ._@- at most); list the account in accounts"
        yield ("web_services", "username"), text


def repeated_accounts(settings: Values) -> Iterable[Finding]:
    """Yield accounts that occur twice. Two relays of one account would keep taking the session from each other."""
    accounts = settings.get("accounts")
    if not isinstance(accounts, tuple | list):
        return
    for name in ("name", "username"):
        seen = set()
        for index, account in enumerate(accounts):
            value = account.get(name) if isinstance(account, Mapping) else None
            if isinstance(value, str) and value in seen:
                yield ("accounts", index, name), f"is also the {name} of another account"
            seen.add(value if isinstance(value, str) else None)


def connection_faults(site: Values) -> Iterable[Finding]:
    """Yield the faults of TLS and proxy settings for Web Services."""
    if str(site.get("url")).startswith("https"):
        yield from _tls_faults(site, ("ca_file", "client_cert_file", "client_key_file", "client_key_password"))
    given = [name for name in ("proxy", "proxy_username", "proxy_password") if site.get(name) is not None]
    if given not in ([], ["proxy"], ["proxy", "proxy_username", "proxy_password"]):
        yield ("proxy",), "needs both proxy_username and proxy_password, or neither; they need a proxy"


def kafka_faults(kafka: Values) -> Iterable[Finding]:
    """Yield the faults that concern several settings of Kafka."""
    yield from _sasl_faults(kafka)
    if str(kafka.get("security_protocol")).endswith("SSL"):
        yield from _tls_faults(kafka, ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password"))
    form, registry = str(kafka.get("format")), kafka.get("registry") or {}
    if form in {"json-registry", "avro-registry"} and isinstance(registry, Mapping) and registry.get("url") is None:
        yield ("registry", "url"), f"is required with {form}"


def _tls_faults(section: Values, names: tuple[str, str, str, str]) -> Iterable[Finding]:
    """Load the TLS files, so that a wrong file is reported at the start and not only at the first connection."""
    *files, password = (section.get(name) for name in names)
    if files[1] is None and files[2] is not None:
        yield (names[1],), f"is required with {names[2]}"
        return
    ca, certificate, key = (Path(file) if isinstance(file, str | Path) else None for file in files)
    if not all(file is None or file.is_file() for file in (ca, certificate, key)):
        return  # validation reports this fault
    secret = password.get_secret_value() if isinstance(password, SecretStr) else password
    if not isinstance(secret, str | None):
        return  # validation reports this fault
    try:
        tls.client_context(ca_file=ca, certificate_file=certificate, key_file=key, password=secret)
    except tls.UnusableFiles as error:
        name, file = (names[0], ca) if error.authorities else (names[1], certificate)
        yield (name,), f"{error}{'' if file is None else files_of.where(file)}"


def _sasl_faults(kafka: Values) -> Iterable[Finding]:
    protocol = str(kafka.get("security_protocol"))
    if protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if kafka.get(name) is None:
                yield (name,), f"is required with {protocol}"


def registry_faults(registry: Values) -> Iterable[Finding]:
    """Yield the faults that concern several settings of the registry."""
    for one, other in (("username", "password"), ("password", "username")):
        if registry.get(one) is not None and registry.get(other) is None:
            yield (other,), f"is required with {one}"
    if str(registry.get("url")).startswith("https"):
        yield from _tls_faults(registry, ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password"))


def privacy_faults(privacy: Values) -> Iterable[Finding]:
    """Yield the faults that concern several settings of privacy."""
    if privacy.get("phone_numbers") == "hmac" and privacy.get("secret") is None:
        yield ("secret",), "is required with hmac"


def evidence_faults(evidence: Values) -> Iterable[Finding]:
    """Yield the fault of the signing key, so that a wrong key stops the start and not only the first signature."""
    file = evidence.get("key_file")
    if not isinstance(file, str | Path) or not Path(file).is_file():
        return  # validation reports this fault
    try:
        key = files_of.signing_key(Path(file))
    except OSError:
        key = None
    if key is None:
        yield ("key_file",), "should be a readable Ed25519 private key (PEM, without a passphrase)"


def authentication_faults(callers: Values) -> Iterable[Finding]:
    """Yield the faults that concern several settings of the callers' authentication."""
    method = callers.get("method")
    needed = {"tokens": ("tokens_file",), "jwt": ("jwks_url", "issuer", "audience")}.get(str(method), ())
    yield from (((name,), f"is required with {method}") for name in needed if callers.get(name) is None)


def http_faults(http: Values) -> Iterable[Finding]:
    """Yield the faults that concern several settings of the REST API."""
    host, callers = http.get("host"), http.get("authentication") or {}
    known = isinstance(callers, Mapping) and callers.get("method", "none") != "none"
    allowed = str(http.get("allow_unauthenticated", False)).lower() not in {"false", "0", "no", "off", "f", "n"}
    if isinstance(host, str) and host and not is_loopback(host) and not known and not allowed:
        yield (
            ("host",),
            "is open to other machines; set authentication.method to tokens or jwt, or allow_unauthenticated to true",
        )
    port = http.get("port")
    if port is not None and str(port) != "0" and str(port) == str(http.get("management_port")):
        yield ("management_port",), "is also the port of the REST API"


def _refuse_login(url: HttpUrl) -> None:
    if url.username is not None or url.password is not None:
        raise ValueError("must not contain a user name or password; use the separate settings")
