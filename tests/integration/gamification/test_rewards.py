"""RewardService through real gRPC: what is owed, claimed, taken back, and read of it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from arenamesh.gamification.v1 import reward_pb2, reward_service_pb2

from tests.support.gamification import Gamification, refused
from tests.support.tokens import Metadata, bearer, game_server, operator, player
from tests.support.waiting import eventually

ADA = player("ada")
FAILED = grpc.StatusCode.FAILED_PRECONDITION
SWORD = {"type": "REWARD_TYPE_ITEM", "items": [{"id": "sword", "type": "weapon", "quantity": "2"}]}


async def claim(
    server: Gamification, id_: str, metadata: Metadata = ADA, **asked: Any
) -> reward_service_pb2.ClaimRewardResponse:
    request = reward_service_pb2.ClaimRewardRequest(id=id_, **asked)
    return await server.rewards.ClaimReward(request, metadata=metadata)


async def claim_item(
    server: Gamification, item: str = "sword", metadata: Metadata = ADA, **asked: Any
) -> reward_service_pb2.ClaimItemResponse:
    request = reward_service_pb2.ClaimItemRequest(item=item, **asked)
    return await server.rewards.ClaimItem(request, metadata=metadata)


async def revoke(
    server: Gamification, id_: str, reason: str = "a mistake"
) -> reward_service_pb2.RevokeRewardResponse:
    request = reward_service_pb2.RevokeRewardRequest(id=id_, reason=reason)
    return await server.rewards.RevokeReward(request, metadata=operator())


async def ledger(server: Gamification, user_id: str = "ada") -> list[tuple[str, str, str, int]]:
    """Kind, accounts and quantity, the newest first."""
    request = reward_service_pb2.ListLedgerRequest(user_id=user_id)
    answer = await server.rewards.ListLedger(request, metadata=operator())
    return [
        (
            reward_pb2.TransferKind.Name(each.kind).removeprefix("TRANSFER_KIND_"),
            each.from_account,
            each.to_account,
            each.amount.quantity,
        )
        for each in answer.transfers
    ]


async def test_granted_claimed_taken_back(server: Gamification) -> None:
    await server.reward()
    owed = await server.distribute("ada")
    assert owed.status == reward_pb2.REWARD_STATUS_PENDING
    assert (owed.source, owed.source_id, owed.cycle) == (reward_pb2.REWARD_SOURCE_SUPPORT, "s1", 1)
    assert await server.pending("ada") == [owed]
    assert await server.wallet("ada") == {}
    answer = await claim(server, owed.id)
    assert answer.distribution.status == reward_pb2.REWARD_STATUS_CLAIMED
    (paid,) = answer.transfers
    assert (paid.from_account, paid.to_account) == ("escrow:ada", "player:ada")
    assert (paid.amount.currency, paid.amount.quantity, paid.grant_id) == ("gold", 100, owed.id)
    verified = await server.rewards.VerifyReceipt(
        reward_service_pb2.VerifyReceiptRequest(receipt=answer.receipt), metadata=player("ben")
    )
    assert verified.valid and verified.claims.transfer_ids == [paid.id]
    assert await server.wallet("ada") == {"gold": 100}
    assert await server.pending("ada") == []
    again = await refused(claim(server, owed.id), FAILED)
    claimed_at = answer.distribution.claimed_at.ToJsonString()
    assert again.reason == "GRANT_CLAIMED"
    assert again.metadata["claimed_at"][:19] == claimed_at[:19]
    revoked = await revoke(server, owed.id)
    assert revoked.distribution.status == reward_pb2.REWARD_STATUS_REVOKED
    assert await server.wallet("ada") == {}
    assert await ledger(server) == [
        ("BURN", "player:ada", "burn", 100),
        ("CLAIM", "escrow:ada", "player:ada", 100),
        ("GRANT", "issuer", "escrow:ada", 100),
    ]
    verified = await server.rewards.VerifyReceipt(
        reward_service_pb2.VerifyReceiptRequest(receipt=answer.receipt), metadata=ADA
    )
    assert (verified.valid, verified.problem) == (False, "GRANT_REVOKED")


async def test_the_same_is_owed_once(server: Gamification) -> None:
    await server.reward()
    first = await server.distribute("ada")
    assert await server.distribute("ada") == first
    assert (await server.distribute("ada", cycle=1)).id == first.id
    others = [
        await server.distribute("ada", cycle=2),
        await server.distribute("ada", source_id="s2"),
        await server.distribute("ben"),
    ]
    assert len({first.id, *(each.id for each in others)}) == 4
    await claim(server, first.id)
    after = await server.distribute("ada")
    assert (after.id, after.status) == (first.id, reward_pb2.REWARD_STATUS_CLAIMED)
    error = await refused(server.distribute("ada", "nothing"), grpc.StatusCode.NOT_FOUND)
    assert error.reason == "REWARD_NOT_FOUND"


async def test_a_claim_that_is_asked_again_is_answered_again(server: Gamification) -> None:
    await server.reward()
    owed = await server.distribute("ada")
    first = await claim(server, owed.id, request_id="r1")
    assert await claim(server, owed.id, request_id="r1") == first
    assert await server.wallet("ada") == {"gold": 100}
    header = (*ADA, ("idempotency-key", "r2"))
    other = await server.distribute("ada", source_id="s2")
    second = await claim(server, other.id, header)
    assert await claim(server, other.id, header) == second
    reused = await refused(claim(server, owed.id, header), FAILED)
    assert reused.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_others_grants_are_unknown(server: Gamification) -> None:
    await server.reward()
    owed = await server.distribute("ada")
    for call in (
        claim(server, owed.id, player("ben")),
        claim(server, "g-none"),
        claim(server, "g-none", operator()),
        revoke(server, "g-none"),
    ):
        assert (await refused(call, grpc.StatusCode.NOT_FOUND)).reason == "GRANT_NOT_FOUND"
    answer = await claim(server, owed.id, game_server())
    assert answer.distribution.user_id == "ada"


async def test_what_is_pending_is_told_by_pages_the_oldest_first(server: Gamification) -> None:
    await server.reward()
    ids = [(await server.distribute("ada", source_id=f"s{number}")).id for number in range(5)]
    found: list[str] = []
    token = ""
    while not found or token:
        request = reward_service_pb2.ListPendingRewardsRequest(page_size=2, page_token=token)
        answer = await server.rewards.ListPendingRewards(request, metadata=ADA)
        assert len(answer.distributions) <= 2
        found += [each.id for each in answer.distributions]
        token = answer.next_page_token
    assert found == ids
    lines: list[str] = []
    while not lines or token:
        asked = reward_service_pb2.ListLedgerRequest(user_id="me", page_size=3, page_token=token)
        page = await server.rewards.ListLedger(asked, metadata=ADA)
        lines += [each.grant_id for each in page.transfers]
        token = page.next_page_token
    assert lines == ids[::-1]


# -- by item ------------------------------------------------------------------------------------------


async def test_an_item_is_claimed_from_the_oldest_that_has_it(server: Gamification) -> None:
    await server.reward()
    await server.reward("swords", **SWORD)
    await server.distribute("ada")
    first = await server.distribute("ada", "swords", source_id="s1")
    second = await server.distribute("ada", "swords", source_id="s2")
    answers = [await claim_item(server), await claim_item(server)]
    assert [each.distribution.id for each in answers] == [first.id, second.id]
    assert answers[0].receipt and answers[0].transfers[0].amount.item == "sword"
    assert await server.inventory("ada") == {"sword": 4}
    none = await refused(claim_item(server), grpc.StatusCode.NOT_FOUND)
    assert (none.reason, dict(none.metadata)) == ("ITEM_NOT_PENDING", {"player_id": "ada", "item": "sword"})


async def test_the_same_request_for_an_item_claims_one(server: Gamification) -> None:
    await server.reward("swords", **SWORD)
    await server.distribute("ada", "swords", source_id="s1")
    first = await claim_item(server, request_id="r1")
    assert await claim_item(server, request_id="r1") == first
    await server.distribute("ada", "swords", source_id="s2")
    assert await claim_item(server, request_id="r1") == first
    assert len(await server.pending("ada")) == 1


async def test_many_that_want_an_item_at_once_get_one_each(server: Gamification) -> None:
    await server.reward("swords", **SWORD)
    for number in range(8):
        await server.distribute("ada", "swords", source_id=f"s{number}")
    found = await asyncio.gather(*(claim_item(server) for _ in range(12)), return_exceptions=True)
    ids = [each.distribution.id for each in found if isinstance(each, reward_service_pb2.ClaimItemResponse)]
    assert len(ids) == len(set(ids)) == 8
    codes = {each.code() for each in found if isinstance(each, grpc.aio.AioRpcError)}
    assert codes == {grpc.StatusCode.NOT_FOUND}
    assert await server.inventory("ada") == {"sword": 16}


# -- time, cosmetics, loot ----------------------------------------------------------------------------


async def test_what_is_not_claimed_in_time_expires(server: Gamification) -> None:
    await server.reward("brief", type="REWARD_TYPE_CURRENCY", currency="gold", value="5", expires_after="1s")
    owed = await server.distribute("ada", "brief")
    assert owed.expires_at.ToNanoseconds() - owed.granted_at.ToNanoseconds() == 10**9

    async def swept() -> bool:
        return (await ledger(server))[0][0] == "EXPIRE"

    await eventually(swept)
    assert (await refused(claim(server, owed.id), FAILED)).reason == "GRANT_EXPIRED"
    assert await server.pending("ada") == []
    assert (await refused(revoke(server, owed.id), FAILED)).reason == "GRANT_EXPIRED"


async def test_a_cosmetic_is_owned_once(server: Gamification) -> None:
    cloak = {"type": "REWARD_TYPE_COSMETIC", "items": [{"id": "cloak", "type": "skin", "quantity": "1"}]}
    await server.reward("cloak", **cloak)
    first, second = [await server.distribute("ada", "cloak", source_id=f"s{n}") for n in range(2)]
    await claim(server, first.id)
    answer = await claim(server, second.id)
    assert [each.to_account for each in answer.transfers] == ["burn"]
    assert await server.inventory("ada") == {"cloak": 1}
    await revoke(server, second.id)
    assert await server.inventory("ada") == {"cloak": 1}
    held = await server.rewards.GetInventory(
        reward_service_pb2.GetInventoryRequest(user_id="me"), metadata=ADA
    )
    assert held.items[0].type == "cosmetic.skin"


async def test_what_a_crate_pays_is_known_when_it_is_granted(server: Gamification) -> None:
    entries = [{"weight": "1", "item": f"card{number}"} for number in range(50)]
    table = {"guaranteed": [{"currency": "gold", "min": "5", "max": "10"}], "weighted": entries, "rolls": 3}
    await server.reward("crate", type="REWARD_TYPE_LOOT", loot=table)
    owed = [await server.distribute("ada", "crate", source_id=f"s{number}") for number in range(3)]
    assert len({each.seed for each in owed}) == 3 and all(len(each.seed) == 32 for each in owed)
    for each in owed:
        assert 5 <= sum(part.quantity for part in each.contents if part.currency == "gold") <= 10
        assert sum(part.quantity for part in each.contents if part.item) == 3
        assert (await claim(server, each.id)).distribution.contents == each.contents
    assert sum((await server.inventory("ada")).values()) == 9


# -- who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["ListPendingRewards", "GetInventory", "GetWallet", "ListLedger", "ClaimItem"]
)
async def test_players_speak_for_themselves(server: Gamification, method: str) -> None:
    asked = {"player_id": "ada", "item": "sword"} if method == "ClaimItem" else {"user_id": "ada"}
    request = getattr(reward_service_pb2, f"{method}Request")(**asked)
    error = await refused(
        getattr(server.rewards, method)(request, metadata=player("ben")), grpc.StatusCode.PERMISSION_DENIED
    )
    assert error.reason == "USER_FOREIGN"


async def test_a_subject_that_cannot_be_a_user(server: Gamification) -> None:
    request = reward_service_pb2.ListPendingRewardsRequest()
    error = await refused(
        server.rewards.ListPendingRewards(request, metadata=bearer("no body")),
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert error.reason == "FIELD_INVALID"


async def test_keys_are_public(server: Gamification) -> None:
    answer = await server.rewards.GetKeys(reward_service_pb2.GetKeysRequest())
    assert [(each.kty, each.crv, each.use) for each in answer.keys] == [("OKP", "Ed25519", "sig")]
