import math
from typing import Any

import pytest

from benchmarks.measuring.results import Results
from benchmarks.parts.bench import FULL, Bench


@pytest.fixture
def bench() -> Bench:
    no_site: Any = None
    return Bench(no_site, FULL, Results(), say=lambda _: None)


async def measured(bench: Bench) -> list[str]:
    """Run the rounds of three candidates; return the candidates in the order in which they were measured."""
    order = []

    async def measure(candidate: str, prefix: str) -> str:
        order.append(f"{candidate}:{prefix}")
        return candidate

    await bench.rounds("part", "abc", measure)
    return order


async def test_every_round_begins_with_another_candidate(bench: Bench) -> None:
    """No candidate always runs first, and every run has a prefix of its own for its topics."""
    order = await measured(bench)
    assert [entry[0] for entry in order] == list("abcbcacab")
    assert len({entry.partition(":")[2] for entry in order}) == len(order)


@pytest.mark.parametrize(("until", "rounds"), [(math.inf, FULL.rounds), (0.0, 1)])
async def test_a_part_keeps_to_its_budget(bench: Bench, until: float, rounds: int) -> None:
    """A round that would pass the part's budget is not begun, but the first one always is."""
    bench.until = until
    assert len(await measured(bench)) == 3 * rounds
