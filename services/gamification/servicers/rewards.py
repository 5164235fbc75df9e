"""RewardService between the contract and the domain: only translation."""

from arenamesh.gamification.v1 import reward_pb2, reward_service_pb2

from services.chassis import clock, paging
from services.chassis.auth import Principal, Role, principal
from services.chassis.errors import NotFound
from services.chassis.method import Context
from services.gamification import translate_out
from services.gamification.access import user_of
from services.gamification.commands import Asked, Commands
from services.gamification.definition_commands import DefinitionCommands
from services.gamification.definitions import Writing
from services.gamification.domain.player import GrantStatus
from services.gamification.queries import FIRST, LAST, Queries
from services.gamification.receipts import KeyRing
from services.gamification.shelf import Shelf

_CANDIDATES = 50
"""Grants with an item that one command looks at."""
_TURNS = 5
"""How often ClaimItem looks for others, when all that it found were claimed meanwhile."""


class RewardServicer:
    """Every RPC of the service."""

    def __init__(
        self, writing: DefinitionCommands, commands: Commands, queries: Queries, keys: KeyRing
    ) -> None:
        self._writing = writing
        self._commands = commands
        self._queries = queries
        self._keys = keys

    # -- commands ---------------------------------------------------------------------------------

    async def CreateReward(
        self, request: reward_service_pb2.CreateRewardRequest, context: Context
    ) -> reward_service_pb2.CreateRewardResponse:
        asked = Asked.of(request, context)
        message = reward_pb2.Reward.FromString(request.reward.SerializeToString())
        message.id = message.id or clock.new_id()

        def answer(shelf: Shelf) -> bytes:
            shown = shelf.rewards[message.id]
            return reward_service_pb2.CreateRewardResponse(reward=shown).SerializeToString()

        def rule(writing: Writing) -> None:
            writing.reward(message)

        stored = await self._writing.write(asked.key, rule, answer)
        return reward_service_pb2.CreateRewardResponse.FromString(stored)

    async def DistributeReward(
        self, request: reward_service_pb2.DistributeRewardRequest, context: Context
    ) -> reward_service_pb2.DistributeRewardResponse:
        asked = Asked.of(request, context)
        stored = await self._commands.distribute(
            request.id,
            user_of(request.user_id, asked.caller),
            asked,
            source=translate_out.source_name(request.source),
            source_id=request.source_id,
            cycle=request.cycle or 1,
        )
        return reward_service_pb2.DistributeRewardResponse.FromString(stored)

    async def ClaimReward(
        self, request: reward_service_pb2.ClaimRewardRequest, context: Context
    ) -> reward_service_pb2.ClaimRewardResponse:
        asked = Asked.of(request, context)
        user_id = await self._owner(request.id, asked.caller)
        stored = await self._commands.claim(request.id, user_id, asked)
        return reward_service_pb2.ClaimRewardResponse.FromString(stored)

    async def ClaimItem(
        self, request: reward_service_pb2.ClaimItemRequest, context: Context
    ) -> reward_service_pb2.ClaimItemResponse:
        asked = Asked.of(request, context)
        user_id = user_of(request.player_id, asked.caller, "player_id")
        for _ in range(_TURNS):
            found = await self._queries.pending_with(user_id, f"item:{request.item}", _CANDIDATES)
            # Also when there is none: it may have been claimed by this very request before.
            stored = await self._commands.claim_first(found, user_id, asked)
            if stored is not None:
                return reward_service_pb2.ClaimItemResponse.FromString(stored)
            if not found:
                break
        raise NotFound(
            "No pending reward has the item.",
            reason="ITEM_NOT_PENDING",
            metadata={"player_id": user_id, "item": request.item},
        )

    async def RevokeReward(
        self, request: reward_service_pb2.RevokeRewardRequest, context: Context
    ) -> reward_service_pb2.RevokeRewardResponse:
        asked = Asked.of(request, context)
        user_id = await self._owner(request.id, asked.caller)
        stored = await self._commands.revoke(request.id, user_id, request.reason, asked)
        return reward_service_pb2.RevokeRewardResponse.FromString(stored)

    async def _owner(self, grant_id: str, caller: Principal) -> str:
        """Whose the grant is. To a player only its own are known."""
        if caller.role is Role.PLAYER:
            return user_of("", caller)
        grant = await self._queries.grant(grant_id)
        if grant is None:
            raise NotFound(
                f"There is no grant {grant_id}.", reason="GRANT_NOT_FOUND", metadata={"grant_id": grant_id}
            )
        return grant.user_id

    # -- queries ----------------------------------------------------------------------------------

    async def ListPendingRewards(
        self, request: reward_service_pb2.ListPendingRewardsRequest, _context: Context
    ) -> reward_service_pb2.ListPendingRewardsResponse:
        user_id = user_of(request.user_id, principal())
        query = f"pending {user_id}"
        size = paging.size(request.page_size)
        after = paging.decode_place(request.page_token, query) or FIRST
        found = await self._queries.pending(user_id, after, size + 1)
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return reward_service_pb2.ListPendingRewardsResponse(
            distributions=map(translate_out.grant, page),
            next_page_token=paging.encode_place(last.granted_at, last.id, query) if last else "",
        )

    async def GetInventory(
        self, request: reward_service_pb2.GetInventoryRequest, _context: Context
    ) -> reward_service_pb2.GetInventoryResponse:
        user_id = user_of(request.user_id, principal())
        return reward_service_pb2.GetInventoryResponse(
            user_id=user_id,
            items=[
                reward_pb2.InventoryItem(id=each.asset, type=each.item_type, quantity=each.amount)
                for each in await self._queries.held(user_id, "item")
            ],
        )

    async def GetWallet(
        self, request: reward_service_pb2.GetWalletRequest, _context: Context
    ) -> reward_service_pb2.GetWalletResponse:
        user_id = user_of(request.user_id, principal())
        return reward_service_pb2.GetWalletResponse(
            user_id=user_id,
            balances=[
                reward_pb2.Balance(currency=each.asset, amount=each.amount)
                for each in await self._queries.held(user_id, "currency")
            ],
        )

    async def ListLedger(
        self, request: reward_service_pb2.ListLedgerRequest, _context: Context
    ) -> reward_service_pb2.ListLedgerResponse:
        user_id = user_of(request.user_id, principal())
        query = f"ledger {user_id}"
        size = paging.size(request.page_size)
        before = paging.decode_place(request.page_token, query) or LAST
        found = await self._queries.ledger(user_id, before, size + 1)
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return reward_service_pb2.ListLedgerResponse(
            transfers=map(translate_out.transfer, page),
            next_page_token=paging.encode_place(last.at, last.id, query) if last else "",
        )

    async def VerifyReceipt(
        self, request: reward_service_pb2.VerifyReceiptRequest, _context: Context
    ) -> reward_service_pb2.VerifyReceiptResponse:
        verified = self._keys.verify(request.receipt, clock.now())
        problem, claims = verified.problem, verified.claims
        if claims is not None:
            grant = await self._queries.grant(claims.grant_id)
            if grant is None or grant.user_id != claims.user_id or grant.claimed_at is None:
                problem = "GRANT_UNKNOWN"
            elif grant.status is GrantStatus.REVOKED:
                problem = "GRANT_REVOKED"
        return reward_service_pb2.VerifyReceiptResponse(
            valid=not problem,
            problem=problem,
            kid=verified.kid,
            claims=translate_out.receipt(claims) if claims is not None and not problem else None,
        )

    async def GetKeys(
        self, _request: reward_service_pb2.GetKeysRequest, _context: Context
    ) -> reward_service_pb2.GetKeysResponse:
        keys = self._keys.jwks(clock.now())
        return reward_service_pb2.GetKeysResponse(
            keys=[reward_pb2.JsonWebKey(**each._asdict()) for each in keys]
        )
