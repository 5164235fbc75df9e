"""`python -m services.mesh.migrations PACKAGE ...`: brings the tables of services up to date, one by one.

As `python -m services.PACKAGE.main migrate` does for one, in one process for all: most of what a migration
takes is Python's start and the imports that services share.
"""

from __future__ import annotations

import argparse
import importlib
import sys


def main() -> int:
    """The first exit code that is not 0."""
    parser = argparse.ArgumentParser(prog="python -m services.mesh.migrations", description=__doc__)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE")
    for package in parser.parse_args().packages:
        code: int = importlib.import_module(f"services.{package}.main").main(["migrate"])
        if code:
            print(f"The migration of {package} failed.", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
