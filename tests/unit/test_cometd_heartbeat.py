"""How long the bridge sends nothing in a CometD session before the heartbeat sends a sign of life."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from bridge.cometd import HttpSession
from bridge.cometd.messages.batch import Sink
from bridge.cometd.session_context import SessionContext
from tests.unit.relay_parts import OPTIONS, NoCredentials


@pytest.mark.parametrize(
    ("max_interval", "holding", "parked"), [(6.0, 2.0, 2.0), (12.0, 3.0, 4.0), (20.0, 3.0, 5.0), (60.0, 3.0, 5.0)]
)
async def test_two_signs_of_life_may_fail(max_interval: float, holding: float, parked: float) -> None:
    """A third of maxInterval passes at most, so that a session outlives two signs of life that fail."""
    options = replace(OPTIONS, max_interval=max_interval)
    context = SessionContext(
        options, HttpSession("http://127.0.0.1:1", request_timeout=1.0), NoCredentials(), Mock(spec=Sink)
    )
    assert context.quiet_limit(parked=False) == holding
    assert context.quiet_limit(parked=True) == parked
    assert 3 * context.quiet_limit(parked=True) <= max_interval
