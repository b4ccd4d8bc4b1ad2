"""Gets one JSON document from a running bridge."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from bridge.commands.process import run_to_end
from bridge.commands.remote.address import base_url, cause_of, exposed_token, read_token
from bridge.errors import UNDECODABLE, CommandFailed
from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT: Final = 10.0
LONGEST: Final = 64 << 20


@dataclass(frozen=True)
class RunningBridge:
    """A bridge that runs at `url`. Requests carry the token in `token_file`, if this file is set."""

    url: str
    token_file: Path | None = None

    def warn(self) -> None:
        """Print a warning to standard error if requests to this bridge show the token to others on the network.

        Raises:
            UnusableInput: the URL can't be used.
        """
        if warning := exposed_token(base_url(self.url), self.token_file):
            print(warning, file=sys.stderr)  # noqa: T201 -- the command's output

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the decoded JSON document at the path.

        Raises:
            UnusableInput: the URL or the token file can't be used.
            CommandFailed: the bridge does not answer, or refuses the request. The text says why.
        """
        base = base_url(self.url)
        headers = {} if self.token_file is None else {"Authorization": f"Bearer {read_token(self.token_file)}"}
        status, body = run_to_end(_get(base, path, query, headers))
        try:
            document = msgspec.json.decode(body)
        except UNDECODABLE:
            document = None
        if status != 200 or document is None:
            raise CommandFailed(_refusal(base, status, document))
        return document


async def _get(base: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as client,
            client.get(base + path, params=query, allow_redirects=False) as reply,
        ):
            body = b""
            async for part in reply.content.iter_any():
                body += part
                if len(body) > LONGEST:
                    break
            return reply.status, body
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise CommandFailed(
            f"no bridge answers at {base} ({cause_of(error)}); does it run, and is --url right?"
        ) from None


def _refusal(base: str, status: int, document: Any) -> str:
    problem = document if isinstance(document, dict) else {}
    code, detail = problem.get("code"), problem.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        return f"the server at {base} is not this bridge (HTTP {status}); is --url right?"
    text = f"the bridge refuses the request with HTTP {status} {printable(code, 60)}: {printable(detail, 300)}"
    return text + (" (--token-file FILE sends a token)" if status == 401 else "")
