import msgspec
import pytest

from benchmarks.measuring.results import Measure, Quantity, Results, percentile
from benchmarks.measuring.topics import Original
from benchmarks.measuring.traffic import Numbers

SPEED = Quantity("events/s", 0)
DELAY = Quantity("p50, ms", 1)


def test_percentiles_are_values_that_were_measured() -> None:
    """A percentile is the smallest measured value that at least that share of the values does not exceed."""
    values = [float(value) for value in range(1, 201)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
    assert percentile([7.0], 99) == 7.0


def test_one_slow_round_moves_no_median() -> None:
    """A measure is the median of its rounds, and shows the lowest and the highest of them."""
    measure = Measure(SPEED, "x", [60_000, 10_000, 62_000])
    assert (measure.median, measure.spread) == (60_000, (10_000, 62_000))
    assert SPEED.text(measure.median) == "60,000"


def test_the_candidates_of_a_quantity_stand_together() -> None:
    """However the rounds note their values, all candidates of one quantity follow each other, in order."""
    results = Results()
    for candidate in ("one", "other", "one"):
        results.note_all({SPEED: 1.0, DELAY: 2.0}, candidate)
    order = [(one.quantity, one.candidate, len(one.values)) for one in results.measures()]
    assert order == [(SPEED, "one", 2), (SPEED, "other", 1), (DELAY, "one", 2), (DELAY, "other", 1)]
    assert results.of(SPEED, "nobody") is None


def test_every_number_is_given_out_once() -> None:
    """Successive loads of a run have numbers of their own."""
    numbers = Numbers()
    assert [numbers.take(count) for count in (3, 0, 2)] == [range(3), range(3, 3), range(3, 5)]


@pytest.mark.parametrize(
    "original",
    [
        {"referenceId": "17", "record": {"recordHandle": 3}, "sentAt": 1.5},
        {"userData": {"GSW_RECORD_HANDLE": 17, "GSW_PHONE": "3001"}, "sentAt": 1.5},
    ],
    ids=["acknowledgement", "user event"],
)
def test_both_kinds_of_events_tell_their_number(original: dict[str, object]) -> None:
    """An acknowledgement's number is its reference, a user event's is its record handle."""
    assert msgspec.convert(original, Original).number == 17
