"""Web pages of other sites can't use the bridge through somebody's browser, and everybody else notices nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from bridge.http import allowed_hosts
from bridge.settings import load
from tests.unit.api import RECORD, Api, rest_side
from tests.unit.settings_parts import ENVIRONMENT, faults
from tests.unit.test_settings_http import JWT, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOSTS = "BRIDGE_HTTP__ALLOWED_HOSTS"
NAMES = frozenset({"localhost", "bridge.example"})


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with rest_side(hosts=NAMES) as api:
        yield api


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]:8080",
        "10.1.2.3:8080",
        "bridge.example",
        "Bridge.Example.:443",
    ],
)
async def test_allowed_names_and_addresses_are_served(api: Api, host: str) -> None:
    """Requests to loopback names, to allowed names and to any IP address are served, whatever the port."""
    assert (await api.post(Host=host)).status == 200
    assert (await api.get("/operations", Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "bridge.example.evil",
        "",
        "a@localhost",
        "[x]",
        "localhost:99999999",
        "localhost,evil",
        "evil.example#localhost",
        "1270.0.0.1",
        "localhost/",
        "notlocalhost",
    ],
)
async def test_rebound_names_are_refused(api: Api, host: str) -> None:
    """A request under any other name is a 421 (RFC 9110, 15.5.20) on every path that tells or does something."""
    for answer in (
        await api.post(Host=host),
        await api.get("/operations", Host=host),
        await api.get("/docs", Host=host),
    ):
        assert (answer.status, answer.body["code"]) == (421, "foreign-host")
    assert not api.operations.submissions


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
@pytest.mark.parametrize("host", ["evil.example", "bridge:8080", "10.1.2.3", ""])
async def test_probes_are_answered_under_any_name(api: Api, path: str, host: str) -> None:
    """A kubelet or Prometheus is answered whatever it sends in Host, and whatever in Origin."""
    assert (await api.get(path, Host=host, Origin="https://grafana.example")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost:8080.evil.example"},
        {"Origin": "file://localhost:8080"},
        {"Origin": "http://localhost:8080, http://localhost:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080"},
    ],
)
async def test_pages_of_other_origins_are_refused(api: Api, headers: dict[str, str]) -> None:
    """A post that a browser sends for another origin's page is a 403, and nothing is submitted."""
    answer = await api.post(**{"Host": "localhost:8080", **headers})
    assert (answer.status, answer.body["code"]) == (403, "foreign-origin")
    assert not api.operations.submissions
    if "Sec-Fetch-Site" not in headers:
        assert (await api.get("/operations", Host="localhost:8080", **headers)).status == 403


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("localhost:8080", {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}),
        ("bridge.example", {"Origin": "https://bridge.example"}),
        ("bridge.example", {"Origin": "https://BRIDGE.example:443"}),
        ("bridge.example:80", {"Origin": "http://bridge.example"}),
        ("[::1]:8080", {"Origin": "http://[::1]:8080"}),
        ("localhost:8080", {"Sec-Fetch-Site": "none"}),
        ("localhost:8080", {}),
    ],
)
async def test_own_pages_and_programs_are_served(api: Api, host: str, headers: dict[str, str]) -> None:
    """The bridge's own page at /docs, a person's own request, and programs, which send none of this, are served."""
    assert (await api.post(Host=host, **headers)).status == 200


async def test_link_from_another_site_opens_a_page(api: Api) -> None:
    """A link on another site's page may lead to the documentation: that only reads, and the page sees nothing."""
    assert (await api.get("/docs", **{"Sec-Fetch-Site": "cross-site"})).status == 200


async def test_page_without_authentication_can_not_post() -> None:
    """What was possible: no Content-Type, a foreign Host and a foreign Origin. Each of them alone is refused."""
    async with rest_side(hosts=NAMES) as api:
        for status, headers in ((415, {}), (421, {"Host": "x.example"}), (403, {"Origin": "http://x.example"})):
            answer = await api.call("POST", RECORD, data=b"{}", headers=headers, skip_auto_headers=["Content-Type"])
            assert answer.status == status


def test_settings_name_the_hosts() -> None:
    """By default loopback and http.host are allowed, others by the setting; with tokens any, unless some are named."""

    def allowed(**changes: str) -> set[str] | None:
        hosts = allowed_hosts(load(environment=ENVIRONMENT | changes).http)
        return None if hosts is None else set(hosts)

    assert allowed() == {"localhost", "127.0.0.1"}
    assert allowed(**{HOSTS: '["Bridge.example.", "bridge"]'}) == {"localhost", "127.0.0.1", "bridge.example", "bridge"}
    assert allowed(**{HOSTS: '["*"]'}) is None
    assert allowed(**JWT, **OUTSIDE) is None
    assert allowed(**JWT, **{HOSTS: '["bridge"]'}) == {"localhost", "127.0.0.1", "bridge"}
    open_to_all = {"BRIDGE_HTTP__HOST": "Bridge.internal", "BRIDGE_HTTP__ALLOW_UNAUTHENTICATED": "true"}
    assert allowed(**open_to_all) == {"localhost", "bridge.internal"}


@pytest.mark.parametrize(
    "value", ['["bridge:8080"]', '["http://bridge"]', '[""]', '["a b"]', '["*.example"]', "bridge"]
)
def test_what_is_no_host_name_is_no_setting(value: str) -> None:
    """A name with a port, a scheme or a pattern stops the start, for it would never be a name in Host."""
    [fault] = faults(ENVIRONMENT | {HOSTS: value})
    assert fault.startswith(HOSTS)
