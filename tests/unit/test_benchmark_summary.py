from benchmarks.rounds import Burst, Round
from benchmarks.summary import bars, percentile, summarize


def _round(*, speed: float, cpu: float, peak: float, latencies: list[float]) -> Round:
    return Round(start=1.0, rest=80.0, peak=peak, burst=Burst(speed, cpu, 0.3), latencies=latencies)


def test_percentiles_are_values_that_were_measured() -> None:
    """A percentile is the smallest measured value that at least that share of the values does not exceed."""
    values = [float(value) for value in range(1, 201)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
    assert percentile([7.0], 99) == 7.0


def test_a_summary_has_the_medians_of_its_rounds() -> None:
    """One slow round moves no median; latencies count event by event, not round by round."""
    summary = summarize(
        "x",
        [
            _round(speed=60_000, cpu=8e-6, peak=100, latencies=[0.004] * 9),
            _round(speed=10_000, cpu=20e-6, peak=300, latencies=[0.001]),
            _round(speed=62_000, cpu=9e-6, peak=110, latencies=[0.001]),
        ],
    )
    assert (summary.events_per_second, summary.slowest, summary.fastest) == (60_000, 10_000, 62_000)
    assert (summary.cpu_us, summary.peak, summary.p50_ms) == (9.0, 110, 4.0)


def test_a_missed_bar_says_so() -> None:
    """Throughput must reach its ratio, the others must not pass theirs."""
    java = summarize("java", [_round(speed=30_000, cpu=30e-6, peak=600, latencies=[0.004])])
    good = summarize("good", [_round(speed=60_000, cpu=9e-6, peak=140, latencies=[0.004])])
    bad = summarize("bad", [_round(speed=59_000, cpu=11e-6, peak=160, latencies=[0.005])])
    assert [bar.passed for bar in bars(good, java)] == [True] * 4
    assert [bar.passed for bar in bars(bad, java)] == [False] * 4
