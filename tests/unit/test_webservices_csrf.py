"""The CSRF header: taken under the name that Web Services advertises, unless that would change the request."""

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.http.session import HttpSession
from bridge.webservices.login.csrf import csrf_header
from tests.serving import serving

OWN = [
    "Content-Length",
    "content-length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Content-Type",
    "Connection",
    "Keep-Alive",
    "Host",
    "Cookie",
    "Cookie2",
    "Authorization",
    "Proxy-Authorization",
    "Expect",
    "Upgrade",
    "TE",
    "Trailer",
    "Range",
    "If-Match",
    "Accept-Encoding",
    "X-HTTP-Method-Override",
    "X-Forwarded-For",
    "Origin",
    "Via",
    "traceparent",
]
MALFORMED = ["X Y", "X:Y", "X\r\nEvil", "X\0", "Ünicode", "X" * 65, "\ud83d", " X", "(X)", "X,Y", ""]


def advertised(name: str, token: str) -> dict[str, str]:
    return {"X-CSRF-HEADER": name, "X-CSRF-TOKEN": token}


@pytest.mark.parametrize("name", ["X-CSRF-TOKEN", "X-Site-Token", "CSRF", "x_xsrf.token"])
def test_a_header_of_its_own_is_taken(name: str) -> None:
    """Any header name that means nothing else is sent, as it is spelt."""
    assert csrf_header(advertised(name, "a+b/c==")) == {name: "a+b/c=="}


@pytest.mark.parametrize("lacking", [{}, {"X-CSRF-HEADER": "X"}, {"X-CSRF-TOKEN": "t"}, advertised("", "t")])
def test_no_header_is_no_protection(lacking: dict[str, str]) -> None:
    """Without a name and a token the protection is off: there is no header, and nothing is wrong."""
    assert csrf_header(lacking) == {}


@pytest.mark.parametrize("name", [*OWN, *filter(None, MALFORMED)])
def test_a_header_that_changes_the_request_is_refused(name: str) -> None:
    """A header that frames HTTP, belongs to the bridge, or is none at all is refused."""
    assert csrf_header(advertised(name, "7")) is None


@pytest.mark.parametrize("token", ["a\r\nb: c", "a\0", "\x7f", "ü", "\udcff", "t" * 1025, " ", "\t"])
def test_a_value_that_is_no_header_value_is_refused(token: str) -> None:
    """A token with line ends, control characters or odd bytes, or one that is too long, is refused."""
    assert csrf_header(advertised("X-Token", token)) is None


@given(st.one_of(st.text(min_size=1), st.sampled_from(OWN)), st.text(min_size=1))
def test_whatever_is_advertised_is_usable_or_refused(name: str, token: str) -> None:
    """What is taken is printable ASCII and short, whatever is advertised."""
    for key, value in (csrf_header(advertised(name, token)) or {}).items():
        assert f"{key}{value}".isascii()
        assert f"{key}{value}".isprintable()
        assert len(key) + len(value) <= 64 + 1024


@given(st.text(alphabet=st.characters(max_codepoint=0x7F), min_size=1, max_size=20), st.text(min_size=1, max_size=20))
async def test_whatever_is_taken_can_be_sent(name: str, token: str) -> None:
    """A header that is taken reaches the server as one header, with its value."""
    taken = csrf_header(advertised(name, token))
    if not taken:
        return
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get(name))
        return web.Response()

    app = web.Application()
    app.router.add_post("/x", answer)
    async with serving(app) as url, HttpSession(url, request_timeout=5) as http:
        assert (await http.request("POST", "/x", body=b"{}", headers=taken, timeout=5)).status == 200
    assert seen == [token]
