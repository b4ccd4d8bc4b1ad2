"""Who may call: bearer tokens, scopes, and what stays open."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import structlog.testing

from bridge.errors import SettingsError
from bridge.http import authentication_of
from bridge.http.auth import static_tokens
from bridge.http.auth.authentication import InvalidToken
from bridge.http.auth.static_tokens import LOOK_INTERVAL, StaticTokens
from bridge.settings import Authentication
from tests.unit.api import BODY, RECORD, Api, rest_side

OPEN = ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def replace(path: Path, content: str | None) -> None:
    """Put another file in the place, as an operator or Kubernetes does, or none."""
    if content is None:
        path.unlink()
    else:
        replacement = path.with_suffix(".new")
        replacement.write_text(content)
        replacement.rename(path)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


LINES = f"""# who may call

crm:{digest("crm-1")}
crm:{digest("crm-2")}:operations:write operations:read
desk:{digest("desk")}:operations:write
audit:{digest("audit").upper()}:operations:read,
nobody:{digest("nobody")}:
"""


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(LINES)
    return path


@pytest_asyncio.fixture
async def api(tokens_file: Path) -> AsyncIterator[Api]:
    settings = Authentication(method="tokens", tokens_file=tokens_file)
    async with rest_side(authentication=authentication_of(settings)) as api:
        yield api


@pytest.mark.parametrize(
    ("token", "post", "get"),
    [("crm-1", 200, 200), ("crm-2", 200, 200), ("desk", 200, 403), ("audit", 403, 200), ("nobody", 403, 403)],
)
async def test_scopes_decide(api: Api, token: str, post: int, get: int) -> None:
    """Submitting needs operations:write, seeing operations and sessions operations:read; none given means both."""
    assert (await api.post(**bearer(token))).status == post
    for path in ("/operations", "/operations/r1" if post == 200 else "/operations", "/sessions"):
        assert (await api.get(path, **bearer(token))).status == get


async def test_missing_scope_is_told(api: Api) -> None:
    """A token without the scope is a 403 whose challenge names the scope, and nothing is submitted."""
    answer = await api.post(**bearer("audit"))
    assert (answer.status, answer.body["code"]) == (403, "insufficient-scope")
    assert 'error="insufficient_scope", scope="operations:write"' in answer.headers["WWW-Authenticate"]
    assert not api.operations.submissions


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, None),
        ("Bearer wrong", "invalid_token"),
        ("bearer wrong", "invalid_token"),
        ("Bearer", "invalid_request"),
        ("Bearer a b", "invalid_request"),
        ("Basic Y3JtOmNybS0x", "invalid_request"),
        ("crm-1", "invalid_request"),
        (f"Bearer {digest('crm-1')}", "invalid_token"),
    ],
)
async def test_stranger_is_challenged(api: Api, header: str | None, error: str | None) -> None:
    """Without a valid token the answer is 401 with a challenge (RFC 6750), and repeats nothing of what was sent."""
    headers = {} if header is None else {"Authorization": header}
    for answer in (await api.post(**headers), await api.get("/operations", **headers)):
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer realm="')
        assert f'error="{error}"' in challenge if error else "error" not in challenge
        assert "wrong" not in str(answer.body)
    assert not api.operations.submissions


async def test_stranger_is_refused_before_the_body_is_read(api: Api) -> None:
    """A stranger's body is not looked at: broken JSON, and a wrong path too, get the same 401."""
    for path in (RECORD, f"{RECORD}x"):
        answer = await api.call("POST", path, data=b"{", headers={"Content-Type": "application/json"})
        assert answer.status == 401


async def test_caller_is_in_the_ledger(api: Api) -> None:
    """An operation is requested by the name of the caller's token, and GET /operations tells it."""
    await api.post(**bearer("crm-2"))
    assert [one.requested_by for one, _ in api.operations.submissions] == ["crm"]
    assert (await api.get("/operations/r1", **bearer("audit"))).body["requestedBy"] == "crm"


async def test_health_and_metrics_stay_open(api: Api) -> None:
    """Health, metrics and documentation need no token."""
    for path in OPEN:
        assert (await api.get(path)).status == 200


async def test_no_authentication_lets_everybody_in() -> None:
    """Without authentication a token is neither needed nor looked at, and the ledger has no caller."""
    async with rest_side() as api:
        assert (await api.post()).status == 200
        assert (await api.get("/operations/r1", **bearer("any"))).body.get("requestedBy") is None


@dataclass
class Watched:
    """The tokens of a file, and what the clock of the looks at it says, in seconds."""

    path: Path
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.tokens = StaticTokens(self.path, clock=lambda: self.now)

    async def knows(self, token: str) -> bool:
        try:
            await self.tokens.caller(token)
        except InvalidToken:
            return False
        return True


@pytest.fixture
def watched(tokens_file: Path) -> Watched:
    return Watched(tokens_file)


async def test_changed_file_counts_within_a_second(watched: Watched) -> None:
    """A file that was replaced counts for the first request after LOOK_INTERVAL, and not before: no look for each."""
    assert not await watched.knows("new")
    replace(watched.path, f"new:{digest('new')}\n")
    assert not await watched.knows("new")
    watched.now += LOOK_INTERVAL
    assert await watched.knows("new")
    assert not await watched.knows("crm-1")


@pytest.mark.parametrize("content", [None, "", "crm:123\n", f"crm:{digest('x')}:admin\n", "\ud800"])
async def test_broken_file_changes_nothing(watched: Watched, content: str | None) -> None:
    """A file that has become wrong or has gone leaves the tokens read before; once it is right again, it counts."""
    if content == "\ud800":
        watched.path.write_bytes(b"\xff\xfe")
    else:
        replace(watched.path, content)
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            watched.now += LOOK_INTERVAL
            assert await watched.knows("crm-1")
    assert [line["event"] for line in lines] == ["tokens-file-unusable"]
    replace(watched.path, f"crm:{digest('crm-3')}\n")
    watched.now += LOOK_INTERVAL
    assert await watched.knows("crm-3")


async def test_hanging_file_system_holds_nobody_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a look at the file hangs, requests go on with the tokens read before, and the loop is not blocked."""
    monkeypatch.setattr(static_tokens, "LOOK_DEADLINE", 0.01)
    on, started, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(_: Path) -> None:
        started.set()
        on.wait(10)
        ended.set()
        raise OSError

    monkeypatch.setattr(static_tokens._Version, "of", hang)
    try:
        for _ in range(3):
            watched.now += LOOK_INTERVAL
            assert await watched.knows("crm-1")
        assert not ended.is_set()
        assert await asyncio.to_thread(started.wait, 10)
    finally:
        on.set()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file has no token"),
        (b"# nothing\n", "the file has no token"),
        (b"\nhunter2:123\n", "line 2 is not name:sha256-hex[:scopes]"),
        (
            f"crm:{digest('x')}:hunter2".encode(),
            "line 1 has an unknown scope (known: operations:write, operations:read, operations:read-personal)",
        ),
        (b"\xff", "the file is not UTF-8"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_wrong_file_stops_the_start(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """A file that is wrong at the start stops it, under the setting's name and the path, without what stands there."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as failed:
        StaticTokens(path)
    assert failed.value.faults == [f"BRIDGE_HTTP__AUTHENTICATION__TOKENS_FILE: {fault} ({path})"]


async def test_submission_is_the_callers_own_body(api: Api) -> None:
    """The token goes no farther than the door: what is submitted is the body alone."""
    await api.post(**bearer("crm-1"))
    [(one, _)] = api.operations.submissions
    assert one.request.body() == BODY
    assert "crm-1" not in repr(one)
