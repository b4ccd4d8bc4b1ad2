"""What `bridge check` says of the state directory."""

import os
from pathlib import Path

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.state_dir import check_state_dir


async def findings(directory: Path | None) -> list[Finding]:
    return [finding async for finding in check_state_dir(directory)]


async def test_a_state_directory_that_everybody_may_write_is_told(tmp_path: Path) -> None:
    """A directory open to all users of the machine is a warning; one that a group shares, as in containers, is fine."""
    for mode, outcome in (
        (0o777, Outcome.WARNING),
        (0o1777, Outcome.WARNING),
        (0o2770, Outcome.OK),
        (0o700, Outcome.OK),
    ):
        os.chmod(tmp_path, mode)  # noqa: PTH101 -- at once
        [finding] = await findings(tmp_path)
        assert finding.outcome is outcome, oct(mode)


async def test_the_state_directory_is_looked_at(tmp_path: Path) -> None:
    """A directory that can be written, or made, is ok; one that can't is a failure that names the variable."""
    assert await findings(None) == []
    for directory in (tmp_path, tmp_path / "new" / "state"):
        [finding] = await findings(directory)
        assert finding.outcome is Outcome.OK
    (tmp_path / "file").touch()
    [finding] = await findings(tmp_path / "file")
    assert finding.outcome is Outcome.FAILED
    assert "BRIDGE_STATE_DIR" in finding.text
