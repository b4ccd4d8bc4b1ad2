"""GET /sessions: its two scopes."""

from collections.abc import Sequence

from bridge.errors import KafkaUnavailable
from bridge.http import SessionView
from tests.unit.api import rest_side


def view(account: str) -> SessionView:
    return SessionView(account=account, session=None, state="connected", ack_extension=True, guarantee=None)


async def of_the_fleet() -> Sequence[SessionView]:
    return [view("here"), view("there")]


async def test_each_scope_has_its_sessions() -> None:
    """Without a scope, the sessions are those of the replica. With `scope=fleet` they are those of all replicas."""
    async with rest_side(session_views=lambda: [view("here")], fleet_session_views=of_the_fleet) as api:
        for path, accounts in (
            ("/sessions", ["here"]),
            ("/sessions?scope=replica", ["here"]),
            ("/sessions?scope=fleet", ["here", "there"]),
        ):
            assert [one["account"] for one in (await api.get(path)).body] == accounts


async def test_an_unknown_scope_is_refused() -> None:
    """A scope that does not exist is a 422 that names the parameter."""
    async with rest_side() as api:
        answer = await api.get("/sessions?scope=world")
    assert (answer.status, answer.body["code"]) == (422, "invalid-request")
    assert [(one["location"], one["name"]) for one in answer.body["errors"]] == [("query", "scope")]


async def test_another_parameter_is_refused() -> None:
    """A parameter that does not exist, or comes twice, is a 422."""
    async with rest_side() as api:
        answers = [await api.get(f"/sessions?{query}") for query in ("skope=fleet", "scope=fleet&scope=replica")]
    assert [(answer.status, answer.body["code"]) for answer in answers] == [(422, "invalid-request")] * 2


async def test_the_fleets_sessions_need_kafka() -> None:
    """If the other replicas' sessions can't be read, the answer is 503 with `Retry-After`, and not a part of them."""

    async def away() -> Sequence[SessionView]:
        raise KafkaUnavailable("Kafka is unreachable now (timed out).")

    async with rest_side(fleet_session_views=away) as api:
        answer = await api.get("/sessions?scope=fleet")
        assert (answer.status, answer.body["code"]) == (503, "kafka-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await api.get("/sessions")).status == 200
