from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

import bridge

ROOT = Path(bridge.__file__).parent

# Which package or module may import which; what is not named here may not be imported.
EVERYTHING = frozenset({"*"})
SHARED = frozenset({"errors", "futures", "observability", "pacing", "tls"})
LAYERS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "disk": frozenset(),
    "futures": frozenset(),
    "pacing": frozenset(),
    "interrupt": frozenset(),
    "tls": frozenset(),
    "unimported": frozenset(),
    "simulator": frozenset(),
    "observability": frozenset({"errors"}),
    "settings": SHARED,
    "cometd": SHARED,
    "events": SHARED,
    "contract": frozenset({"events"}),
    "webservices": SHARED | {"cometd", "settings"},
    "delivery": SHARED | {"events", "settings"},
    "registry": SHARED | {"events", "settings", "delivery"},
    "privacy": SHARED | {"settings"},
    "fleet": SHARED | {"delivery", "settings"},
    "relay": SHARED | {"disk", "cometd", "webservices", "events", "delivery", "privacy"},
    "operations": SHARED | {"events", "webservices", "delivery", "privacy"},
    "evidence": SHARED | {"disk", "events", "delivery", "privacy", "settings"},
    "requests": SHARED | {"delivery", "events", "operations", "privacy", "settings", "webservices"},
    "http": SHARED | {"operations", "settings", "contract", "privacy", "unimported"},
    "account": EVERYTHING,
    "accounts": EVERYTHING,
    "incidents": SHARED | {"delivery", "events", "http", "settings"},
    "status": EVERYTHING,
    "app": EVERYTHING,
    "commands": EVERYTHING,
    "cli": EVERYTHING,
    "__main__": frozenset({"cli", "interrupt", "unimported"}),
    "__init__": frozenset(),
}


class Import(NamedTuple):
    """One imported name: of `from bridge.delivery import Publisher` the module is (delivery,), the name Publisher."""

    module: tuple[str, ...]
    name: str | None


def imports(source: str, module: tuple[str, ...], *, is_package: bool) -> list[Import]:
    """Every import of the project's own modules, those for type checkers too."""
    found = []
    here = ("bridge", *module) if is_package else ("bridge", *module[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(tuple(alias.name.split(".")), None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) - node.level + 1] if node.level else ()
            target = (*start, *(node.module or "").split(".")) if node.module else start
            found += [Import(target, alias.name) for alias in node.names]
    return [Import(one.module[1:], one.name) for one in found if one.module[0] == "bridge"]


def violations(source: str, module: tuple[str, ...], *, is_package: bool = False) -> list[str]:
    """What in the module breaks the rules; `module` is its path under bridge, () for bridge itself."""
    unit = module[0] if module else "__init__"
    if unit not in LAYERS:
        return [f"{unit} has no place in LAYERS: say what it may import"]
    found = []
    for path, name in imports(source, module, is_package=is_package):
        inside = path or ((name,) if name and exists((name,)) else ())  # from bridge import errors
        if not inside or inside[0] == unit:
            continue
        if LAYERS[unit] != EVERYTHING and inside[0] not in LAYERS[unit]:
            found.append(f"{unit} may not import {inside[0]}")
        elif len(inside) > 1 or (path and name and exists((*path, name)) and name not in exported(path)):
            found.append(f"{unit} reaches past {inside[0]}/__init__.py")
    return found


def exists(path: tuple[str, ...]) -> bool:
    place = ROOT.joinpath(*path)
    return place.with_suffix(".py").exists() or place.is_dir()


def exported(path: tuple[str, ...]) -> set[str]:
    package = ROOT.joinpath(*path, "__init__.py")
    for node in ast.parse(package.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def parts(path: Path) -> tuple[str, ...]:
    module = path.relative_to(ROOT).with_suffix("").parts
    return module[:-1] if module[-1] == "__init__" else module


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_layers(path: Path) -> None:
    """Each module imports only what its layer may know, and other packages only by their public names."""
    source = path.read_text(encoding="utf-8")
    assert violations(source, parts(path), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        (("cometd", "x"), "from bridge.events import Record", "cometd may not import events"),
        (("cometd", "x"), "import bridge.webservices", "cometd may not import webservices"),
        (("cometd", "x"), "def f():\n  from bridge import delivery", "cometd may not import delivery"),
        (("events", "x"), "if TYPE_CHECKING:\n  from bridge.delivery import P", "events may not import delivery"),
        (("events", "x"), "from ..cometd import Batch", "events may not import cometd"),
        (("simulator", "x"), "from bridge.errors import BridgeError", "simulator may not import errors"),
        (("operations", "x"), "from bridge.settings import Operations", "operations may not import settings"),
        (("http", "x"), "from bridge.webservices import Client", "http may not import webservices"),
        (("observability", "x"), "from bridge.settings import Log", "observability may not import settings"),
        (("relay", "x"), "from bridge.delivery.position.position import P", "relay reaches past delivery/__init__.py"),
        (("relay", "x"), "from bridge.delivery import position", "relay reaches past delivery/__init__.py"),
        (("app",), "import bridge.delivery.position.position", "app reaches past delivery/__init__.py"),
        (("unheard",), "", "unheard has no place in LAYERS: say what it may import"),
    ],
)
def test_rules_are_enforced(module: tuple[str, ...], source: str, expected: str) -> None:
    """Each way of importing what is not allowed is found."""
    assert violations(source, module) == [expected]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (("delivery", "kafka"), "from bridge.delivery.position.position import Position"),
        (("delivery", "reader"), "from .position import Position\nfrom . import publisher"),
        (("relay", "x"), "from bridge.cometd import Batch\nfrom bridge.errors import Fenced\nimport asyncio"),
        (("cli",), "from bridge import __version__, settings"),
    ],
)
def test_rules_allow_what_is_meant(module: tuple[str, ...], source: str) -> None:
    """Imports within a package, of public names and of lower layers are fine."""
    assert violations(source, module) == []
