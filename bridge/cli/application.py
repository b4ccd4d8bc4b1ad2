"""The base of the command line: handles the bridge's errors, and shows options in the help texts."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from bridge import interrupt
from bridge.errors import BridgeError, SettingsError, UnusableInput
from bridge.observability import printable

Function = TypeVar("Function", bound=Callable[..., Any])
FAILED = 1
WRONG_SETTINGS = 2


def _without_type(options: Any) -> Any:
    """Remove the type `<bool>` from the help text of flags, because a flag takes no value."""
    for option in options:
        if getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
    return options


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_type(super().get_params(ctx))


class Commands(TyperGroup):
    """A group of commands that prints the text of a `BridgeError` to standard error and exits with the right code."""

    def get_params(self, ctx: Any) -> Any:
        """Return the arguments and options."""
        return _without_type(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command and handle its errors."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for fault in error.faults:
                typer.echo(_lines(fault), err=True)
            raise typer.Exit(WRONG_SETTINGS) from None
        except KeyboardInterrupt as error:
            interrupt.say(*([_lines(str(error))] if error.args else []))
            raise typer.Exit(interrupt.CODE) from None
        except BridgeError as error:
            typer.echo(_lines(str(error)), err=True)
            raise typer.Exit(WRONG_SETTINGS if isinstance(error, UnusableInput) else FAILED) from None


class Application(typer.Typer):
    """A group of commands. `-h` shows the help text, as `--help` does."""

    def __init__(self, name: str, text: str, **options: Any) -> None:
        super().__init__(
            cls=Commands,
            name=name,
            help=text,
            no_args_is_help=True,
            context_settings={"help_option_names": ["-h", "--help"]},
            # Pretty exceptions are off, because they would print local variables, which may contain secrets.
            pretty_exceptions_enable=False,
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """Add a command."""
        return super().command(name, cls=Command, **options)


def _lines(text: str) -> str:
    """Escape control characters in each line of an error's text, because the text may quote a server."""
    return "\n".join(map(printable, text.split("\n")))
