"""One account's parts: what readiness and `/sessions` say of them."""

from contextlib import suppress

from bridge.account import AccountBridge
from bridge.cometd import SessionStatus, State
from bridge.delivery import AccountKeys, KafkaProbe, Slots
from bridge.errors import UpstreamError
from bridge.events import JSON
from bridge.settings import Account, Kafka, Settings, WebServices
from bridge.simulator import Fault, Simulator
from tests.unit.test_webservices_client import PATH


def account_at(url: str) -> AccountBridge:
    site = WebServices.model_validate({"url": url, "username": "agent", "password": "secret", "request_timeout": 2})
    settings = Settings(web_services=site, kafka=Kafka(bootstrap_servers="127.0.0.1:1"))
    account = Account.model_validate({"name": "agent", "username": "agent", "password": "secret"})
    return AccountBridge(
        settings,
        account,
        KafkaProbe(settings.kafka, ["agent"]),
        JSON,
        None,
        publisher=Slots(settings.kafka, [AccountKeys(account.name, account.password)]).publisher(account.name),
    )


class Polled:
    """A CometD session whose polls work."""

    status = SessionStatus(client_id="c", state=State.CONNECTED)


async def test_logins_that_are_not_kept_are_told_steadily() -> None:
    """Readiness and `/sessions` say `login-not-kept`, also while polls work and right after a login that worked."""
    async with Simulator() as upstream:
        bridge = account_at(upstream.url)
        bridge._relay.session = Polled()  # type: ignore[assignment]
        async with bridge.http:
            with suppress(UpstreamError):
                await bridge.client.forward(PATH, {})
            assert "login" not in [one.name for one in bridge.missing()]
            assert bridge.view().reason is None
            upstream.faults.add(Fault("other-node"))
            for _ in range(4):
                with suppress(UpstreamError):
                    await bridge.client.forward(PATH, {})
            upstream.faults.clear()
            for _ in range(3):
                with suppress(UpstreamError):
                    await bridge.client.forward(PATH, {})
                [reason] = [one.reason for one in bridge.missing() if one.name == "login"]
                assert (
                    reason
                    == "login-not-kept: Web Services forgets each login at the next request; is the balancer sticky?"
                )
                assert bridge.view().reason == "login-not-kept"
