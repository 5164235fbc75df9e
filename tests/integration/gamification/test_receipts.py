"""Receipts of a running service: what they say of the ledger, and through a rotation of keys."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import jwt
from arenamesh.gamification.v1 import reward_service_pb2
from google.protobuf.json_format import MessageToDict

from services.chassis.db import Database
from services.gamification import rows
from services.gamification.domain.player import Grant
from services.gamification.keys import encoded, parse
from services.gamification.receipts import KeyRing
from tests.support.gamification import Gamification, gamification
from tests.support.tokens import operator, player


def key(kid: str, state: str) -> dict[str, str]:
    return {"kid": kid, "alg": "EdDSA", "d": encoded(hashlib.sha256(kid.encode()).digest()), "state": state}


def ring(**states: str) -> str:
    """The setting, by kids."""
    return json.dumps([key(kid, state) for kid, state in states.items()])


async def claimed(
    server: Gamification, grant_id: str, user_id: str = "ada", request_id: str = ""
) -> reward_service_pb2.ClaimRewardResponse:
    request = reward_service_pb2.ClaimRewardRequest(id=grant_id, request_id=request_id)
    return await server.rewards.ClaimReward(request, metadata=player(user_id))


async def verified(server: Gamification, receipt: str) -> reward_service_pb2.VerifyReceiptResponse:
    request = reward_service_pb2.VerifyReceiptRequest(receipt=receipt)
    return await server.rewards.VerifyReceipt(request, metadata=player("eve"))


async def problem(server: Gamification, receipt: str) -> str:
    answer = await verified(server, receipt)
    assert answer.valid == (not answer.problem)
    assert answer.HasField("claims") == answer.valid
    return answer.problem


async def test_a_receipt_says_what_the_claim_paid(server: Gamification) -> None:
    await server.reward()
    owed = await server.distribute("ada", source_id="ticket-7")
    paid = await claimed(server, owed.id)
    answer = await verified(server, paid.receipt)
    assert (answer.valid, answer.problem, answer.kid) == (True, "", "development")
    claims = answer.claims
    assert (claims.grant_id, claims.user_id, claims.source_id) == (owed.id, "ada", "ticket-7")
    assert claims.source == owed.source
    assert claims.cause == owed.cause
    assert claims.issued_at.seconds == paid.distribution.claimed_at.seconds
    assert list(claims.contents) == list(owed.contents)
    assert list(claims.transfer_ids) == [transfer.id for transfer in paid.transfers]


async def test_anybody_can_check_a_receipt_with_the_published_keys(server: Gamification) -> None:
    """Without asking us, and without a token: by the standards alone."""
    await server.reward()
    paid = await claimed(server, (await server.distribute("ada")).id)
    answer = await server.rewards.GetKeys(reward_service_pb2.GetKeysRequest())
    published = jwt.PyJWKSet.from_dict(MessageToDict(answer))
    kid = jwt.get_unverified_header(paid.receipt)["kid"]
    said = jwt.decode(paid.receipt, published[kid], issuer="arenamesh", algorithms=["EdDSA"])
    assert said["jti"] == paid.distribution.id
    assert said["items"] == [{"currency": "gold", "quantity": "100"}]


async def test_a_receipt_of_what_was_revoked_counts_no_longer(server: Gamification) -> None:
    await server.reward()
    paid = await claimed(server, (await server.distribute("ada")).id)
    request = reward_service_pb2.RevokeRewardRequest(id=paid.distribution.id, reason="a mistake")
    await server.rewards.RevokeReward(request, metadata=operator())
    assert await problem(server, paid.receipt) == "GRANT_REVOKED"


async def test_a_receipt_of_what_the_ledger_does_not_know_is_refused(
    server: Gamification, database: Database
) -> None:
    """Signed by our own key, as by another mesh with the same one, or before a backup was brought back."""
    await server.reward()
    paid = await claimed(server, (await server.distribute("ada")).id)
    pending = await server.distribute("ada", source_id="s2")
    keys = KeyRing(parse(""))

    async def stored(grant_id: str) -> Grant:
        async with database.connection() as connection:
            (row,) = await connection.fetch("SELECT * FROM gamification.grants WHERE id = $1", grant_id)
        return rows.grant(row)

    grant = await stored(paid.distribution.id)
    assert await problem(server, keys.sign(grant, [])) == ""
    for other in (
        replace(grant, id="g-unheard-of"),
        replace(grant, user_id="eve"),
        replace(await stored(pending.id), claimed_at=grant.claimed_at),
    ):
        assert await problem(server, keys.sign(other, [])) == "GRANT_UNKNOWN"


async def test_a_cosmetic_that_was_owned_before_is_on_no_receipt(server: Gamification) -> None:
    item = {"id": "crown", "type": "title", "quantity": "1"}
    await server.reward("crown", type="REWARD_TYPE_COSMETIC", items=[item])
    first, second = [await server.distribute("ada", "crown", source_id=name) for name in ("one", "two")]
    assert not (await claimed(server, first.id)).distribution.contents[0].owned_before
    again = await claimed(server, second.id)
    assert again.distribution.contents[0].owned_before
    assert not (await verified(server, again.receipt)).claims.contents
    assert await server.inventory("ada") == {"crown": 1}


async def test_receipts_through_a_rotation_of_keys(database_url: str, redis_url: str) -> None:
    """Each step is another process on the same database."""

    def process(**states: str) -> AbstractAsyncContextManager[Gamification]:
        return gamification(database_url=database_url, redis_url=redis_url, receipt_keys=ring(**states))

    async with process(old="signing") as server:
        await server.reward()
        first = await claimed(server, (await server.distribute("ada", source_id="one")).id, request_id="r1")
    async with process(old="verify", new="signing") as server:
        owed = await server.distribute("ada", source_id="two")
        second = await claimed(server, owed.id)
        assert (await verified(server, first.receipt)).kid == "old"
        assert (await verified(server, second.receipt)).kid == "new"
        repeated = await claimed(server, first.distribution.id, request_id="r1")
        assert repeated == first, "what was answered stays what it was"
    async with process(old="revoked", new="signing") as server:
        assert await problem(server, first.receipt) == "KEY_REVOKED"
        assert await problem(server, second.receipt) == ""
        keys = await server.rewards.GetKeys(reward_service_pb2.GetKeysRequest())
        assert [each.kid for each in keys.keys] == ["new"]
    async with process(new="signing") as server:
        assert await problem(server, first.receipt) == "KEY_UNKNOWN"
        assert await problem(server, second.receipt) == ""
