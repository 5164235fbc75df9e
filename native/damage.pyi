"""What a hit costs, in a fixed order, in integers: 1/1000 points, factors in 1/65536.

Armour and falloff are given as in a ruleset document; the dictionaries are described in
native/reference/damage.py. All raise ValueError for rules that are none, OverflowError for a number that
does not fit its C type.
"""

from native.reference.damage import Body, Rules, Strike, Wound

def apply(armour: Rules, strike: Strike, body: Body) -> tuple[Wound, Body]:
    """What the strike costs, and the body after it."""

def heal(body: Body, amount_milli: int) -> tuple[int, Body]:
    """What was really restored, and the body after it."""

def falloff(document: Rules, distance_m: float) -> float:
    """The factor at a distance."""

def scaled(milli: int, factor_q16: int) -> int:
    """milli x factor / 65536, rounded half away from zero, saturating at 64 bits."""

def blast_share_q16(edge_q16: int, share: float) -> int:
    """Share of a blast at `share` (0..1) of its radius: linear from 65536 to `edge_q16`."""

def kept_share_q16(kept_q16: int, passed: int) -> int:
    """Share of a ray that has gone through `passed` targets, keeping `kept_q16` at each."""

def is_critical(chance_q32: int, draw: int) -> bool:
    """Do 32 random bits make a critical hit at this chance (of 2^32)?"""
