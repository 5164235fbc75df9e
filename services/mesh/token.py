"""Prints a token signed with JWT_SECRET, or with the development secret; or what signs events from outside.
Behind scripts/token."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping

from services.chassis import auth
from services.ingest import keys
from services.mesh.errors import StartError
from services.mesh.settings import from_environment

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/token")
    parser.add_argument("--role", choices=[role.value for role in auth.Role], default="player")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--subject")
    wanted.add_argument("--hmac-secret", action="store_true")
    parser.add_argument("--ttl", type=seconds, default=seconds("1h"))
    arguments = parser.parse_args()
    try:
        settings = from_environment(os.environ)
        if arguments.hmac_secret:
            print(hmac_secret(os.environ, settings["environment"]))
        else:
            role, secret = auth.Role(arguments.role), settings["jwt_secret"]
            print(auth.mint(secret, subject=arguments.subject, role=role, lifetime_s=arguments.ttl))
    except StartError as error:
        print(error.message, error.hint, file=sys.stderr)
        return 1
    return 0


def hmac_secret(environment: Mapping[str, str], kind: str) -> str:
    """Of the producer `default` of ingest.

    Raises:
        StartError: production has none of its own.
    """
    secret = environment.get(keys.SECRET_SETTING, "")
    if not secret and kind != "development":
        raise StartError(f"{keys.SECRET_SETTING} is not set.", "Only development has a secret of its own.")
    return secret or keys.DEVELOPMENT_SECRET


def seconds(text: str) -> int:
    """`90`, `90s`, `15m`, `12h` or `7d`."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError("a time is a number with s, m, h or d: 90s, 15m, 12h, 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


if __name__ == "__main__":
    sys.exit(main())
