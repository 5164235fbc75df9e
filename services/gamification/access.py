"""Who may do something for whom, and what a player may not know of."""

import re

from arenamesh.gamification.v1 import achievement_pb2

from services.chassis.auth import Principal, Role
from services.chassis.errors import InvalidArgument, PermissionDenied
from services.gamification.domain.player import Player

ME = "me"
_USER = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")


def user_of(asked: str, caller: Principal, field: str = "user_id") -> str:
    """The user that a request is about; empty or `me`: the caller.

    Raises:
        PermissionDenied: USER_FOREIGN, a player asks about another one.
        InvalidArgument: the caller's subject cannot be a user's id.
    """
    user_id = caller.subject if asked in ("", ME) else asked
    if caller.role is Role.PLAYER and user_id != caller.subject:
        raise PermissionDenied(
            "A player may only name itself.", reason="USER_FOREIGN", metadata={"user_id": user_id}
        )
    if not _USER.fullmatch(user_id):
        raise InvalidArgument.of(field, f"must match {_USER.pattern}; so must a token's subject")
    return user_id


def staff(caller: Principal, field: str) -> None:
    """Raises PermissionDenied (NOT_FOR_PLAYERS) when a player asks for what is not theirs to see."""
    if caller.role is Role.PLAYER:
        raise PermissionDenied(
            f"{field} is not for players.", reason="NOT_FOR_PLAYERS", metadata={"field": field}
        )


def hides(achievement: achievement_pb2.Achievement | None, player: Player | None) -> bool:
    """Whether it does not exist for this player. `player` None: the caller is none, and sees everything."""
    if achievement is None:
        return True
    if player is None or achievement.type != achievement_pb2.ACHIEVEMENT_TYPE_SECRET:
        return False
    progress = player.achievements.get(achievement.id)
    return progress is None or progress.completions == 0
