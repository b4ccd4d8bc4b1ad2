"""`bridge simulate`: runs a simulated Web Services."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bridge.commands.process import run_to_end, stop_on_signals
from bridge.errors import CommandFailed, installation_of
from bridge.observability import configure
from bridge.simulator import EmbeddedBroker, Fault, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TICK: Final = 0.02
"""Seconds between two bursts of the events for `--rate`."""


def read_faults(texts: Sequence[str]) -> list[Fault]:
    """Parse faults that are given as `name:on:times`.

    Raises:
        ValueError: a text does not have this form. The message contains the text.
    """
    return [Fault.from_text(text) for text in texts]


def run_simulator(
    *,
    host: str,
    port: int,
    username: str,
    password: str,
    faults: Sequence[Fault],
    rate: float,
    with_kafka: bool = False,
) -> None:
    """Run the simulator until SIGTERM or SIGINT.

    The simulator sends `rate` events each second, in addition to the events that calls cause. With `with_kafka`, an
    embedded broker runs beside it.

    Raises:
        CommandFailed: the simulator can't listen on the address, or the embedded broker is not installed.
    """
    configure("console", "warning")
    simulator = Simulator(host=host, port=port, username=username, password=password)
    broker = EmbeddedBroker() if with_kafka else None
    if broker is not None:
        try:
            broker.start()
        except ModuleNotFoundError:
            text = f"--with-kafka needs an embedded broker, the extra `demo`; {installation_of('demo')}"
            raise CommandFailed(text) from None
    try:
        run_to_end(_simulate(simulator, faults, rate, lambda: _invitation(simulator.url, broker, username, password)))
    finally:
        if broker is not None:
            broker.stop()


async def _simulate(simulator: Simulator, faults: Sequence[Fault], rate: float, invitation: Callable[[], str]) -> None:
    stop = stop_on_signals()
    for fault in faults:
        simulator.faults.add(fault)
    try:
        await simulator.start()
    except OSError as error:
        raise CommandFailed(
            f"can't listen on this address: {error.strerror or type(error).__name__}; try another --port or --host"
        ) from None
    try:
        print(invitation(), flush=True)  # noqa: T201 -- the command's output
        await _send_events(simulator, rate, stop)
    finally:
        await simulator.stop()


def _invitation(url: str, broker: EmbeddedBroker | None, username: str, password: str) -> str:
    account = f"BRIDGE_WEB_SERVICES__USERNAME={username} BRIDGE_WEB_SERVICES__PASSWORD={password}"
    variables = [f"BRIDGE_WEB_SERVICES__URL={url} {account}"]
    if broker is not None:
        variables.append(f"BRIDGE_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap} BRIDGE_KAFKA__CHECK_CRCS=false")
    exports = "\n".join(f"  export {line}" for line in variables)
    return f"""Simulated Web Services at {url} (account {username}, password {password}). Press Ctrl-C to stop it.

  curl -u {username}:{password} {url}/api/v2/me
  curl {url}/simulator/sessions
  curl {url}/simulator/faults --data 'html-503:connect:3'

To connect a bridge to it, set

{exports}"""


async def _send_events(simulator: Simulator, rate: float, stop: asyncio.Event) -> None:
    """Send on average `rate` events each second until `stop` is set, alternately acknowledgements and user events."""
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            simulator.publish(*(_user_event if number % 2 else _acknowledgement)(number // 2))
        sent = due
        try:
            async with asyncio.timeout(TICK if rate else None):
                await stop.wait()
        except TimeoutError:
            continue


def _acknowledgement(number: int) -> tuple[str, dict[str, Any]]:
    record = {
        "devicePath": "/devices/f32a46c4-8a48-4067-9965-537fc9788790",
        "callingList": "CallingList1",
        "applicationId": 134,
        "recordHandle": number,
        "campaignName": "Campaign1",
    }
    return "/v2/me/outbound", {
        "record": record,
        "notificationType": "DoNotCallAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": f"simulator-{number}",
    }


def _user_event(number: int) -> tuple[str, dict[str, Any]]:
    told = {
        "GSW_CHAIN_ATTR": "AllChain",
        "GSW_APPLICATION_ID": 134,
        "GSW_RECORD_HANDLE": number,
        "GSW_USER_EVENT": "DoNotCallAcknowledge",
        "GSW_CALLING_LIST": "CallingList1",
        "GSW_PHONE": "3001",
        "GSW_CAMPAIGN_NAME": "Campaign1",
    }
    processing = {
        "serverGenerationTimestamp": time.time_ns() // 1_000_000,
        "nodeProcessingTimeNanos": 4352048,
        "serverProcessingTimeTotalMs": 5,
    }
    return "/me/internal", {
        "metrics": {"eventProcessing": processing},
        "userData": told,
        "deviceId": "f32a46c4-8a48-4067-9965-537fc9788790",
        "messageType": "DeviceUserEventMessage",
    }
