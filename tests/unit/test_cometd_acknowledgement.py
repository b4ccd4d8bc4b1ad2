from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.acknowledgement import AcknowledgementExtension
from bridge.errors import ExchangeFailed

HANDSHAKE = "/meta/handshake"
CONNECT = "/meta/connect"
SUBSCRIBE = "/meta/subscribe"


async def negotiated(*, answer: object = True) -> AcknowledgementExtension:
    extension = AcknowledgementExtension()
    await extension.incoming([{"channel": HANDSHAKE, "successful": True, "ext": {"ack": answer}}])
    return extension


async def sent(extension: AcknowledgementExtension, channel: str) -> dict[str, Any]:
    """A message of that channel as it goes out."""
    message = {"channel": channel}
    await extension.outgoing([message], {})
    return message


async def test_the_offer() -> None:
    """Every handshake offers the extension, by JSON true."""
    assert await sent(AcknowledgementExtension(), HANDSHAKE) == {"channel": HANDSHAKE, "ext": {"ack": True}}


@pytest.mark.parametrize("answer", [True, {"enabled": True}, {"enabled": True, "batch": 3}])
async def test_accepted(answer: object) -> None:
    """The server accepts by `true` or by a map that says enabled; the first poll then acknowledges 0."""
    extension = await negotiated(answer=answer)
    assert extension.enabled
    assert await sent(extension, CONNECT) == {"channel": CONNECT, "ext": {"ack": 0}}


@pytest.mark.parametrize("answer", [None, False, 1, "true", {}, {"enabled": "true"}, []])
async def test_not_accepted(answer: object) -> None:
    """Anything else means that the server keeps no copy: polls then carry no `ext`."""
    extension = await negotiated(answer=answer)
    assert (extension.enabled, extension.acknowledged) == (False, None)
    assert await sent(extension, CONNECT) == {"channel": CONNECT}


@pytest.mark.parametrize("reply", [{}, {"ext": None}, {"ext": True}, {"ext": {}}])
async def test_no_answer(reply: dict[str, Any]) -> None:
    """A handshake reply without the extension's part means that it is off."""
    extension = AcknowledgementExtension()
    await extension.incoming([{"channel": HANDSHAKE, "successful": True, **reply}])
    assert not extension.enabled


async def test_a_refused_handshake() -> None:
    """A refused handshake changes nothing: the session it should have replaced may still be polled."""
    extension = await negotiated()
    extension.acknowledge(4)
    await extension.incoming([{"channel": HANDSHAKE, "successful": False}])
    assert (extension.enabled, extension.acknowledged) == (True, 4)


async def test_a_new_session_counts_from_zero() -> None:
    """The numbers belong to one session: a new handshake begins at 0, whatever was acknowledged before."""
    extension = await negotiated()
    extension.acknowledge(17)
    await extension.incoming([{"channel": HANDSHAKE, "successful": True, "ext": {"ack": True}}])
    assert extension.acknowledged == 0


@given(st.lists(st.integers(1, 5), max_size=20))
async def test_only_what_was_kept_is_acknowledged(steps: list[int]) -> None:
    """Reading a reply's number acknowledges nothing; a poll carries the last number given to `acknowledge`."""
    extension = await negotiated()
    number, kept = 0, 0
    for step in steps:
        number += step
        read = extension.number_of({"ext": {"ack": number}})
        assert (await sent(extension, CONNECT))["ext"] == {"ack": kept}
        if step > 2:
            extension.acknowledge(read)
            kept = number
        assert (await sent(extension, CONNECT))["ext"] == {"ack": kept}


@pytest.mark.parametrize(
    "number", [None, True, False, "3", 2.5, [], {}, -1, 0, 1, 1 << 63, 10**300], ids=lambda number: repr(number)[:9]
)
async def test_a_number_that_can_not_follow(number: object) -> None:
    """A number that is none, is beyond a Java long, or goes backwards fails the poll, and moves nothing."""
    extension = await negotiated()
    extension.acknowledge(2)
    with pytest.raises(ExchangeFailed) as failure:
        extension.number_of({"ext": {"ack": number}})
    assert failure.value.reason == "acknowledgement-unusable"
    assert (await sent(extension, CONNECT))["ext"] == {"ack": 2}


@pytest.mark.parametrize("reply", [{}, {"ext": {}}, {"ext": 3}])
async def test_a_reply_without_a_number(reply: dict[str, Any]) -> None:
    """A reply that carries no number fails the poll as well: what it brought comes again."""
    with pytest.raises(ExchangeFailed):
        (await negotiated()).number_of(reply)


async def test_the_largest_number() -> None:
    """The largest Java long is a number like any other."""
    assert (await negotiated()).number_of({"ext": {"ack": (1 << 63) - 1}}) == (1 << 63) - 1


async def test_numbers_without_the_extension() -> None:
    """While the extension is off a number in a reply means nothing."""
    extension = await negotiated(answer=False)
    assert extension.number_of({"ext": {"ack": 3}}) is None
    extension.acknowledge(3)
    assert extension.acknowledged is None


async def test_resume() -> None:
    """A session that is taken over goes on with the number of the process before."""
    extension = AcknowledgementExtension()
    extension.resume(12)
    assert (await sent(extension, CONNECT))["ext"] == {"ack": 12}
    extension.resume(None)
    assert await sent(extension, CONNECT) == {"channel": CONNECT}


async def test_other_messages() -> None:
    """Only handshakes and polls carry the extension."""
    assert await sent(await negotiated(), SUBSCRIBE) == {"channel": SUBSCRIBE}
