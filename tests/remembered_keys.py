"""Derives each root key once in a test process; a plugin of tests/conftest.py.

Most tests start with the same passwords and accounts, and scrypt is made to take 0.1 s.
"""

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bridge.delivery.position import keys


class RememberingScrypt:
    """As `Scrypt`: the key depends on the parameters and the password, and on nothing else."""

    def __init__(self, **parameters: Any) -> None:
        self._parameters = parameters

    def derive(self, password: bytes) -> bytes:
        return _derived(password, **self._parameters)


@functools.cache
def _derived(password: bytes, **parameters: Any) -> bytes:
    return Scrypt(**parameters).derive(password)


@pytest.fixture(scope="session", autouse=True)
def _remembered_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "Scrypt", RememberingScrypt)
        yield
