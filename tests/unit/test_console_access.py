"""Who may see and do what in the console."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog.testing
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from bridge.http import ConsoleSources, create_app
from bridge.http.auth.authentication import Caller, InvalidToken
from tests.unit.api import BODY, RECORD, Api
from tests.unit.console_side import PHONE, Browser, Page, console_side, tokens
from tests.unit.operations_in_memory import InMemoryOperations
from tests.unit.served import served

FORM = {
    "operationName": "DoNotCallRecord",
    "recordHandle": "13",
    "applicationId": "134",
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "devicePath": "/devices/f32a46c4",
    "referenceId": "r1",
}


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    known = tokens(
        tmp_path,
        desk="operations:read operations:write",
        audit="operations:read operations:read-personal",
        crm="operations:write",
        nobody="",
    )
    async with console_side(authentication=known) as browser:
        yield browser


@pytest_asyncio.fixture
async def open_browser() -> AsyncIterator[Browser]:
    async with console_side() as browser:
        yield browser


async def sign_in(browser: Browser, token: str, **fields: str) -> Page:
    return await browser.send("/console/sign-in", "/console/sign-in", token=token, **fields)


async def submit(browser: Browser, token: str = "crm", **changes: object) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    await browser.api.call("POST", RECORD, json=BODY | {"phoneNumber": PHONE} | changes, headers=headers)


# -- sign-in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/console", "/console/operations?status=accepted", "/console/submit", "/console/again/x"]
)
async def test_visitor_signs_in_and_goes_on(browser: Browser, path: str) -> None:
    """Without a sign-in every page leads to it, and after it back to the page that the visitor wanted."""
    await submit(browser, referenceId="x")
    asked = await browser.follow(await browser.get(path))
    assert "Token" in asked.text
    signed_in = await browser.post("/console/sign-in", asked.parsed.fields() | {"token": "desk"})
    assert signed_in.headers["Location"] == path
    page = await browser.follow(signed_in)
    assert page.status == 200
    assert "desk" in page.text


async def test_cookie_keeps_the_token_to_itself(browser: Browser) -> None:
    """The cookie is HttpOnly, SameSite=Strict, for /console alone, and has neither the token nor the name in it."""
    page = await sign_in(browser, "desk")
    cookie = page.headers["Set-Cookie"]
    value, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= {*attributes}
    assert "Secure" not in attributes
    assert "desk" not in value
    again = await sign_in(browser, "desk")
    assert again.headers["Set-Cookie"].split("; ")[0] != value


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://{host}"}])
async def test_cookie_is_secure_behind_tls(browser: Browser, headers: dict[str, str]) -> None:
    """If the browser speaks TLS, to a proxy before the bridge, it sends the cookie over TLS alone."""
    host = browser.api.url.removeprefix("http://")
    page = await browser.get("/console/sign-in")
    sent = {name: value.replace("{host}", host) for name, value in headers.items()}
    signed_in = await browser.post("/console/sign-in", page.parsed.fields() | {"token": "desk"}, **sent)
    assert signed_in.status == 303
    assert "Secure" in signed_in.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("token", ["wrong", "", "désk", "d\x00esk", "x" * 9000])
async def test_wrong_token_is_refused(browser: Browser, token: str) -> None:
    """A wrong token is told on the sign-in page, is not repeated there, and opens nothing."""
    page = await sign_in(browser, token)
    assert page.status == 401
    assert "invalid or has expired" in page.text
    assert not token or token not in page.html
    assert (await browser.get("/console")).status == 303


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/console//../x\\y", "/consolex", "/docs", "/console\r\nX: y"]
)
async def test_sign_in_leads_to_no_other_place(browser: Browser, wanted: str) -> None:
    """After the sign-in the visitor is on a page of the console, whatever the link said."""
    page = await sign_in(browser, "desk", next=wanted)
    assert (page.status, page.headers["Location"]) == (303, "/console")


async def test_sign_out_forgets_the_token(browser: Browser) -> None:
    """After the sign-out the browser has no cookie, and pages ask for a token again."""
    await sign_in(browser, "desk")
    page = await browser.send("/console/sign-out", "/console")
    assert page.status == 303
    assert "bridge-console" in page.headers["Set-Cookie"]
    assert (await browser.get("/console")).status == 303


async def test_revoked_token_ends_the_session() -> None:
    """Each request checks the token anew, so a revoked or expired token ends the session at once."""
    authentication = Revocable()
    async with console_side(authentication=authentication) as browser:
        await sign_in(browser, "t")
        assert (await browser.get("/console")).status == 200
        authentication.valid = False
        assert (await browser.get("/console")).status == 303
        refresh = await browser.get("/console/operations?status=accepted", **{"HX-Request": "true"})
        assert refresh.status == 401
        assert refresh.headers["HX-Redirect"].startswith("/console/sign-in?next=%2Fconsole%2Foperations")


@pytest.mark.parametrize("path", ["/console", "/console/operations?status=accepted&x=%22%3E%3Cb%3E"])
async def test_link_on_another_site_signs_nobody_out(browser: Browser, path: str) -> None:
    """Browsers send no strict cookie from another site's link, so the page asks once more, without a new cookie."""
    for site in ("cross-site", "same-site"):
        page = await browser.get(path, **{"Sec-Fetch-Site": site})
        assert (page.status, page.headers.get("Set-Cookie")) == (200, None)
        [refresh] = [one["content"] for one in page.parsed.all("meta") if one.get("http-equiv") == "refresh"]
        assert refresh == f"0;url={path}"
        assert page.parsed.links() == [path]
        assert [tag for tag, _ in page.parsed.elements if tag in {"b", "script"}] == []
    assert (await browser.get(path, **{"Sec-Fetch-Site": "same-origin"})).status == 303
    await sign_in(browser, "desk")
    assert (await browser.get("/console", **{"Sec-Fetch-Site": "cross-site"})).status == 200


async def test_token_that_no_cookie_can_hold_is_told() -> None:
    """Browsers drop cookies beyond 4 KiB without a word, so a longer token is refused with a reason."""
    async with console_side(authentication=Revocable()) as browser:
        page = await sign_in(browser, secrets.token_urlsafe(6000))
    assert page.status == 422
    assert "too long" in page.text


async def test_forged_cookie_is_no_sign_in(browser: Browser) -> None:
    """A changed, foreign or absurd cookie counts as none."""
    await sign_in(browser, "desk")
    [cookie] = [one for one in browser.client.cookie_jar if one.key.startswith("bridge-console")]
    browser.client.cookie_jar.clear()
    flipped = cookie.value[:-9] + ("A" if cookie.value[-9] != "A" else "B") + cookie.value[-8:]
    for value in (flipped, "", "x", "é", "a" * 5000):
        page = await browser.get("/console", Cookie=f"{cookie.key}={value}".encode().decode("latin-1"))
        assert page.status == 303, value
        browser.client.cookie_jar.clear()
    assert (await browser.get("/console", Cookie=f"{cookie.key}={cookie.value}")).status == 200


async def test_replicas_with_one_secret_share_sign_ins(tmp_path: Path) -> None:
    """A cookie is valid on each process with the same secret, and on no other one."""
    known = tokens(tmp_path, desk="operations:read")
    values: list[str] = []
    for secret in ("the same secret of all", "the same secret of all", "another secret of one", None):
        async with console_side(authentication=known, sources={"secret": secret}) as browser:
            if not values:
                await sign_in(browser, "desk")
                values += [one.value for one in browser.client.cookie_jar]
                browser.client.cookie_jar.clear()
            name = f"bridge-console-{browser.api.url.rpartition(':')[2]}"
            status = (await browser.get("/console", Cookie=f"{name}={values[0]}")).status
            assert status == (200 if secret == "the same secret of all" else 303)


async def test_cookie_opens_nothing_but_the_console(browser: Browser) -> None:
    """The REST API takes no cookie: a signed-in browser is a stranger there."""
    await sign_in(browser, "desk")
    assert (await browser.get("/console")).status == 200
    [cookie] = [one for one in browser.client.cookie_jar if one.key.startswith("bridge-console")]
    sent = {"Cookie": f"{cookie.key}={cookie.value}"}
    for path in ("/operations", "/sessions", "/fleet", "/operations/r1"):
        assert (await browser.api.get(path, **sent)).status == 401
    answer = await browser.api.call("POST", RECORD, json=BODY, headers=sent)
    assert answer.status == 401


# -- scopes -----------------------------------------------------------------------------------------------------------


async def test_pages_need_the_scope_of_what_they_show(browser: Browser) -> None:
    """A reader may not submit, a writer may not read, and neither sees links to what it may not."""
    await submit(browser)
    read = ["/console", "/console/operations", "/console/operations/r1", "/console/incidents", "/console/sessions"]
    write = ["/console/submit", "/console/again/r1"]
    for token, allowed, refused in (
        ("audit", read, write),
        ("crm", write[:1], read + write[1:]),
        ("nobody", [], read + write),
    ):
        await sign_in(browser, token)
        for path in allowed:
            page = await browser.get(path)
            assert page.status == 200
            links = page.parsed.links()
            assert not [link for link in links if link in {*refused} - {"/console"}]
        for path in refused:
            page = await browser.get(path)
            assert page.status == 403
            assert "lacks the scope" in page.text


async def test_reader_can_not_submit_by_a_form_of_its_own(browser: Browser) -> None:
    """A form without the scope is refused though its CSRF token is right."""
    await sign_in(browser, "audit")
    for path, fields in (("/console/submit", FORM), ("/console/again", {"reference": "r1", "referenceId": "r2"})):
        assert (await browser.send(path, "/console/operations", **fields)).status == 403
    assert not browser.api.operations.submissions


async def test_numbers_are_plain_for_who_may_read_them(browser: Browser) -> None:
    """With `operations:read-personal` numbers are plain, and nobody else has that scope without being given it."""
    await submit(browser)
    for token, plain in (("audit", True), ("desk", False)):
        await sign_in(browser, token)
        for path in ("/console", "/console/operations", "/console/operations/r1"):
            assert ("0102345" in (await browser.get(path)).html) is plain, (token, path)


async def test_who_asks_for_a_number_is_logged(browser: Browser) -> None:
    """The log names the caller and the operation, and not the number."""
    await submit(browser)
    await sign_in(browser, "desk")
    with structlog.testing.capture_logs() as logs:
        page = await browser.send("/console/reveal", "/console/operations/r1", reference="r1")
    assert PHONE in page.html
    assert [(one["caller"], one["reference_id"]) for one in logs] == [("desk", "r1")]
    assert "0102345" not in str(logs)


async def test_submission_names_its_visitor(browser: Browser) -> None:
    """The operation's events name the visitor who submitted it."""
    await sign_in(browser, "desk")
    assert (await browser.send("/console/submit", "/console/submit", **FORM)).status == 303
    [(submission, _)] = browser.api.operations.submissions
    assert submission.requested_by == "desk"


# -- evidence ---------------------------------------------------------------------------------------------------------


async def test_evidence_is_downloaded_with_the_visitors_own_token(tmp_path: Path) -> None:
    """The download is the answer of the REST API to the visitor's token, and each download is logged."""
    known = tokens(tmp_path, desk="operations:read")
    asked: list[tuple[str, list[str]]] = []

    async def evidence(request: Request) -> Response:
        asked.append((request.path_params["referenceId"], request.headers.getlist("authorization")))
        return JSONResponse({"subject": "r/1"}, headers={"Set-Cookie": "a=b"})

    app = create_app(
        InMemoryOperations(),
        readiness=list,
        session_views=list,
        authentication=known,
        console_sources=ConsoleSources(accounts=lambda: ["first"]),
    )
    app.router.routes.insert(0, APIRoute("/operations/{referenceId:path}/evidence", evidence))
    async with served(app) as url, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        browser = Browser(Api(url, client, InMemoryOperations()), client)
        assert (await browser.get("/console/evidence/r%2F1")).status == 303
        await sign_in(browser, "desk")
        with structlog.testing.capture_logs() as logs:
            page = await browser.get("/console/evidence/r%2F1")
    assert (page.status, page.html) == (200, '{"subject":"r/1"}')
    assert page.headers["Content-Disposition"] == 'attachment; filename="evidence.json"'
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert asked == [("r/1", ["Bearer desk"])]
    assert [(one["event"], one["caller"]) for one in logs] == [("console-evidence-downloaded", "desk")]


# -- forms of other sites ---------------------------------------------------------------------------------------------

POSTS = [
    "/console/sign-in",
    "/console/sign-out",
    "/console/operations",
    "/console/reveal",
    "/console/submit",
    "/console/again",
]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "é"])
async def test_form_without_its_csrf_token_does_nothing(open_browser: Browser, path: str, csrf: str | None) -> None:
    """A form without the visitor's own CSRF token is refused."""
    await open_browser.api.post(BODY)
    await open_browser.get("/console")
    sent = FORM | {"referenceId": "new", "reference": "r1", "token": "x"} | ({} if csrf is None else {"csrf": csrf})
    page = await open_browser.post(path, sent)
    assert page.status == 403
    assert "expired" in page.text
    assert len(open_browser.api.operations.submissions) == 1


async def test_csrf_token_belongs_to_one_visitor(open_browser: Browser) -> None:
    """The token of one visitor's page is of no use with another visitor's cookie."""
    token = (await open_browser.get("/console/submit")).parsed.fields()["csrf"]
    open_browser.client.cookie_jar.clear()
    await open_browser.get("/console/submit")
    assert (await open_browser.post("/console/submit", FORM | {"csrf": token})).status == 403
    assert not open_browser.api.operations.submissions


async def test_sign_in_changes_the_csrf_token(browser: Browser) -> None:
    """A token that somebody saw before the sign-in is worth nothing after it."""
    before = (await browser.get("/console/sign-in")).parsed.fields()["csrf"]
    await sign_in(browser, "desk")
    assert (await browser.post("/console/submit", FORM | {"csrf": before})).status == 403


async def test_form_of_another_origin_is_refused(open_browser: Browser) -> None:
    """Even with the right token a form from another origin does nothing."""
    fields = (await open_browser.get("/console/submit")).parsed.fields()
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        page = await open_browser.post("/console/submit", fields | FORM, **headers)
        assert page.status == 403
    assert not open_browser.api.operations.submissions


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", "a=b", 415),
        ("application/json", "{}", 415),
        ("application/x-www-form-urlencoded", "&".join(f"a{number}=1" for number in range(200)), 400),
        ("application/x-www-form-urlencoded", "a=" + "x" * 70_000, 413),
        ("application/x-www-form-urlencoded", "csrf=%ff%fe&a=%00", 403),
        ("application/x-www-form-urlencoded", "", 403),
    ],
)
async def test_odd_bodies_are_refused(open_browser: Browser, content_type: str, body: str, status: int) -> None:
    """A body that is no form, or is too large, is a page with its status."""
    headers = {"Content-Type": content_type}
    async with open_browser.client.post(f"{open_browser.api.url}/console/submit", data=body, headers=headers) as reply:
        assert reply.status == status
        assert "text/html" in reply.headers["Content-Type"]


async def test_console_can_be_switched_off(open_browser: Browser) -> None:
    """Without its sources there is no console; with them it is no part of the API's description."""
    document = (await open_browser.api.get("/openapi.json")).body
    assert not [path for path in document["paths"] if "console" in path]
    async with console_side(console_sources=None) as browser:
        assert (await browser.api.get("/console")).status == 404


class Revocable:
    """An authentication whose tokens are all valid, or none."""

    def __init__(self) -> None:
        self.scheme: Any = {"type": "http", "scheme": "bearer"}
        self.valid = True

    async def caller(self, token: str) -> Caller:
        del token
        if not self.valid:
            raise InvalidToken
        return Caller("visitor", frozenset({"operations:read"}))
