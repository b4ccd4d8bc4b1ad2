"""The commands, each in its own module. `bridge.cli` reads their arguments.

The module of a command is imported only when the command runs. Without this rule `bridge health`, which runs every few
seconds, would spend most of its time on imports.
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
    from bridge.commands.preparing.plan import plan_of
    from bridge.commands.preparing.settings_file import write_settings_file
    from bridge.commands.remote.client import RunningBridge
    from bridge.commands.remote.operations import list_operations, show_operation
    from bridge.commands.remote.sessions import list_sessions
    from bridge.commands.run import run_bridge
    from bridge.commands.schemas import check_schemas, list_schemas, show_schema, write_models
    from bridge.commands.simulate import read_faults, run_simulator
    from bridge.commands.tail import TailOptions, read_since, run_tail

__all__ = [
    "ExportOptions",
    "MarkOptions",
    "RunningBridge",
    "TailOptions",
    "archive_evidence",
    "ask_health",
    "check_schemas",
    "export_evidence",
    "list_dead_letters",
    "list_operations",
    "list_schemas",
    "list_sessions",
    "plan_of",
    "read_faults",
    "read_since",
    "run_bridge",
    "run_check",
    "run_demo",
    "run_mark",
    "run_simulator",
    "run_tail",
    "show_key",
    "show_operation",
    "show_schema",
    "verify_evidence",
    "write_models",
    "write_settings_file",
]

_MODULES = {
    "ExportOptions": "evidence.export",
    "MarkOptions": "mark.options",
    "RunningBridge": "remote.client",
    "TailOptions": "tail",
    "archive_evidence": "evidence.archive",
    "ask_health": "health",
    "check_schemas": "schemas",
    "export_evidence": "evidence.export",
    "list_dead_letters": "dead_letters",
    "list_operations": "remote.operations",
    "list_schemas": "schemas",
    "list_sessions": "remote.sessions",
    "plan_of": "preparing.plan",
    "read_faults": "simulate",
    "read_since": "tail",
    "run_bridge": "run",
    "run_check": "check",
    "run_demo": "demo.run",
    "run_mark": "mark.run",
    "run_simulator": "simulate",
    "run_tail": "tail",
    "show_key": "evidence.archive",
    "show_operation": "remote.operations",
    "show_schema": "schemas",
    "verify_evidence": "evidence.verify",
    "write_models": "schemas",
    "write_settings_file": "preparing.settings_file",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
