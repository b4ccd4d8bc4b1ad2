"""Fixtures of the fleet's scenarios."""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.fleet.replicas import OneAccount, start
from tests.faults.rig import Rig
from tests.faults.site import Site


@pytest.fixture
def rig(site: Site, tmp_path: Path) -> Rig:
    """The rig of a scenario's bridges, which the scenario starts afterwards."""
    site.rig = Rig(tmp_path)
    return site.rig


@pytest_asyncio.fixture
async def three(site: Site) -> OneAccount:
    """Three replicas that share one account."""
    return await OneAccount.of(site, await start(site))


@pytest_asyncio.fixture
async def rigged(site: Site, rig: Rig) -> OneAccount:
    """Three replicas that share one account, and that `rig` can stop."""
    assert site.rig is rig
    return await OneAccount.of(site, await start(site))
