"""`new-key`: makes a key of receipts, and says how it comes into use."""

import argparse
import json

from services.chassis import clock
from services.gamification.keys import SECRET_BYTES, SETTING, encoded
from services.gamification.settings import GamificationSettings

_MATERIAL = {"EdDSA": "d", "HS256": "k"}
_STEPS = f"""\
It is a secret: keep it where {SETTING} is kept, and nowhere else.

1. Add it to {SETTING} of every process as it is, and restart them one after the other. Now all can check what
   it signs.
2. Make it "signing" and the one before it "verify", and restart them one after the other.
3. Give the one before it a "not_after" when its receipts need no longer be checked; take it out after that.

To begin with, when there is no other: make it "signing" at once.
A key that somebody else has seen: do 1 and 2 at once, and make it "revoked". Its receipts count no longer."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alg",
        choices=sorted(_MATERIAL),
        default="EdDSA",
        help="EdDSA: anybody can check; HS256: whoever can check can also sign",
    )
    parser.add_argument(
        "--kid", default="", help="its name in receipts; otherwise one that begins with today"
    )


async def new_key(_: GamificationSettings, *, alg: str, kid: str) -> None:
    """print a new key of receipts, and how to rotate"""
    print(json.dumps(made(alg, kid)), _STEPS, sep="\n\n")


def made(alg: str, kid: str = "") -> dict[str, str]:
    """A key as the setting takes it, to verify with."""
    return {
        "kid": kid or f"{clock.now():%Y-%m-%d}-{clock.secret_bytes(3).hex()}",
        "alg": alg,
        _MATERIAL[alg]: encoded(clock.secret_bytes(SECRET_BYTES)),
        "state": "verify",
    }
