"""The account's cookies: sent back as they came, bounded, and restored whatever they are called."""

import time
from http.cookies import SimpleCookie

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from bridge.cometd.http.cookies import LIMIT, CookieJar
from bridge.cometd.http.session import HttpSession

BASE = URL("http://127.0.0.1:8090/gws")
POLL = BASE / "api/v2/notifications"
IBM = "ISAWPLB{A7F52349-3531}"
LOGIN = "JSESSIONID=node01.node0; Path=/gws; HttpOnly"


def header(jar: CookieJar, url: URL = POLL) -> str:
    """The Cookie header of the bridge, which is the one that aiohttp's client would write."""
    cookies = SimpleCookie()
    for name, morsel in jar.filter_cookies(url).items():
        cookies[name] = morsel
    assert jar.header(url) == cookies.output(header="", sep=";").removeprefix(" ")
    return jar.header(url)


def sent(jar: CookieJar, url: URL = POLL) -> set[str]:
    return set(filter(None, header(jar, url).split("; ")))


def set_cookies(jar: CookieJar, *headers: str) -> None:
    jar.update_cookies_from_headers(headers, POLL)


def successor(jar: CookieJar) -> CookieJar:
    heir = CookieJar(BASE)
    heir.restore(jar.by_name())
    return heir


@pytest.mark.parametrize(
    "pair", [f"{IBM}=x", "version=1", "path=2", "expires=never", "a@b=c", "x=", 'q="two words"', "b64=a+b/c==", "ü=1"]
)
async def test_odd_cookies_survive_a_restart(pair: str) -> None:
    """A cookie with a name that Python's `Morsel` refuses goes back as it came, from the successor too."""
    jar = CookieJar(BASE)
    set_cookies(jar, f"{pair}; Path=/", "JSESSIONID=1; Path=/")
    assert header(successor(jar)) == header(jar)
    if pair.isascii():
        assert pair in header(jar)


@pytest.mark.parametrize("deepest", ["/", "/gws/api", "/gws/api/", "/gws/api/v2/records/1", "/gws/api/v2/records/1/"])
async def test_each_url_gets_the_cookies_of_its_path(deepest: str) -> None:
    """A header that the jar keeps for one URL never reaches a URL that another cookie, or one fewer, belongs to."""
    jar = CookieJar(BASE)
    set_cookies(jar, LOGIN, f"deep=1; Path={deepest}")
    paths = ["", "api", "api/", "apis", "api/v2/records", "api/v2/records/1", "api/v2/records/1/x", "api/v2/records/13"]
    expected = {path: CookieJar.filter_cookies(jar, URL(f"{BASE}/{path}")).keys() for path in paths}
    for path in [*paths, *reversed(paths)]:
        names = {pair.partition("=")[0] for pair in sent(jar, URL(f"{BASE}/{path}"))}
        assert names == set(expected[path])


async def test_all_records_share_a_header() -> None:
    """The jar computes the Cookie header of the records' URLs once, however many records there are."""
    jar = CookieJar(BASE)
    set_cookies(jar, LOGIN)
    record = BASE / "api/v2/me/outbound-records"
    first = jar.header(record / "1")
    assert all(jar.header(record / str(number)) is first for number in range(2, 300))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(), st.text(), max_size=5))
async def test_nothing_stored_stops_a_start(stored: dict[str, str]) -> None:
    """Any names and values in a stored position can be restored, and add no line and no attribute to a request."""
    jar = CookieJar(BASE)
    jar.restore({"JSESSIONID": "1", **stored})
    assert not any(character in header(jar) for character in "\r\n\0")
    assert len(header(jar).split(";")) <= 1 + len(stored)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            "{}={}; {}".format,
            st.text(max_size=8),
            st.text(),
            st.sampled_from(["Path", "Max-Age", "Expires", "Domain"]),
        )
        | st.text()
        | st.from_regex(r"(?s)a=.*; (Max-Age|Expires|Path|Domain)=.*", fullmatch=True),
        max_size=8,
    )
)
async def test_nothing_that_is_set_raises(headers: list[str]) -> None:
    """Any Set-Cookie headers are taken or left out, and what is kept fits into one line of a request."""
    jar = CookieJar(BASE)
    set_cookies(jar, *headers)
    assert not any(character in header(jar) for character in "\r\n\0")
    assert len(header(jar).split(";")) <= max(1, len(headers))
    assert header(successor(jar))[:0] == ""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a=1", "a=2", "b=1; Path=/", "a=; Max-Age=0", "drop a", "drop all", "restore"])))
async def test_the_header_follows_every_change(changes: list[str]) -> None:
    """After each change the jar returns the header and the cookies that it has now, not those of before."""
    jar = CookieJar(BASE)
    for change in changes:
        if change == "restore":
            jar.restore({"c": "1"})
        elif change == "drop all":
            jar.clear()
        elif change == "drop a":
            jar.forget("a")
        else:
            set_cookies(jar, change)
        assert header(jar) == header(jar)
        assert jar.by_name() == {cookie.key: cookie.value for cookie in jar}


async def test_a_cookie_expires_although_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie with a lifetime is not sent after its end, also if no reply has changed the jar since."""
    jar = CookieJar(BASE)
    set_cookies(jar, "a=1; Max-Age=60", "b=1")
    assert (header(jar), jar.by_name()) == ("a=1; b=1", {"a": "1", "b": "1"})
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert (header(jar), jar.by_name()) == ("b=1", {"b": "1"})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "a; evil=1", "\ud800"])
async def test_stored_values_inject_nothing(value: str) -> None:
    """A stored value with a line end, a control character or a semicolon is left out; the other cookies go on."""
    jar = CookieJar(BASE)
    jar.restore({"bad": value, "JSESSIONID": "1"})
    assert header(jar) == "JSESSIONID=1"


async def test_stored_names_inject_nothing() -> None:
    """A stored name with a line end or a semicolon is left out."""
    jar = CookieJar(BASE)
    jar.restore({"a\r\nX-Evil: 1": "1", "a; evil": "1", "": "1", "JSESSIONID": "1"})
    assert header(jar) == "JSESSIONID=1"


@pytest.mark.parametrize("value", [r'"a\073 evil=1"', '"a; evil=1"', r'"a\015\012X-Evil: 1"'])
async def test_escapes_inject_nothing(value: str) -> None:
    """A quoted value that hides a semicolon or a line end adds no cookie and no header to the next request."""
    jar = CookieJar(BASE)
    set_cookies(jar, f"x={value}; Path=/", "JSESSIONID=1; Path=/")
    assert not any(part.strip().startswith(("evil", "X-Evil")) for part in header(jar).replace("\r\n", ";").split(";"))
    assert "JSESSIONID=1" in sent(jar)


async def test_quotes_go_back() -> None:
    """A quoted value is sent back with its quotes (RFC 6265, 5.4: as it came)."""
    jar = CookieJar(BASE)
    set_cookies(jar, 'x="abc"; Path=/')
    assert header(jar) == 'x="abc"'


@pytest.mark.parametrize("scope", ["Path=/gws", "Path=/gws/api/v2", "Domain=gws.example.com", "Domain=example.com"])
async def test_the_server_replaces_a_restored_cookie(scope: str) -> None:
    """After a restart the server's new value is sent alone, whichever path or domain it comes with."""
    base = URL("http://gws.example.com/gws")
    jar = CookieJar(base)
    jar.restore({"JSESSIONID": "old", IBM: "x"})
    jar.update_cookies_from_headers([f"JSESSIONID=new; {scope}"], base / "api/v2/me")
    assert sent(jar, base / "api/v2/me") == {"JSESSIONID=new", f"{IBM}=x"}
    assert jar.by_name() == {"JSESSIONID": "new", IBM: "x"}


async def test_the_position_has_the_cookie_that_requests_carry() -> None:
    """Of two cookies with one name the position keeps the one that goes to the longer path, as requests do."""
    for headers in (["A=deep; Path=/gws/api", "A=root; Path=/"], ["A=root; Path=/", "A=deep; Path=/gws/api"]):
        jar = CookieJar(BASE)
        set_cookies(jar, *headers)
        assert jar.by_name() == {"A": "deep"}
        assert header(jar) == "A=deep"


@pytest.mark.parametrize(("count", "size"), [(40, 4000), (500, 900), (3000, 20), (3, 4096)])
async def test_a_flood_leaves_the_session(count: int, size: int) -> None:
    """However many cookies come, the login, the CometD session and the balancer stay, and the rest is bounded."""
    jar = CookieJar(BASE)
    set_cookies(jar, LOGIN, "BAYEUX_BROWSER=b1; Path=/", "AWSALB=a+b/c==; Path=/", f"{IBM}=x; Path=/")
    needed = sent(jar)
    for start in range(0, count, 40):
        set_cookies(jar, *(f"junk{number}={'j' * (size - 10)}; Path=/" for number in range(start, start + 40)))
    for one in (jar, successor(jar)):
        assert needed <= sent(one)
        assert sum(len(name) + len(value) for name, value in one.by_name().items()) <= LIMIT
        assert len(header(one)) <= LIMIT


async def test_a_flood_in_the_first_reply_leaves_the_session() -> None:
    """The session's cookies count more than others also when all come in one reply, with the others last."""
    jar = CookieJar(BASE)
    set_cookies(jar, LOGIN, *(f"junk{number}={'j' * 1000}; Path=/" for number in range(45)))
    assert "JSESSIONID=node01.node0" in sent(jar)


async def test_the_oldest_goes_first() -> None:
    """Beyond the limit the cookies that were set longest ago go; one that is set again counts as new."""
    jar = CookieJar(BASE)
    for name in ("a", "b", "a", "c"):
        set_cookies(jar, f"{name}={name * 2500}; Path=/")
    assert set(jar.by_name()) == {"a", "c"}


@pytest.mark.parametrize("name", [IBM, "version", "path", "a@b"])
async def test_an_odd_name_keeps_its_quotes(name: str) -> None:
    """A quoted value under a name that Python's `Morsel` refuses goes back with its quotes, and stops nothing."""
    jar = CookieJar(BASE)
    set_cookies(jar, f'{name}="two words"; Path=/')
    for one in (jar, successor(jar)):
        assert one.by_name() == {name: '"two words"'}
        assert header(one) == f'{name}="two words"'


async def test_a_cookie_that_is_too_long_is_left_out() -> None:
    """A cookie over 4 KiB is left out, as in browsers."""
    jar = CookieJar(BASE)
    set_cookies(jar, f"a={'x' * 4097}; Path=/", "b=1; Path=/")
    jar.restore({"c": "x" * 5000})
    assert jar.by_name() == {"b": "1"}


async def test_a_position_of_an_earlier_version_is_cut_to_size() -> None:
    """A stored position with more cookies than a request can carry is restored within the limit."""
    jar = CookieJar(BASE)
    jar.restore({"JSESSIONID": "1"} | {f"junk{number}": "j" * 3000 for number in range(300)})
    assert "JSESSIONID=1" in sent(jar)
    assert len(header(jar)) <= LIMIT


async def test_the_session_takes_odd_cookies_over() -> None:
    """`HttpSession` hands its cookies on by `cookies` and `restore_cookies`, and forgets single ones."""
    async with HttpSession(str(BASE), request_timeout=1) as http:
        http.restore_cookies({IBM: "x", "version": "1", "a\r\n": "b"})
        http.forget_cookie("version")
        assert http.cookies() == {IBM: "x"}
