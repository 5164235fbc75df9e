"""What a bot carries: rounds, reloads, cooldowns, as far as the client can know them."""

from __future__ import annotations

import math
from random import Random

from arenamesh.bots.arsenal import Ability, Arsenal, Weapon
from arenamesh.combat.v1 import verdict_pb2

# Shots leave on the bot's own beat; the mesh counts the interval from arrival to arrival.
_INTERVAL_CAUTION_S = 0.008
_RETRY_S = 1.0


class Holster:
    """Rounds and cooldowns of one life."""

    def __init__(self, arsenal: Arsenal, random: Random) -> None:
        self._arsenal = arsenal
        # Taste: every bot likes some weapons more than their figures say.
        self._taste = [random.uniform(0.6, 1.6) for _ in arsenal.weapons]
        self.refill(0.0)

    def refill(self, now: float) -> None:
        """A new life."""
        self._rounds = [weapon.magazine or math.inf for weapon in self._arsenal.weapons]
        self._ready = [now] * len(self._arsenal.weapons)
        self._ability_ready = [now] * len(self._arsenal.abilities)
        self._resource = self._arsenal.resource
        self._resource_at = now

    # -- weapons ------------------------------------------------------------------------------

    def best(self, distance: float, now: float) -> Weapon | None:
        """The weapon worth most at a distance, of those that can fire before long."""
        best, best_worth = None, 0.0
        for weapon in self._arsenal.weapons:
            if weapon.heals or self._ready[weapon.number] > now + max(0.3, weapon.interval_s):
                continue
            worth = weapon.worth_at(distance) * self._taste[weapon.number]
            if worth > best_worth:
                best, best_worth = weapon, worth
        return best

    def ready(self, weapon: Weapon, now: float) -> bool:
        return now >= self._ready[weapon.number]

    def fired(self, weapon: Weapon, now: float) -> None:
        self._ready[weapon.number] = now + weapon.interval_s + _INTERVAL_CAUTION_S
        self._rounds[weapon.number] -= 1
        if self._rounds[weapon.number] <= 0:
            self._reloads(weapon, now)

    def answered(self, weapon: Weapon, verdict: verdict_pb2.Verdict, now: float) -> None:
        """What the mesh says about the rounds is what counts."""
        if verdict.outcome == verdict_pb2.OUTCOME_ACCEPTED:
            if weapon.magazine and verdict.ammo == 0:
                self._reloads(weapon, now)
            elif weapon.magazine:
                self._rounds[weapon.number] = verdict.ammo
        elif verdict.reason == verdict_pb2.REASON_RELOADING:
            self._ready[weapon.number] = max(self._ready[weapon.number], now + 0.3)
        elif verdict.reason == verdict_pb2.REASON_NO_AMMO:
            self._ready[weapon.number] = math.inf  # until the next life

    def _reloads(self, weapon: Weapon, now: float) -> None:
        self._ready[weapon.number] = max(self._ready[weapon.number], now + weapon.reload_s)
        self._rounds[weapon.number] = weapon.magazine

    # -- abilities ----------------------------------------------------------------------------

    def usable(self, ability: Ability | None, now: float) -> bool:
        if ability is None or now < self._ability_ready[ability.number]:
            return False
        gained = (now - self._resource_at) * self._arsenal.resource_per_s
        return min(self._arsenal.resource, self._resource + gained) >= ability.cost

    def used(self, ability: Ability, now: float) -> None:
        gained = (now - self._resource_at) * self._arsenal.resource_per_s
        self._resource = min(self._arsenal.resource, self._resource + gained) - ability.cost
        self._resource_at = now
        self._ability_ready[ability.number] = now + max(ability.cooldown_s, _RETRY_S)
