"""What one very long message costs while it is taken out of a reply and read."""

import tracemalloc
from collections.abc import Callable, Iterator

import msgspec
import pytest

from bridge.cometd.messages.stream import MessageStream
from bridge.webservices.messages.messages import Unknown, parse

SIZE = 16 << 20
HEAD, TAIL = b'[{"channel":"/v2/me/x","data":{"text":"', b'"}}]'


@pytest.fixture
def growth() -> Iterator[Callable[[], float]]:
    """How far the memory rose since the first call, at its peak, in sizes of the message."""
    tracemalloc.start()
    base: list[int] = []

    def measured() -> float:
        if not base:
            base.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.reset_peak()
        return (tracemalloc.get_traced_memory()[1] - base[0]) / SIZE

    yield measured
    tracemalloc.stop()


@pytest.mark.parametrize(
    "end", [TAIL, b"\\ud800" + TAIL, b"\xff" + TAIL], ids=["valid", "half a surrogate", "no UTF-8"]
)
def test_the_last_message_of_a_reply_is_copied_once(growth: Callable[[], float], end: bytes) -> None:
    """A long message that ends a reply costs its size once more when it is taken out, and no third time."""
    stream = MessageStream(2 * SIZE)
    for part in (HEAD, b"x" * SIZE, end):
        assert list(stream.feed(part)) in ([], [[]])
    growth()
    [message] = stream.end()
    assert growth() < 1.1
    assert len(bytes(message.data)) > SIZE


def test_a_long_text_that_is_no_utf_8_is_read_in_bounded_memory(growth: Callable[[], float]) -> None:
    """One odd byte does not multiply the memory that the text around it takes."""
    data = msgspec.Raw(b'{"text":"' + b"x" * SIZE + b'\xff"}')
    growth()
    message = parse(data)
    assert growth() < 3.5
    assert isinstance(message, Unknown)
    assert msgspec.json.decode(message.original) == bytes(data).decode(errors="replace")


@pytest.mark.parametrize("at", [(1 << 20) - 9 - shift for shift in range(5)])
def test_a_character_between_two_pieces_stays_whole(at: int) -> None:
    """Where a text is read in pieces, a character that lies across their border is read as one."""
    data = b'{"text":"' + b"x" * at + "\U0001f600".encode() + b"x" * (5 << 20) + b'\xff"}'
    assert msgspec.json.decode(parse(msgspec.Raw(data)).original) == data.decode(errors="replace")
