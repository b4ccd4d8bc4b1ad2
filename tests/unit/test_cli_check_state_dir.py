"""What `bridge check` says of the state directory."""

from pathlib import Path

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.state_dir import check_state_dir


async def findings(directory: Path | None) -> list[Finding]:
    return [finding async for finding in check_state_dir(directory)]


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
