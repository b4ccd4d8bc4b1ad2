"""Checks whether Web Services works for an account. Each request has a deadline, and a password is tried only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge import tls
from bridge.cometd import HttpSession
from bridge.commands.checks.cometd import SESSION_SUBJECTS, check_session
from bridge.commands.checks.finding import failed, ok, skipped, warning
from bridge.errors import ExchangeFailed, LoginNotKept, LoginRefused, UpstreamError
from bridge.webservices import LARGEST_REPLY, OUTBOUND_FEATURE, Login, route_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.commands.checks.finding import Finding
    from bridge.settings import Account, WebServices

URL, LOGIN, FEATURE, CSRF = "web services url", "login", "feature", "csrf"
AFTER_LOGIN: Final = [FEATURE, CSRF, *SESSION_SUBJECTS]


async def check_web_services(site: WebServices, account: Account) -> AsyncIterator[Finding]:
    """Check the URL, the login, the account's features and the CometD session, with new cookies."""
    async with HttpSession(
        site.url, request_timeout=site.request_timeout, max_reply_bytes=site.max_reply_bytes, route=route_of(site)
    ) as http:
        try:
            reply = await http.request("GET", "/api/v2/me", timeout=site.request_timeout, largest=LARGEST_REPLY)
        except ExchangeFailed as error:
            yield failed(URL, f"{site.url} does not answer ({error}); check {_to_check(error.reason)}.")
            for finding in skipped([LOGIN, *AFTER_LOGIN], URL):
                yield finding
            return
        yield ok(URL, f"{site.url} answers (HTTP {reply.status} without a login).")
        login = Login(
            http,
            account=account.name,
            username=account.username,
            password=account.password.get_secret_value(),
            request_timeout=site.request_timeout,
            retry_interval=site.login_retry_interval,
        )
        async for finding in _after_url(http, login, site, account):
            yield finding


async def _after_url(http: HttpSession, login: Login, site: WebServices, account: Account) -> AsyncIterator[Finding]:
    try:
        profile = await login.profile()
        token = await login.headers()
        kept = await login.is_kept()
    except LoginRefused as error:
        yield failed(LOGIN, f"{error}; check the account's name and password, and whether it is locked.")
    except UpstreamError as error:
        yield failed(LOGIN, f"{error}; check that BRIDGE_WEB_SERVICES__URL is the base URL of Web Services.")
    else:
        if kept:
            yield ok(LOGIN, f"Account {account.name} is logged in.")
        else:
            yield failed(
                LOGIN, f"{LoginNotKept.code}: the login was lost at the next request; make the load balancer sticky."
            )
        if profile.may_do_outbound:
            yield ok(FEATURE, f"The account has {OUTBOUND_FEATURE}.")
        elif profile.features:
            yield failed(FEATURE, f"The account lacks the feature {OUTBOUND_FEATURE}; an administrator must assign it.")
        else:
            yield warning(FEATURE, f"Web Services lists no features; check that the account has {OUTBOUND_FEATURE}.")
        names = ", ".join(token)
        yield ok(CSRF, f"The token comes as {names}." if token else "CSRF protection is off at this site.")
        for finding in await check_session(http, login, site, account):
            yield finding
        return
    for finding in skipped(AFTER_LOGIN, LOGIN):
        yield finding


def _to_check(reason: str) -> str:
    if reason == "proxy-refused":
        return "BRIDGE_WEB_SERVICES__PROXY, __PROXY_USERNAME and __PROXY_PASSWORD"
    if reason.startswith("tls-client") or reason == tls.FILES:
        return "BRIDGE_WEB_SERVICES__CLIENT_CERT_FILE and __CLIENT_KEY_FILE"
    if reason == tls.NOT_SPOKEN:
        return "whether BRIDGE_WEB_SERVICES__URL must begin with http://, or needs another port"
    if reason in tls.TEXTS:
        return "BRIDGE_WEB_SERVICES__CA_FILE, and that the certificate names the host in BRIDGE_WEB_SERVICES__URL"
    return "BRIDGE_WEB_SERVICES__URL, whether the network needs a proxy, and the network itself"
