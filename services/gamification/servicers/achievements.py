"""AchievementService between the contract and the domain: only translation."""

from collections.abc import Iterable
from datetime import datetime

from arenamesh.gamification.v1 import achievement_pb2, achievement_service_pb2

from services.chassis import clock, paging
from services.chassis.auth import Principal, Role, principal
from services.chassis.errors import InvalidArgument
from services.chassis.method import Context
from services.chassis.times import to_time
from services.gamification import translate_out
from services.gamification.access import hides, staff, user_of
from services.gamification.commands import Asked, Commands
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions import Writing, not_found
from services.gamification.definitions_store import Definitions
from services.gamification.domain.observation import Observation
from services.gamification.domain.player import AchievementProgress, Draft, Player
from services.gamification.players import Players
from services.gamification.queries import MAX_PAGE
from services.gamification.shelf import Shelf


class AchievementServicer:
    """Every RPC of the service. For players, what is secret does not exist before they have it: whatever is
    asked is answered as if there were no such id."""

    def __init__(
        self,
        definitions: Definitions,
        writing: DefinitionCommands,
        commands: Commands,
        players: Players,
    ) -> None:
        self._definitions = definitions
        self._writing = writing
        self._commands = commands
        self._players = players

    # -- definitions ------------------------------------------------------------------------------

    async def CreateAchievement(
        self, request: achievement_service_pb2.CreateAchievementRequest, context: Context
    ) -> achievement_service_pb2.CreateAchievementResponse:
        asked = Asked.of(request, context)
        message = _copy(request.achievement)
        message.id = message.id or clock.new_id()

        def answer(shelf: Shelf) -> bytes:
            shown = translate_out.achievement(shelf, shelf.achievements[message.id])
            return achievement_service_pb2.CreateAchievementResponse(achievement=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.achievement(_copy(message))

        stored = await self._writing.write(asked.key, rule, answer)
        return achievement_service_pb2.CreateAchievementResponse.FromString(stored)

    async def UpdateAchievement(
        self, request: achievement_service_pb2.UpdateAchievementRequest, context: Context
    ) -> achievement_service_pb2.UpdateAchievementResponse:
        asked = Asked.of(request, context)

        def answer(shelf: Shelf) -> bytes:
            shown = translate_out.achievement(shelf, shelf.achievements[request.achievement.id])
            return achievement_service_pb2.UpdateAchievementResponse(achievement=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.update_achievement(
                _copy(request.achievement), request.expected_version, bring_over=request.bring_over
            )

        stored = await self._writing.write(asked.key, rule, answer)
        return achievement_service_pb2.UpdateAchievementResponse.FromString(stored)

    async def ListAchievements(
        self, request: achievement_service_pb2.ListAchievementsRequest, _context: Context
    ) -> achievement_service_pb2.ListAchievementsResponse:
        caller = principal()
        if request.include_disabled:
            staff(caller, "include_disabled")
        query = f"achievements {request.type} {request.category} {request.include_disabled} {caller.role}"
        size = paging.size(request.page_size, MAX_PAGE)
        last = paging.decode(request.page_token, query, fields=1)
        shelf, viewer = await self._definitions.current(), await self._viewer(caller)
        found = [
            each
            for each in shelf.achievements.values()
            if (last is None or each.id > last[0])
            and (each.is_enabled or request.include_disabled)
            and request.type in (0, each.type)
            and request.category in (0, each.category)
            and not hides(each, viewer)
        ]
        page = found[:size]
        return achievement_service_pb2.ListAchievementsResponse(
            achievements=[translate_out.achievement(shelf, each) for each in page],
            next_page_token=paging.encode([page[-1].id], query) if len(found) > size else "",
        )

    async def GetAchievement(
        self, request: achievement_service_pb2.GetAchievementRequest, _context: Context
    ) -> achievement_service_pb2.GetAchievementResponse:
        shelf, viewer = await self._definitions.current(), await self._viewer(principal())
        found = _visible(shelf, request.id, viewer)
        return achievement_service_pb2.GetAchievementResponse(
            achievement=translate_out.achievement(shelf, found)
        )

    # -- progress ---------------------------------------------------------------------------------

    async def UpdateAchievementProgress(
        self, request: achievement_service_pb2.UpdateAchievementProgressRequest, context: Context
    ) -> achievement_service_pb2.UpdateAchievementProgressResponse:
        asked = Asked.of(request, context)
        if not request.metrics and not request.checkpoint:
            raise InvalidArgument.of("metrics", "must be given, or else checkpoint")
        at = clock.now()
        if request.HasField("occurred_at"):
            at = to_time(request.occurred_at, "occurred_at")
        user_id = user_of(request.user_id, asked.caller)
        observations = [
            Observation(metric, value, "", at, f"{asked.caller.subject}/{asked.id}", asked.cause)
            for metric, value in sorted(request.metrics.items())
        ]
        stored = await self._commands.progress(
            request.id, user_id, observations, asked, look=request.checkpoint
        )
        return achievement_service_pb2.UpdateAchievementProgressResponse.FromString(stored)

    async def GetAchievementProgress(
        self, request: achievement_service_pb2.GetAchievementProgressRequest, _context: Context
    ) -> achievement_service_pb2.GetAchievementProgressResponse:
        caller = principal()
        user_id = user_of(request.user_id, caller)
        shelf, player = await self._definitions.current(), await self._players.player(user_id)
        found = _visible(shelf, request.id, player if caller.role is Role.PLAYER else None)
        newest = shelf.catalogue.achievement(found.id)
        assert newest is not None
        progress = translate_out.achievement_progress(Draft(player), shelf.catalogue, newest, clock.now())
        return achievement_service_pb2.GetAchievementProgressResponse(progress=progress)

    async def ListAchievementProgress(
        self, request: achievement_service_pb2.ListAchievementProgressRequest, _context: Context
    ) -> achievement_service_pb2.ListAchievementProgressResponse:
        caller = principal()
        user_id = user_of(request.user_id, caller)
        query = f"progress {user_id} {caller.role}"
        size = paging.size(request.page_size, MAX_PAGE)
        last = paging.decode(request.page_token, query, fields=3)
        shelf, player = await self._definitions.current(), await self._players.player(user_id)
        viewer = player if caller.role is Role.PLAYER else None
        begun = [
            each
            for each in player.achievements.values()
            if not hides(shelf.achievements.get(each.achievement_id), viewer)
        ]
        found = sorted(begun, key=_place)
        if last is not None:
            found = [each for each in found if _place(each) > _after(last)]
        page = found[:size]
        draft, now = Draft(player), clock.now()
        return achievement_service_pb2.ListAchievementProgressResponse(
            progress=_progress(shelf, draft, page, now),
            next_page_token=paging.encode(_token(page[-1]), query) if len(found) > size else "",
            completed=player.achievements_completed,
            points=player.achievement_points,
        )

    async def _viewer(self, caller: Principal) -> Player | None:
        """Whose eyes hide what is secret; None: everything is seen."""
        if caller.role is not Role.PLAYER:
            return None
        return await self._players.player(user_of("", caller))


def _copy(message: achievement_pb2.Achievement) -> achievement_pb2.Achievement:
    return achievement_pb2.Achievement.FromString(message.SerializeToString())


def _visible(shelf: Shelf, id_: str, viewer: Player | None) -> achievement_pb2.Achievement:
    found = shelf.achievements.get(id_)
    if found is None or hides(found, viewer):
        raise not_found("achievement", id_)
    return found


# -- pages of progress --------------------------------------------------------------------------------

_Place = tuple[bool, int, str]


def _place(progress: AchievementProgress) -> _Place:
    """Completed ones first, the newest first."""
    at = progress.completed_at or progress.started_at
    return progress.completed_at is None, -int(at.timestamp() * 1_000_000), progress.achievement_id


def _token(progress: AchievementProgress) -> list[str]:
    open_, at, id_ = _place(progress)
    return [str(int(open_)), str(at), id_]


def _after(last: list[str]) -> _Place:
    open_, at, id_ = last
    try:
        return bool(int(open_)), int(at), id_
    except ValueError as error:
        raise paging.invalid() from error


def _progress(
    shelf: Shelf, draft: Draft, page: Iterable[AchievementProgress], now: datetime
) -> list[achievement_pb2.AchievementProgress]:
    found = []
    for each in page:
        newest = shelf.catalogue.achievement(each.achievement_id)
        assert newest is not None
        found.append(translate_out.achievement_progress(draft, shelf.catalogue, newest, now))
    return found
