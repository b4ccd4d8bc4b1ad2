"""The commands, each in its own module. `bridge.cli` reads their arguments.

The module of a command is imported only when the command runs. Otherwise `bridge health`, which runs every few
seconds, would spend most of its time on importing the whole bridge.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.commands.check import run_check
    from bridge.commands.dead_letters import list_dead_letters
    from bridge.commands.demo.run import run_demo
    from bridge.commands.evidence.archive import archive_evidence, show_key
    from bridge.commands.evidence.export import ExportOptions, export_evidence
    from bridge.commands.evidence.verify import verify_evidence
    from bridge.commands.health import ask_health
    from bridge.commands.mark.options import MarkOptions
    from bridge.commands.mark.run import run_mark
    from bridge.commands.run import run_bridge
    from bridge.commands.schemas import check_schemas, list_schemas, show_schema, write_models
    from bridge.commands.simulate import read_faults, run_simulator
    from bridge.commands.tail import TailOptions, read_since, run_tail

__all__ = [
    "ExportOptions",
    "MarkOptions",
    "TailOptions",
    "archive_evidence",
    "ask_health",
    "check_schemas",
    "export_evidence",
    "list_dead_letters",
    "list_schemas",
    "read_faults",
    "read_since",
    "run_bridge",
    "run_check",
    "run_demo",
    "run_mark",
    "run_simulator",
    "run_tail",
    "show_key",
    "show_schema",
    "verify_evidence",
    "write_models",
]

_MODULES = {
    "ExportOptions": "evidence.export",
    "MarkOptions": "mark.options",
    "TailOptions": "tail",
    "archive_evidence": "evidence.archive",
    "ask_health": "health",
    "check_schemas": "schemas",
    "export_evidence": "evidence.export",
    "list_dead_letters": "dead_letters",
    "list_schemas": "schemas",
    "read_faults": "simulate",
    "read_since": "tail",
    "run_bridge": "run",
    "run_check": "check",
    "run_demo": "demo.run",
    "run_mark": "mark.run",
    "run_simulator": "simulate",
    "run_tail": "tail",
    "show_key": "evidence.archive",
    "show_schema": "schemas",
    "verify_evidence": "evidence.verify",
    "write_models": "schemas",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
