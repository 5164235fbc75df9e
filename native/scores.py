"""What `native.tally` tells about players: names and units are those of PlayerStats in the contract."""

from __future__ import annotations

from typing import TypedDict


class WeaponTally(TypedDict):
    weapon: int
    """Index in the ruleset."""
    shots: int
    hits: int
    kills: int


class RegionTally(TypedDict):
    region: int
    """Region of the contract; 0 for a blast that met nothing in particular."""
    hits: int


class PlayerTally(TypedDict):
    """Of one player, in all seats it ever had."""

    player_id: str
    slot: int
    """The last seat."""
    team: int
    """The last one, from 0; 0 in a mode without teams."""
    seated: bool
    kills: int
    """Of enemies."""
    deaths: int
    """By anybody."""
    assists: int
    damage_dealt_milli: int
    """Health that others lost; what armour and shields took is not in it. As in `Arena.results`."""
    damage_taken_milli: int
    """Health lost, by one's own doing too."""
    healed_milli: int
    """Health given to anybody, oneself included."""
    shots: int
    """Accepted ones."""
    hits: int
    """Shots by which somebody else lost health, armour or shield: at most one a shot, whatever it threw."""
    headshots: int
    """Those of them that met a head."""
    snap_hits: int
    """Those that were turned by more than 45 degrees from where the player looked at most 100 ms before; of
    missiles none."""
    longest_kill_mm: int
    streak: int
    """Kills since the last death, or since the seat was taken."""
    best_streak: int
    time_alive_us: int
    """On the session clock, from spawn to death, leave or the end, by the times of the records."""
    movement_violations: int
    """Moves corrected, and moves rejected while the player was alive and not stunned."""
    moved_mm: int
    """Along accepted moves, each to the nearest millimetre."""
    clamped_rewinds: int
    """Shots whose claimed view was moved by a bound."""
    rewind_bins: list[int]
    """Shots by how far back they looked, in bins of 1 ms; the 512th holds all further ones. Without the empty
    ones at the end."""
    rewind_p50_us: int
    """The bin of the nearest rank, from its lower end."""
    rewind_p99_us: int
    weapons: list[WeaponTally]
    """Those used, in rising order; likewise below."""
    regions: list[RegionTally]
    """Everybody else that shots struck, by where; one shot may strike many."""
