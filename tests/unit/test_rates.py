"""The counts of the last minutes."""

from bridge.observability import INTERVALS, Rates, metrics
from bridge.observability.rates import Counts, read_counts

ZERO = Counts(0, 0, 0, 0)


def test_interval_has_the_increase_of_each_counter() -> None:
    """An interval counts what came since the one before, and the time of its end."""
    rates = Rates(lambda: Counts(5, 5, 5, 5), clock=lambda: 7.0)
    rates.count(Counts(6, 5, 8, 5))
    rates.count(Counts(6, 9, 8, 5))
    assert [one.counts for one in rates.intervals] == [Counts(1, 0, 3, 0), Counts(0, 4, 0, 0)]
    assert {one.end for one in rates.intervals} == {7.0}


def test_only_the_last_minutes_are_kept() -> None:
    """Beyond five minutes the oldest interval makes room."""
    rates = Rates(lambda: ZERO)
    for number in range(INTERVALS + 3):
        rates.count(Counts(number, 0, 0, 0))
    assert len(rates.intervals) == INTERVALS


def test_counters_of_all_accounts_are_added_up() -> None:
    """Each count is the sum over the accounts, and takes the outcomes that it names."""
    before = read_counts()
    for account in ("rates-1", "rates-2"):
        metrics.operations.labels(account, "accepted").inc(2)
        for outcome in ("rejected", "failed", "timed-out"):
            metrics.operations.labels(account, outcome).inc()
        metrics.operations.labels(account, "acknowledged").inc(100)
        metrics.events_received.labels(account, "acknowledgement").inc(3)
        metrics.events_received.labels(account, "user-event").inc(100)
        metrics.events_published.labels(account, "gws.user-events.v1").inc(5)
    now = read_counts()
    assert Counts(*(new - old for new, old in zip(now, before, strict=True))) == Counts(4, 6, 10, 6)
