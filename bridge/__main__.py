"""The entry point of the `bridge` command, also as `python -m bridge`."""

import gc
import sys

from bridge import interrupt
from bridge.unimported import unimported


def main() -> None:
    """Run the command line. Ctrl-C while the modules are being imported ends it like any later Ctrl-C."""
    collect_rarely()
    try:
        # structlog needs rich for coloured tracebacks only, and the log has none. The bridge has no greenlets.
        with unimported("rich"), unimported("greenlet"):
            import structlog  # noqa: F401, PLC0415
        from bridge.cli import main as run  # noqa: PLC0415 -- the import takes most of the start
    except KeyboardInterrupt:
        interrupt.say()
        sys.exit(interrupt.CODE)
    run()


def collect_rarely() -> None:
    """Make the garbage collector run less often.

    Imports create many objects that stay, and relaying creates many that form no cycles. With Python's own thresholds,
    the collector took 8 % of the time of a start, and 6 to 12 % of the CPU time of each event.
    """
    gc.set_threshold(50_000, 20, 50)


if __name__ == "__main__":
    main()
