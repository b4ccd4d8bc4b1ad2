"""The entry point of the `bridge` command, also as `python -m bridge`."""

import sys

from bridge import interrupt


def main() -> None:
    """Run the command line. Ctrl-C while the modules are being imported ends it like any later Ctrl-C."""
    try:
        from bridge.cli import main as run  # noqa: PLC0415 -- the import takes most of the start
    except KeyboardInterrupt:
        interrupt.say()
        sys.exit(interrupt.CODE)
    run()


if __name__ == "__main__":
    main()
