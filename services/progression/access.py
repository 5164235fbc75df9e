"""Whose a character is, and who may do something with it."""

from services.chassis.auth import Principal, Role
from services.chassis.errors import Conflict, NotFound, PermissionDenied
from services.progression.domain.character import Character


def permitted(character: Character | None, character_id: str, caller: Principal) -> Character:
    """The character, for a player only one of its own.

    Raises:
        NotFound: CHARACTER_NOT_FOUND.
        PermissionDenied: CHARACTER_FOREIGN.
    """
    metadata = {"character_id": character_id}
    if character is None:
        raise NotFound("There is no such character.", reason="CHARACTER_NOT_FOUND", metadata=metadata)
    if caller.role is Role.PLAYER and character.player_id != caller.subject:
        raise PermissionDenied(
            "The character belongs to another player.", reason="CHARACTER_FOREIGN", metadata=metadata
        )
    return character


def check_version(character: Character, expected: int | None) -> None:
    """Raises Conflict (STALE_VERSION) when the character is not as the caller knows it. None: it may be."""
    if expected is not None and character.version != expected:
        raise Conflict(
            f"The character is at version {character.version}, not {expected}.",
            reason="STALE_VERSION",
            metadata={"character_id": character.character_id, "version": str(character.version)},
        )
