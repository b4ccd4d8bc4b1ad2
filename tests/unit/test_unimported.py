"""A module that is kept from being imported."""

import importlib
import sys

import pytest

from bridge.unimported import unimported

MODULE = "this"


def test_an_import_fails_inside_and_works_afterwards() -> None:
    """The import of the module raises ImportError inside the block, as if it were not installed, and works after it."""
    sys.modules.pop(MODULE, None)
    with unimported(MODULE), pytest.raises(ImportError):
        importlib.import_module(MODULE)
    assert importlib.import_module(MODULE) is sys.modules[MODULE]


def test_an_imported_module_stays() -> None:
    """A module that has been imported before can be imported inside the block."""
    with unimported("json"):
        assert importlib.import_module("json") is sys.modules["json"]
