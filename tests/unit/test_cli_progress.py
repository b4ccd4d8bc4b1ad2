"""The line that says what a command waits for."""

import io
from contextlib import ExitStack

from rich.console import Console

from bridge.commands.output.progress import Progress
from tests.waiting import eventually


async def test_a_terminal_shows_what_is_waited_for() -> None:
    """The line has the names that are waited for, and counts those that would make it long; control characters show."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, color_system=None, width=200)
    with (
        Progress("Checking", console) as progress,
        progress.waiting("Kafka at [::1]:9092"),
        progress.waiting("a\x1b[2J"),
    ):
        await eventually(lambda: "Checking Kafka at [::1]:9092, a\\x1b[2J (0 s)" in output.getvalue())
    with (
        Progress("Checking", console) as progress,
        progress.waiting("Kafka at [::1]:9092"),
        progress.waiting("\x1b[2J"),
    ):
        await eventually(lambda: "Checking Kafka at [::1]:9092, \\x1b[2J (0 s)" in output.getvalue())
    with Progress("Checking", console) as progress, ExitStack() as waiting:
        for number in range(200):
            waiting.enter_context(progress.waiting(f"account-{number}"))
        await eventually(lambda: "Checking account-0, account-1, account-2, 197 more" in output.getvalue())
