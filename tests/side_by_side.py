"""How the suite shares its tests between processes (pytest-xdist); a plugin of tests/conftest.py.

Most tests wait: for a server that starts, for an outage that lasts, for a time-out. So the suite runs several tests on
each processor. `scripts/test` asks for it with `-n auto`; `pytest` without `-n` runs in one process.
"""

import os

import pytest

_WORKERS_PER_PROCESSOR = 3
_MOST_WORKERS = 8
"""Each worker may start, for a test, a Kafka of its own, a CometD server and a bridge: about 1 GiB together."""
_UNIT_TESTS = "tests/unit"
"""The folder whose tests wait less: two workers a processor."""
_FIRST = ["faults", "behaviour", "integration", "fuzz", "injection"]
"""The folders whose tests begin first, the longest tests at the front: short tests fill the gaps at the end."""
_LONGEST = ["test_memory.py"]
"""The files with tests of minutes, which begin before all others."""
_SHARED = ["real_registry", "kafka_behind_proxy"]
"""Servers that one worker starts for all tests that use them. All workers use the same `real_kafka`."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers that `-n auto` starts: none where the command line picks out a few tests."""
    if config.option.keyword or any(".py" in argument for argument in config.args):
        return 0
    processors = os.cpu_count() or 1
    if all(argument.rstrip("/") == _UNIT_TESTS for argument in config.args):
        return 2 * processors
    return min(_WORKERS_PER_PROCESSOR * processors, _MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: put the longest tests first, and name the group of each test that shares something costly."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=_order)
    for item in items:
        if group := _group(item):
            _put_into(group, item)


def _order(item: pytest.Item) -> int:
    if item.path.name in _LONGEST:
        return -1
    return _FIRST.index(_folder(item)) if _folder(item) in _FIRST else len(_FIRST)


def _put_into(group: str, item: pytest.Item) -> None:
    """Name the group at the end of the test's id, where `--dist loadgroup` looks for it.

    pytest-xdist 3.8 would do so for the mark `xdist_group`, but not where pytest 9.2 keeps the id.
    """
    item._id = type(item._id).parse(f"{item.nodeid}@{group}")
    assert item.nodeid.endswith(f"@{group}")


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]


def _group(item: pytest.Item) -> str | None:
    fixtures = getattr(item, "fixturenames", [])
    for server in _SHARED:
        if server in fixtures:
            return server
    return item.path.name if _shares_with_its_file(item) else None


def _shares_with_its_file(item: pytest.Item) -> bool:
    """Whether the test uses a fixture that is made once for its file."""
    known = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
    return any(fixture.scope in {"class", "module"} for fixtures in known.values() for fixture in fixtures)
