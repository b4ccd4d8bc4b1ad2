"""`bridge operations` and `bridge sessions`, as processes, against the REST side."""

import hashlib
import json
from pathlib import Path

import pytest
from aiohttp import web

from bridge.http import SessionView, authentication_of
from bridge.settings import Authentication
from tests.serving import serving
from tests.unit.api import BODY, rest_side
from tests.unit.cli_process import bridge

SESSION = SessionView(
    account="agent", session="0123456789abcdef", state="connected", ack_extension=True, guarantee="exactly-once"
)


async def test_operations_are_listed_newest_last() -> None:
    """There is a header and a row for each operation, with time, referenceId and status; --limit takes the newest."""
    async with rest_side() as api:
        for number in range(3):
            await api.post(BODY | {"referenceId": f"r{number}"})
        ended = await bridge("operations", "list", "--url", api.url, environment={})
        header, *rows = ended.output.splitlines()
        assert header.split() == ["RECEIVED", "(UTC)", "REFERENCE", "STATUS", "OPERATION", "ACCOUNT"]
        assert [row.split()[2:4] for row in rows] == [[f"r{number}", "accepted"] for number in range(3)]
        newest = await bridge("operations", "list", "--url", api.url, "--limit", "1", "--json", environment={})
        assert [json.loads(line)["referenceId"] for line in newest.output.splitlines()] == ["r2"]
        none = await bridge("operations", "list", "--url", api.url, "--status", "rejected", environment={})
    assert (none.status, none.output) == (0, "The bridge knows no operations that are rejected.\n")


async def test_columns_are_aligned_in_a_pipe() -> None:
    """In a pipe nothing is cut, and the status of each operation is below its title, also beside a long reference."""
    async with rest_side() as api:
        for reference in ("short", "4bb5fc2c-5f5c-4b0e-9a86-3b6a0f7d9f4e"):
            await api.post(BODY | {"referenceId": reference})
        ended = await bridge("operations", "list", "--url", api.url, environment={})
    header, *rows = ended.output.splitlines()
    assert [row.index("accepted") for row in rows] == [header.index("STATUS")] * 2


async def test_a_line_of_100_columns_shows_the_whole_reference() -> None:
    """A short account leaves the rest of the line to the reference, which people copy."""
    reference = "4bb5fc2c-5f5c-4b0e-9a86-3b6a0f7d9f4e"
    async with rest_side() as api:
        await api.post(BODY | {"referenceId": reference})
        ended = await bridge("operations", "list", "--url", api.url, environment={"COLUMNS": "100"})
    assert reference in ended.output


@pytest.mark.parametrize("length", [36, 40])
async def test_a_line_of_80_columns_shows_the_whole_reference(length: int) -> None:
    """At 80 columns, other columns make room for the reference, without which `operations show` is of no use."""
    reference = "r" * length
    async with rest_side() as api:
        await api.post(BODY | {"referenceId": reference})
        ended = await bridge("operations", "list", "--url", api.url, environment={"COLUMNS": "80"})
        narrow = await bridge("operations", "list", "--url", api.url, environment={"COLUMNS": "55"})
    header, row = ended.output.splitlines()
    assert row.split()[2:4] == [reference, "accepted"]
    assert header.split()[:4] == ["RECEIVED", "(UTC)", "REFERENCE", "STATUS"]
    assert max(map(len, [header, row, *narrow.output.splitlines()])) <= 80
    assert max(map(len, narrow.output.splitlines())) <= 55
    assert "accepted" in narrow.output


async def test_one_operation_is_shown() -> None:
    """Each member has its line; an unknown referenceId is code 1 with the bridge's own words."""
    async with rest_side() as api:
        await api.post(BODY | {"referenceId": "a b/c"})
        ended = await bridge("operations", "show", "a b/c", "--url", api.url, environment={})
        members = dict(line.split(maxsplit=1) for line in ended.output.splitlines())
        assert (members["referenceId"], members["upstream.statusCode"]) == ("a b/c", "0")
        unknown = await bridge("operations", "show", "none", "--url", api.url, environment={})
    assert (unknown.status, unknown.output) == (1, "")
    assert "unknown-operation" in unknown.errors


async def test_sessions_are_listed(tmp_path: Path) -> None:
    """Each session has a row; a bridge that wants a token gets that of the file, else the error names the option."""
    (tmp_path / "tokens").write_text(f"crm:{hashlib.sha256(b't0ken').hexdigest()}\n")
    (tmp_path / "token").write_text("t0ken\n")
    asked = authentication_of(Authentication(method="tokens", tokens_file=tmp_path / "tokens"))
    async with rest_side(session_views=lambda: [SESSION], authentication=asked) as api:
        token = ("--token-file", str(tmp_path / "token"))
        ended = await bridge("sessions", "--url", api.url, *token, environment={})
        assert ended.output.splitlines()[1].split() == ["agent", "0123456789abcdef", "connected", "exactly-once"]
        refused = await bridge("sessions", "--url", api.url, environment={})
    assert refused.status == 1
    assert "unauthenticated" in refused.errors
    assert "--token-file" in refused.errors


@pytest.mark.parametrize("command", [("sessions",), ("operations", "list"), ("mark", "list.txt", "--patience", "1")])
async def test_a_token_that_others_could_read_is_worth_a_warning(command: tuple[str, ...], tmp_path: Path) -> None:
    """A token that is sent to another machine without TLS is a warning. To this machine no network carries it."""
    (tmp_path / "list.txt").write_text("4155552671\n")
    (tmp_path / "token").write_text("t0ken\n")
    name, *rest = command
    given = [str(tmp_path / one) if one == "list.txt" else one for one in rest]
    if name == "mark":
        given += ["--application", "134", "--campaign", "Campaign1", "--device", "d"]
    token = ["--token-file", str(tmp_path / "token")]
    # Nothing listens on port 1. 0.0.0.0 is this machine too, but not a loopback address.
    for url, exposed in (("http://0.0.0.0:1", True), ("https://0.0.0.0:1", False), ("http://localhost:1", False)):
        ended = await bridge(name, *given, "--url", url, *token, environment={})
        assert ("warning:" in ended.errors) is exposed, ended.errors
        assert "t0ken" not in ended.errors


async def test_what_is_no_bridge_is_said_to_be_none() -> None:
    """A wrong --url is code 2; an address without a bridge, or with another server, is code 1 and a sentence."""
    for url in ("127.0.0.1:8080", "http://127.0.0.1:x", "ftp://host"):
        assert (await bridge("sessions", "--url", url, environment={})).status == 2
    away = await bridge("sessions", "--url", "http://127.0.0.1:1", environment={})
    assert (away.status, away.errors.count("\n")) == (1, 1)
    assert "no bridge answers at http://127.0.0.1:1 (connection refused)" in away.errors
    token = await bridge("sessions", "--token-file", "/nowhere", environment={})
    assert (token.status, token.errors) == (2, "the token file /nowhere can't be read: No such file or directory\n")

    async def other(_: web.Request) -> web.Response:
        return web.Response(text="<html>\x1b[31m")

    app = web.Application()
    app.router.add_get("/sessions", other)
    async with serving(app) as url:
        plain = await bridge("sessions", "--url", url.replace("http", "https"), environment={})
        assert (plain.status, plain.errors.count("\n")) == (1, 1)
        assert "(the server does not speak TLS at this port)" in plain.errors
        wrong = await bridge("sessions", "--url", url, environment={})
    assert wrong.status == 1
    assert "is not this bridge" in wrong.errors
