"""Rewards: what players are owed, what they have, and the receipts of what they were paid."""

from __future__ import annotations

from collections.abc import AsyncIterator

from arenamesh.client.calls import Caller, key
from arenamesh.gamification.v1 import reward_pb2, reward_service_pb2, reward_service_pb2_grpc


class Rewards:
    """A grant is paid exactly once, however often and by however many it is claimed."""

    def __init__(self, stub: reward_service_pb2_grpc.RewardServiceAsyncStub, caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    # -- for tools ------------------------------------------------------------------------------

    async def create(self, reward: reward_pb2.Reward, *, request_id: str = "") -> reward_pb2.Reward:
        """A kind of thing to give, as it is kept, with its id. For operators and services."""
        request = reward_service_pb2.CreateRewardRequest(reward=reward, request_id=request_id or key())
        return (await self._caller.call(self._stub.CreateReward, request, retry=True)).reward

    async def distribute(
        self,
        id: str,  # noqa: A002
        user_id: str,
        *,
        source: reward_pb2.RewardSource,
        source_id: str,
        cycle: int = 1,
        request_id: str = "",
    ) -> reward_pb2.RewardDistribution:
        """The grant. The same user, source, source id and cycle again: the same one.

        For game servers, operators and services.

        Args:
            source: SEASON, EVENT or SUPPORT.
            cycle: how often it was earned.
        """
        request = reward_service_pb2.DistributeRewardRequest(
            id=id,
            user_id=user_id,
            source=source,
            source_id=source_id,
            cycle=cycle,
            request_id=request_id or key(),
        )
        return (await self._caller.call(self._stub.DistributeReward, request, retry=True)).distribution

    async def revoke(
        self, grant_id: str, reason: str, *, request_id: str = ""
    ) -> reward_service_pb2.RevokeRewardResponse:
        """Takes back what it paid, too; spent: `FailedPrecondition`, BALANCE_TOO_LOW. For operators."""
        request = reward_service_pb2.RevokeRewardRequest(
            id=grant_id, reason=reason, request_id=request_id or key()
        )
        return await self._caller.call(self._stub.RevokeReward, request, retry=True)

    # -- for everybody --------------------------------------------------------------------------

    async def pending(self, user_id: str = "") -> AsyncIterator[reward_pb2.RewardDistribution]:
        """Grants that wait to be claimed, the oldest first, page after page as wanted."""
        request = reward_service_pb2.ListPendingRewardsRequest(user_id=user_id)
        async for page in self._caller.pages(self._stub.ListPendingRewards, request):
            for grant in page.distributions:
                yield grant

    async def claim(self, grant_id: str, *, request_id: str = "") -> reward_service_pb2.ClaimRewardResponse:
        """The grant, its receipt, the transfers: paid and durable."""
        request = reward_service_pb2.ClaimRewardRequest(id=grant_id, request_id=request_id or key())
        return await self._caller.call(self._stub.ClaimReward, request, retry=True)

    async def claim_item(
        self, item: str, player_id: str = "", *, request_id: str = ""
    ) -> reward_service_pb2.ClaimItemResponse:
        """Claims the oldest grant that has the item."""
        request = reward_service_pb2.ClaimItemRequest(
            player_id=player_id, item=item, request_id=request_id or key()
        )
        return await self._caller.call(self._stub.ClaimItem, request, retry=True)

    async def inventory(self, user_id: str = "me") -> dict[str, reward_pb2.InventoryItem]:
        """By item."""
        request = reward_service_pb2.GetInventoryRequest(user_id=user_id)
        answer = await self._caller.call(self._stub.GetInventory, request, retry=True)
        return {item.id: item for item in answer.items}

    async def wallet(self, user_id: str = "me") -> dict[str, int]:
        """By currency."""
        request = reward_service_pb2.GetWalletRequest(user_id=user_id)
        answer = await self._caller.call(self._stub.GetWallet, request, retry=True)
        return {balance.currency: balance.amount for balance in answer.balances}

    async def ledger(self, user_id: str = "me") -> AsyncIterator[reward_pb2.Transfer]:
        """Every transfer from or to the user's accounts, the newest first, page after page as wanted."""
        request = reward_service_pb2.ListLedgerRequest(user_id=user_id)
        async for page in self._caller.pages(self._stub.ListLedger, request):
            for transfer in page.transfers:
                yield transfer

    async def verify(self, receipt: str) -> reward_service_pb2.VerifyReceiptResponse:
        """What the mesh makes of a receipt. That it is wrong is part of the answer, not an error."""
        request = reward_service_pb2.VerifyReceiptRequest(receipt=receipt)
        return await self._caller.call(self._stub.VerifyReceipt, request, retry=True)

    async def keys(self) -> list[reward_pb2.JsonWebKey]:
        """Public keys, for checking receipts without asking. Anybody may."""
        request = reward_service_pb2.GetKeysRequest()
        return list((await self._caller.call(self._stub.GetKeys, request, retry=True)).keys)
