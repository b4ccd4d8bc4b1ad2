"""The HTTP calls of `bridge demo` to the bridge's REST API. The first call is the example of the documentation."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from bridge.errors import CommandFailed
from bridge.webservices import EXAMPLE_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RECORDS: Final = "/api/v2/me/outbound-records"
INTERVAL: Final = 0.2
"""Seconds between two calls."""
TIMEOUT: Final = 10.0
EXAMPLE_HANDLE: Final = 13


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and body of each call: first the example, then variations. Every third call has no record handle."""
    yield f"{RECORDS}/{EXAMPLE_HANDLE}", EXAMPLE_REQUEST
    for number in itertools.count(1):
        body = EXAMPLE_REQUEST | {
            "phoneNumber": str(3001 + number),
            "campaignName": f"Campaign{1 + number % 3}",
            "referenceId": f"demo-{number}",
        }
        if number % 3:
            yield f"{RECORDS}/{EXAMPLE_HANDLE + number % 8}", body
        else:
            del body["callingList"]
            yield RECORDS, body


def curl(url: str) -> str:
    """Return a shell command that sends the example to the bridge at `url`.

    The request has no referenceId, so the bridge makes a new one each time. A request that repeats an earlier
    referenceId is not forwarded.
    """
    body = {name: value for name, value in EXAMPLE_REQUEST.items() if name != "referenceId"}
    return f"curl {url}{RECORDS}/{EXAMPLE_HANDLE} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


async def keep_calling(urls: Callable[[], Sequence[str]], accounts: Sequence[str] = ()) -> None:
    """Send one call after the other, until cancelled.

    `urls` returns the base URLs of the bridges that run now. The calls alternate between these URLs, and between
    `accounts` (without accounts: the default account). If a bridge ends during a call, the call goes to another bridge.

    Raises:
        CommandFailed: a running bridge did not answer a call, or did not answer with HTTP status 200.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        for number, (path, body) in enumerate(calls()):
            headers = {"X-Account": accounts[number % len(accounts)]} if accounts else {}
            while True:
                url = urls()[number % len(urls())]
                try:
                    async with client.post(url + path, json=body, headers=headers) as reply:
                        answer = await reply.text()
                    break
                except (aiohttp.ClientError, TimeoutError) as error:
                    if url in urls():
                        name = type(error).__name__
                        raise CommandFailed(f"the bridge did not answer the demo's call: {name}") from None
            if reply.status != 200:
                raise CommandFailed(f"the bridge answered the demo's call with HTTP {reply.status}: {answer}")
            await asyncio.sleep(INTERVAL)
