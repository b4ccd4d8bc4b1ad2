import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bridge.commands.mark.client import LONGEST_PAUSE, BridgeClient, TryAgain
from bridge.commands.mark.report import Report
from bridge.commands.mark.results import OUTCOMES, results_of
from bridge.commands.mark.sender import Pace, Patience, Sender
from bridge.errors import CommandFailed
from tests.serving import serving
from tests.unit.mark_parts import JOB, planned

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
DONE: Answer = (200, {"status": "acknowledged", "acknowledgement": {"id": "a-1"}})
PENDING: Answer = (202, {"status": "requested"})


def problem(status: int, code: str, **members: Any) -> Answer:
    """A problem of the bridge that names no long pause."""
    return status, {"status": status, "code": code, "detail": "because"} | members, {"Retry-After": "0"}


class ScriptedBridge:
    """Answers requests in order, then acknowledges everything; remembers them."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.at_once = self.most_at_once = 0
        self.missing: list[dict[str, str]] = []
        self.on_request: Callable[[], object] = int

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/health/ready":
            return web.json_response({"missing": self.missing}, status=503 if self.missing else 200)
        self.requests.append((request.method, request.path, dict(request.headers)))
        self.on_request()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        status, body, *headers = self.answers.pop(0) if self.answers else DONE
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        return web.Response(status=status, body=content, headers=headers[0] if headers else {})


class Run:
    """One run of a sender over a list; `said` is what it told on the terminal."""

    def __init__(self, path: Path, url: str, token_file: Path | None, patience: float) -> None:
        self._path = path
        self._url = url
        self._token_file = token_file
        self._patience = patience
        self.said = io.StringIO()

    async def __call__(self, text: str = "4155552671\n", *, concurrency: int = 1, retry_failed: bool = False) -> Report:
        report = Report(Console(file=self.said), 1)
        with results_of(self._path, JOB) as results:
            work = iter(planned(text, results, retry_failed=retry_failed))
            async with BridgeClient(self._url, token_file=self._token_file, concurrency=concurrency) as client:
                patience = Patience(self._patience, report.say)
                sender = Sender(client, results, report, job=JOB, pace=Pace(None), patience=patience)
                await sender.run(work, asyncio.Event(), concurrency=concurrency)
        return report

    def lines(self) -> list[list[str]]:
        """Outcome, reason and detail of each line of the results."""
        return [line.split(",")[1:4] for line in self._path.read_text().splitlines()[1:]]


@pytest.fixture
def run_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[tuple[Run, ScriptedBridge]]]:
    """Run a list of one number against these answers, without any pause."""

    async def no_pause(_seconds: float) -> None:
        await asyncio.get_running_loop().run_in_executor(None, int)

    monkeypatch.setattr("bridge.commands.mark.sender.asyncio.sleep", no_pause)

    async def run(*answers: Answer, text: str = "4155552671\n", **options: Any) -> tuple[Run, ScriptedBridge]:
        async with scripted(*answers) as (bridge, url):
            one = Run(tmp_path / "results.csv", url, options.pop("token_file", None), options.pop("patience", 60))
            await one(text, **options)
            return one, bridge

    return run


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[tuple[ScriptedBridge, str]]:
    bridge = ScriptedBridge(*answers)
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", bridge.answer)])
    async with serving(app) as url:
        yield bridge, url


async def test_a_row_is_handed_in(run_with: Any) -> None:
    """A row is one request that asks for durability and for the outcome with its answer."""
    run, bridge = await run_with(DONE, text="phone,account\n4155552671,b\n")
    [(method, path, headers)] = bridge.requests
    assert (method, path) == ("POST", "/api/v2/me/outbound-records")
    assert headers["Prefer"] == "respond-async, wait=20"
    assert headers["X-Account"] == "b"
    assert run.lines() == [["acknowledged", "", ""]]


async def test_an_outcome_that_takes_long(run_with: Any) -> None:
    """What is pending after the wait is asked for until it has ended; what is forgotten is handed in again."""
    run, bridge = await run_with(PENDING, (200, {"status": "accepted"}), problem(404, "unknown-operation"), PENDING)
    assert [(method, path) for method, path, _ in bridge.requests] == [
        ("POST", "/api/v2/me/outbound-records"),
        ("GET", "/operations/nightly-1"),
        ("GET", "/operations/nightly-1"),
        ("POST", "/api/v2/me/outbound-records"),
        ("GET", "/operations/nightly-1"),
    ]
    assert run.lines() == [["acknowledged", "", ""]]


@pytest.mark.parametrize(
    "answer",
    [
        problem(429, "busy"),
        problem(429, "too-many-requests"),
        problem(503, "kafka-unavailable"),
        problem(503, "ledger-unread"),
        problem(503, "undelivered"),
        problem(503, "upstream-rejected", statusCode=20),
        problem(500, "internal"),
        (502, "<html>Bad Gateway</html>"),
        (504, ""),
    ],
)
async def test_what_passes(run_with: Any, answer: Answer) -> None:
    """An answer that passes, of the bridge or of a proxy, is followed by the same request."""
    run, bridge = await run_with(answer, answer)
    assert [method for method, *_ in bridge.requests] == ["POST"] * 3
    assert run.lines() == [["acknowledged", "", ""]]


async def test_a_row_that_is_never_judged(run_with: Any) -> None:
    """After five attempts in vain a row is left to the next run, which sends it under the same referenceId."""
    run, bridge = await run_with(*[problem(503, "undelivered")] * 5)
    assert run.lines() == [["undelivered", "undelivered", "because; the next run sends it again"]]
    assert len(bridge.requests) == 5


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            problem(409, "upstream-rejected", statusCode=4, statusMessage="not registered"),
            ["rejected", "status-code-4", "not registered"],
        ),
        (
            problem(422, "reference-conflict"),
            [
                "rejected",
                "reference-conflict",
                '"another row of this job\'s name was sent earlier; use another --job"',
            ],
        ),
        (
            problem(422, "invalid-request", errors=[{"name": "campaignName", "detail": "wrong"}]),
            ["invalid", "invalid-request", "campaignName: wrong"],
        ),
        ((202, {"status": "timed-out"}), ["timed-out", "timed-out"]),
    ],
)
async def test_what_is_final(run_with: Any, answer: Answer, line: list[str]) -> None:
    """A refusal ends the row with its reason and Web Services' own words, which are not shown on the terminal."""
    run, bridge = await run_with(answer)
    found = [[cell.strip('"') for cell in one] for one in run.lines()]
    assert found[0][: len(line)] == [cell.strip('"') for cell in line]
    assert len(bridge.requests) == 1
    assert "not registered" not in run.said.getvalue()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(401, "unauthenticated"), "HTTP 401 unauthenticated: because"),
        (problem(403, "insufficient-scope"), "operations:write and operations:read"),
        (problem(404, "unknown-account"), "unknown-account"),
        (problem(421, "foreign-host"), "foreign-host"),
        ((404, "<html>"), "is --url right"),
        ((302, ""), "is --url right"),
        ((200, "{}"), "is --url right"),
        ((200, "nonsense"), "is --url right"),
    ],
)
async def test_what_each_row_would_get(run_with: Any, answer: Answer, words: str) -> None:
    """A refusal that is not about one row ends the run with its words, and nothing is in the results."""
    with pytest.raises(CommandFailed, match=words):
        await run_with(answer)


async def test_a_token_that_was_replaced(run_with: Any, tmp_path: Path) -> None:
    """A token that is refused is read again; if the file has another one by then, the run goes on with that."""
    file = tmp_path / "token"
    file.write_text("old\n")
    async with scripted(problem(401, "unauthenticated")) as (bridge, url):
        bridge.on_request = lambda: file.write_text("new\n")
        await Run(tmp_path / "other.csv", url, file, 60)()
    assert [headers["Authorization"] for *_, headers in bridge.requests] == ["Bearer old", "Bearer new"]
    with pytest.raises(CommandFailed, match="HTTP 401"):
        await run_with(problem(401, "unauthenticated"), token_file=file)


async def test_concurrency(run_with: Any) -> None:
    """No more rows are under way than --concurrency says, and all are sent."""
    text = "".join(f"41555526{number:02}\n" for number in range(50))
    run, bridge = await run_with(text=text, concurrency=4)
    assert bridge.most_at_once <= 4
    assert len(bridge.requests) == len(run.lines()) == 50


async def test_a_bridge_that_is_away(run_with: Any) -> None:
    """Beyond --patience without a usable answer the run gives up; it says once that it waits."""
    with pytest.raises(CommandFailed, match="given up after 0 s without a usable answer"):
        await run_with(problem(503, "kafka-unavailable"), patience=0)


async def test_a_bridge_that_is_not_ready(tmp_path: Path) -> None:
    """Nothing is handed in while the bridge is not ready: nobody would hear the acknowledgement."""
    async with scripted() as (bridge, url):
        bridge.missing = [{"name": "cometd", "reason": "connecting"}]
        run = Run(tmp_path / "results.csv", url, None, 0)
        with pytest.raises(CommandFailed, match=r"is not ready \(cometd\)"):
            await run()
        assert bridge.requests == []
        bridge.missing = []
        await run()
    assert run.lines() == [["acknowledged", "", ""]]


def test_pace() -> None:
    """Places are 1 / rate apart; unused ones are not saved up; Retry-After holds all rows back."""
    now = 100.0
    pace = Pace(4, clock=lambda: now)
    assert [pace.delay() for _ in range(3)] == [0, 0.25, 0.5]
    now = 200.0
    assert pace.delay() == 0
    pace.hold(5)
    assert [pace.delay(), pace.delay()] == [5, 5.25]
    assert [Pace(None).delay() for _ in range(3)] == [0, 0, 0]


def test_patience() -> None:
    """Each outage is told once, its end too; patience counts from the last usable answer."""
    now, said = 0.0, list[str]()
    patience = Patience(10, said.append, clock=lambda: now)
    for now in (5.0, 9.0):  # noqa: B007 -- the clock reads it
        patience.failed(TryAgain("no-answer", "away"))
    patience.answered()
    assert said == ["away; trying again for up to 10 s", "the bridge answers again"]
    now = 18.0
    patience.failed(TryAgain("busy", "crowded", crowded=True))
    assert len(said) == 2
    now = 20.0
    with pytest.raises(CommandFailed, match="run the same command again"):
        patience.failed(TryAgain("no-answer", "away"))


ANSWERS = st.tuples(
    st.integers(200, 599), st.binary(max_size=80) | st.from_type(dict).map(lambda one: json.dumps(str(one)).encode())
)


@settings(max_examples=20)
@given(st.lists(ANSWERS, min_size=5, max_size=20))
def test_any_answer(answers: list[tuple[int, bytes]]) -> None:
    """Any answer is an outcome, one that passes, or ends the run with one line."""
    asyncio.run(hear(answers))


async def hear(answers: list[tuple[int, bytes]]) -> None:
    async with (
        scripted(*answers) as (_, url),
        BridgeClient(url, token_file=None, concurrency=1) as client,
    ):
        for _ in answers:
            try:
                outcome = await client.outcome("1")
            except (TryAgain, CommandFailed):
                continue
            assert outcome is None or outcome.status in OUTCOMES


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("999999", LONGEST_PAUSE), ("soon", None), ("-1", None), (None, None)],
)
async def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Retry-After is read in seconds, up to a bound; what is no number counts as none."""
    headers = {} if header is None else {"Retry-After": header}
    async with (
        scripted((503, {"code": "busy"}, headers)) as (_, url),
        BridgeClient(url, token_file=None, concurrency=1) as client,
    ):
        with pytest.raises(TryAgain) as caught:
            await client.outcome("1")
    assert caught.value.after == seconds
