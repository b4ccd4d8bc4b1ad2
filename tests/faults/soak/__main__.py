"""The command line. The exit status is 1 when anything is wrong."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.soak.fleet import soak_fleet
from tests.faults.soak.single import soak
from tests.faults.soak.surroundings import console
from tests.real import real_parts


def main() -> None:
    """Read the command line, run, and exit with 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description="Random faults under a steady load.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--replicas", type=int, default=1, help="1: one bridge; more: a fleet")
    parser.add_argument("--accounts", type=int, default=12, help="of a fleet; one bridge has one")
    arguments = parser.parse_args()
    missing = real_parts()
    if missing is not None:
        sys.exit(missing)
    console.print(f"seed {arguments.seed}, {arguments.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="bridge-soak-") as directory:
        place = Path(directory)
        if arguments.replicas > 1:
            run = soak_fleet(arguments.minutes, arguments.seed, place, arguments.replicas, arguments.accounts)
        else:
            run = soak(arguments.minutes, arguments.seed, place)
        faults = asyncio.run(run)
    for fault in faults:
        console.print(f"WRONG: {fault}", markup=False)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
