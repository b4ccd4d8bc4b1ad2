"""Two Web Services nodes that share nothing, behind a balancer."""

import asyncio
from typing import TypeVar

from tests.compatibility.balancers import Balancer
from tests.real import RealWebServices

_T = TypeVar("_T")


class TwoNodes(RealWebServices):
    """The nodes as one: what is published is published on both, and reaches those who have a session there."""

    def __init__(self, nodes: tuple[RealWebServices, RealWebServices], balancer: Balancer) -> None:
        super().__init__()
        self._nodes = nodes
        self._balancer = balancer

    @property
    def url(self) -> str:
        """The balancer's base URL."""
        return self._balancer.url

    async def control(self, method: str, path: str, body: object, reply: type[_T], *, deadline: float = 30.0) -> _T:
        """Call the path of both nodes; lists are joined, of other answers the first counts."""
        first, second = await asyncio.gather(
            *(node.control(method, path, body, reply, deadline=deadline) for node in self._nodes)
        )
        if isinstance(first, list) and isinstance(second, list):
            first.extend(second)
        return first
