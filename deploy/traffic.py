"""Live traffic for compose.yaml: calls the bridge as a system of record does, twice a second."""

import itertools
import json
import sys
import time
import uuid
from http.client import HTTPException
from urllib.request import Request, urlopen

INTERVAL = 0.5
"""Seconds between two calls."""
TIMEOUT = 10.0


def call(url: str, number: int) -> str:
    """Mark one record. Return the status of the bridge's answer, or the reason why no answer came."""
    record = {
        "operationName": "DoNotCallRecord",
        "applicationId": 134,
        "campaignName": f"Campaign{number % 3 + 1}",
        "callingList": "CallingList1",
        "phoneNumber": str(3001 + number % 1000),
        "chainAttribute": "AllChain",
        "devicePath": "/devices/f32a46c4-8a48-4067-9965-537fc9788790",
        "referenceId": uuid.uuid4().hex,
    }
    request = Request(  # noqa: S310 -- the address is compose.yaml's
        f"{url}/api/v2/me/outbound-records/{number}",
        json.dumps(record).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310
            return f"HTTP {reply.status}"
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__


def main(url: str) -> None:
    """Send a request every `INTERVAL` seconds. Print a line each time that the outcome changes."""
    before = None
    for number in itertools.count():
        outcome = call(url, number)
        if outcome != before:
            print(outcome, flush=True)  # noqa: T201 -- its output
            before = outcome
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1])
