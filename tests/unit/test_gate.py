"""A gate bounds how many tasks do something at the same time."""

import asyncio

import pytest

from bridge.pacing import Gate
from tests.waiting import eventually


@pytest.mark.parametrize("waits", [False, True], ids=["brief", "one-hangs"])
async def test_gate_bounds_the_tasks_inside(*, waits: bool) -> None:
    """At most so many tasks are inside, and a task that hangs gives its place up after a while."""
    gate, inside, most, hangs = Gate(3, 0.1 if waits else 60.0), 0, 0, asyncio.Event()

    async def enter(number: int) -> None:
        nonlocal inside, most
        async with gate.place():
            if waits and number < 3:
                await hangs.wait()
                return
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    tasks = [asyncio.create_task(enter(number)) for number in range(20)]
    await eventually(lambda: all(task.done() for task in tasks[3:]))
    hangs.set()
    await asyncio.gather(*tasks)
    assert most == 3


async def test_gate_frees_the_place_of_a_task_that_fails() -> None:
    """After an error or a cancellation the next task enters."""
    gate = Gate(1, 60.0)
    with pytest.raises(ValueError, match="broken"):
        async with gate.place():
            raise ValueError("broken")
    async with asyncio.timeout(10), gate.place():
        pass
