"""Prints a token signed with JWT_SECRET, or with the development secret. Behind scripts/token."""

from __future__ import annotations

import argparse
import os
import re
import sys

from services.chassis import auth
from services.mesh.errors import StartError
from services.mesh.settings import from_environment

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/token")
    parser.add_argument("--role", choices=[role.value for role in auth.Role], default="player")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--ttl", type=seconds, default=seconds("1h"))
    arguments = parser.parse_args()
    try:
        secret = from_environment(os.environ)["jwt_secret"]
    except StartError as error:
        print(error.message, error.hint, file=sys.stderr)
        return 1
    role = auth.Role(arguments.role)
    print(auth.mint(secret, subject=arguments.subject, role=role, lifetime_s=arguments.ttl))
    return 0


def seconds(text: str) -> int:
    """`90`, `90s`, `15m`, `12h` or `7d`."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError("a time is a number with s, m, h or d: 90s, 15m, 12h, 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


if __name__ == "__main__":
    sys.exit(main())
