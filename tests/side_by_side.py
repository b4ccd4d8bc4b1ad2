"""How the suite shares its tests between processes (pytest-xdist); a plugin of tests/conftest.py.

Most tests wait: for a server that starts, for an outage that lasts, for a time-out. So the suite runs several tests on
each processor. `scripts/test` asks for it with `-n auto`; `pytest` without `-n` runs in one process.
"""

import os

import pytest

_WORKERS_PER_PROCESSOR = 3
_MOST_WORKERS = 8
"""Each worker may start a Kafka of its own and, for a test, a CometD server and a bridge: about 1 GiB together."""
_UNIT_TESTS = "tests/unit"
"""The folder whose tests mostly compute: one worker a processor, and one more for those that wait."""
_FIRST = ["faults", "behaviour", "integration", "fuzz", "injection"]
"""The folders whose tests begin first, the longest tests at the front: short tests fill the gaps at the end."""
_SINGLE = {"faults", "behaviour", "fuzz"}
"""Folders whose tests run one by one on any worker. In the other folders the tests of a file share its fixtures."""
_SHARED = ["real_registry", "kafka_behind_proxy"]
"""Servers that one worker starts for all tests that use them. A `real_kafka` is started by each worker."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers that `-n auto` starts: none where the command line picks out a few tests."""
    if config.option.keyword or any(".py" in argument for argument in config.args):
        return 0
    processors = os.cpu_count() or 1
    if all(argument.rstrip("/") == _UNIT_TESTS for argument in config.args):
        return processors + 1
    return min(_WORKERS_PER_PROCESSOR * processors, _MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: put the longest tests first, and name the group of each test that shares something costly."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: _FIRST.index(_folder(item)) if _folder(item) in _FIRST else len(_FIRST))
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]


def _group(item: pytest.Item) -> str | None:
    fixtures = getattr(item, "fixturenames", [])
    for server in _SHARED:
        if server in fixtures:
            return server
    return None if _folder(item) in _SINGLE else item.path.name
