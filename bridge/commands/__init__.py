"""The commands, one module each; `bridge.cli` reads their arguments."""

from bridge.commands.check import run_check
from bridge.commands.dead_letters import list_dead_letters
from bridge.commands.demo import run_demo
from bridge.commands.run import run_bridge
from bridge.commands.schemas import check_schemas, list_schemas, show_schema, write_models
from bridge.commands.simulate import read_faults, run_simulator
from bridge.commands.tail import run_tail
from bridge.errors import CommandFailed

__all__ = [
    "CommandFailed",
    "check_schemas",
    "list_dead_letters",
    "list_schemas",
    "read_faults",
    "run_bridge",
    "run_check",
    "run_demo",
    "run_simulator",
    "run_tail",
    "show_schema",
    "write_models",
]
