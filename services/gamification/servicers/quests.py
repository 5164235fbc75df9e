"""QuestService between the contract and the domain: only translation."""

from arenamesh.gamification.v1 import quest_pb2, quest_service_pb2

from services.chassis import clock, paging
from services.chassis.auth import Principal, Role, principal
from services.chassis.method import Context
from services.gamification import translate_out
from services.gamification.access import staff, user_of
from services.gamification.commands import Asked, Commands
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions import Writing, not_found
from services.gamification.definitions_store import Definitions
from services.gamification.domain.player import Draft, Player, QuestProgress, QuestStatus
from services.gamification.players import Players
from services.gamification.queries import MAX_PAGE
from services.gamification.shelf import Shelf


class QuestServicer:
    """Every RPC of the service. A player does not see requirements of what is secret."""

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

    async def CreateQuest(
        self, request: quest_service_pb2.CreateQuestRequest, context: Context
    ) -> quest_service_pb2.CreateQuestResponse:
        asked = Asked.of(request, context)
        message = _copy(request.quest)
        message.id = message.id or clock.new_id()

        def answer(shelf: Shelf) -> bytes:
            shown = translate_out.quest(shelf, shelf.quests[message.id])
            return quest_service_pb2.CreateQuestResponse(quest=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.quest(_copy(message))

        stored = await self._writing.write(asked.key, rule, answer)
        return quest_service_pb2.CreateQuestResponse.FromString(stored)

    async def UpdateQuest(
        self, request: quest_service_pb2.UpdateQuestRequest, context: Context
    ) -> quest_service_pb2.UpdateQuestResponse:
        asked = Asked.of(request, context)

        def answer(shelf: Shelf) -> bytes:
            shown = translate_out.quest(shelf, shelf.quests[request.quest.id])
            return quest_service_pb2.UpdateQuestResponse(quest=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.update_quest(_copy(request.quest), request.expected_version)

        stored = await self._writing.write(asked.key, rule, answer)
        return quest_service_pb2.UpdateQuestResponse.FromString(stored)

    async def ListQuests(
        self, request: quest_service_pb2.ListQuestsRequest, _context: Context
    ) -> quest_service_pb2.ListQuestsResponse:
        caller = principal()
        if request.include_inactive:
            staff(caller, "include_inactive")
        query = f"quests {request.type} {request.include_inactive}"
        size = paging.size(request.page_size, MAX_PAGE)
        last = paging.decode(request.page_token, query, fields=1)
        shelf, viewer = await self._definitions.current(), await self._viewer(caller)
        found = [
            each
            for each in shelf.quests.values()
            if (last is None or each.id > last[0])
            and (each.is_active or request.include_inactive)
            and request.type in (0, each.type)
        ]
        page = found[:size]
        return quest_service_pb2.ListQuestsResponse(
            quests=[translate_out.quest(shelf, each, viewer) for each in page],
            next_page_token=paging.encode([page[-1].id], query) if len(found) > size else "",
        )

    async def GetQuest(
        self, request: quest_service_pb2.GetQuestRequest, _context: Context
    ) -> quest_service_pb2.GetQuestResponse:
        shelf, viewer = await self._definitions.current(), await self._viewer(principal())
        found = shelf.quests.get(request.id)
        if found is None:
            raise not_found("quest", request.id)
        return quest_service_pb2.GetQuestResponse(quest=translate_out.quest(shelf, found, viewer))

    # -- progress ---------------------------------------------------------------------------------

    async def StartQuest(
        self, request: quest_service_pb2.StartQuestRequest, context: Context
    ) -> quest_service_pb2.StartQuestResponse:
        asked = Asked.of(request, context)
        stored = await self._commands.start(request.id, user_of(request.user_id, asked.caller), asked)
        return quest_service_pb2.StartQuestResponse.FromString(stored)

    async def CompleteQuestStep(
        self, request: quest_service_pb2.CompleteQuestStepRequest, context: Context
    ) -> quest_service_pb2.CompleteQuestStepResponse:
        asked = Asked.of(request, context)
        user_id = user_of(request.user_id, asked.caller)
        stored = await self._commands.complete_step(request.id, request.step_id, user_id, asked)
        return quest_service_pb2.CompleteQuestStepResponse.FromString(stored)

    async def AbandonQuest(
        self, request: quest_service_pb2.AbandonQuestRequest, context: Context
    ) -> quest_service_pb2.AbandonQuestResponse:
        asked = Asked.of(request, context)
        stored = await self._commands.abandon(request.id, user_of(request.user_id, asked.caller), asked)
        return quest_service_pb2.AbandonQuestResponse.FromString(stored)

    async def ListActiveQuests(
        self, request: quest_service_pb2.ListActiveQuestsRequest, _context: Context
    ) -> quest_service_pb2.ListActiveQuestsResponse:
        caller = principal()
        user_id = user_of(request.user_id, caller)
        shelf, player = await self._definitions.current(), await self._players.player(user_id)
        viewer = player if caller.role is Role.PLAYER else None
        going = [each for each in player.quests.values() if each.status is QuestStatus.IN_PROGRESS]
        going.sort(key=lambda each: (each.started_at, each.quest_id), reverse=True)
        return quest_service_pb2.ListActiveQuestsResponse(
            quests=[_active(shelf, Draft(player), each, viewer) for each in going]
        )

    async def GetQuestProgress(
        self, request: quest_service_pb2.GetQuestProgressRequest, _context: Context
    ) -> quest_service_pb2.GetQuestProgressResponse:
        user_id = user_of(request.user_id, principal())
        shelf, player = await self._definitions.current(), await self._players.player(user_id)
        newest = shelf.catalogue.quest(request.id)
        if newest is None:
            raise not_found("quest", request.id)
        return quest_service_pb2.GetQuestProgressResponse(
            progress=translate_out.quest_progress(Draft(player), shelf.catalogue, newest, clock.now())
        )

    async def _viewer(self, caller: Principal) -> Player | None:
        """Whose eyes hide what is secret; None: everything is seen."""
        if caller.role is not Role.PLAYER:
            return None
        return await self._players.player(user_of("", caller))


def _copy(message: quest_pb2.Quest) -> quest_pb2.Quest:
    return quest_pb2.Quest.FromString(message.SerializeToString())


def _active(
    shelf: Shelf, draft: Draft, progress: QuestProgress, viewer: Player | None
) -> quest_service_pb2.ActiveQuest:
    """In the version that the user started."""
    message = shelf.quest(progress.quest_id, progress.version)
    newest = shelf.catalogue.quest(progress.quest_id)
    assert message is not None and newest is not None
    return quest_service_pb2.ActiveQuest(
        quest=translate_out.quest(shelf, message, viewer),
        progress=translate_out.quest_progress(draft, shelf.catalogue, newest, clock.now()),
    )
