"""Keeps a library from importing a module that it can do without and that the bridge never uses."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unimported(name: str) -> Iterator[None]:
    """Make each import of the module `name` raise ImportError, as if it were not installed.

    If the module has been imported before, it stays importable. Use this only for imports that the library treats as
    optional.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # None makes the import raise
    try:
        yield
    finally:
        del sys.modules[name]
