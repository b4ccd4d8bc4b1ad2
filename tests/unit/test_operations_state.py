"""Where an operation stands, as its events tell."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Operation, Upstream
from bridge.operations import OperationView, Times
from bridge.operations.view.state import event_of, merge, seconds
from tests.unit.operation_parts import event

LIFE = [
    event("requested", at="2026-01-01T12:00:00.000Z", asynchronous=True),
    event("requested", at="2026-01-01T12:00:01.000Z", asynchronous=True, attempt=2),
    event("accepted", at="2026-01-01T12:00:02.000Z", attempt=2, asynchronous=True),
    event("timed-out", at="2026-01-01T12:00:32.000Z", attempt=2, asynchronous=True, upstream=Upstream(200, 0, None)),
    event("acknowledged", at="2026-01-01T12:00:40.000Z", attempt=2, asynchronous=True, late=True, latency_ms=39_000),
]


def after(*events: Operation) -> OperationView:
    view = None
    for one in events:
        view = merge(view, one)
    assert view is not None
    return view


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE)))
def test_order_and_repetition_do_not_matter(events: list[Operation], again: list[Operation]) -> None:
    """Events of one life in any order, and any of them again, end in the state of the life itself."""
    view, expected = after(*events, *again), after(*LIFE)
    for name in ("status", "attempt", "times", "acknowledgement", "latency_ms", "asynchronous", "upstream"):
        assert getattr(view, name) == getattr(expected, name)
    assert view.status == "acknowledged"


@given(st.permutations(LIFE[:4]))
def test_any_order_without_the_acknowledgement(events: list[Operation]) -> None:
    """Without an acknowledgement the newest attempt's farthest status counts, whatever came first."""
    assert (after(*events).status, after(*events).attempt) == ("timed-out", 2)


@pytest.mark.parametrize(("first", "second"), list(pairwise(["requested", "accepted", "timed-out", "acknowledged"])))
def test_a_status_never_goes_back(first: str, second: str) -> None:
    """An earlier status that comes later changes nothing but the times."""
    assert after(event(second), event(first)).status == second
    assert after(event(first), event(second)).status == second


def test_the_same_event_changes_nothing() -> None:
    """A repeated event gives the very same view: nobody is woken for it."""
    view = after(event("accepted"))
    assert merge(view, event("accepted")) is view


def test_late_acknowledgement_is_told() -> None:
    """An acknowledgement after the time-out is noted as late, with its place."""
    view = after(*LIFE)
    assert view.acknowledgement is not None
    assert (view.acknowledgement.late, view.acknowledgement.id, view.acknowledgement.key) == (
        True,
        "s-1",
        "134/Campaign1/13",
    )


@pytest.mark.parametrize(
    ("upstream", "undelivered"),
    [(None, True), (Upstream(403, 20, None), True), (Upstream(500, 4, None), False), (Upstream(502, None, None), True)],
)
def test_undelivered_is_what_was_never_judged(upstream: Upstream | None, *, undelivered: bool) -> None:
    """Only a rejection without a verdict on the operation itself lets it be requested anew."""
    assert after(event("rejected", upstream=upstream)).undelivered is undelivered


def test_new_request_after_an_undelivered_one() -> None:
    """A newer attempt begins anew, without the earlier one's verdict."""
    view = after(event("rejected", upstream=Upstream(403, 20, None)), event("requested", attempt=2))
    assert (view.status, view.attempt, view.upstream) == ("requested", 2, None)
    assert view.pending


def test_event_of_a_view_tells_all_of_it() -> None:
    """What the view knows goes into its next event: each event of the ledger is whole, but for the earlier times."""
    view = after(*LIFE)
    again = after(event_of(view, "acknowledged", "2026-01-01T12:00:40.000Z"))
    assert again == msgspec.structs.replace(view, times=Times(acknowledged="2026-01-01T12:00:40.000Z"))


def test_request_is_the_callers_body() -> None:
    """The view's request is the body that the caller sent."""
    assert after(event("requested")).request["campaignName"] == "Campaign1"


def test_seconds_reads_what_events_write() -> None:
    """RFC 3339 becomes epoch seconds."""
    assert seconds("1970-01-01T00:00:01.500Z") == 1.5
