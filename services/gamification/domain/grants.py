"""What is owed to a player: PENDING, then CLAIMED, EXPIRED or REVOKED; a claimed one can be revoked too, and
what it paid is burned. Every change moves what the grant is worth in the ledger.

Whoever claims, expires or revokes needs the player's balances in the draft.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from services.chassis.errors import FailedPrecondition, NotFound
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Amount, Reward
from services.gamification.domain.events import RewardClaimed, RewardExpired, RewardGranted, RewardRevoked
from services.gamification.domain.ledger import BURN, ISSUER, Way, account_of, balance, escrow_of, move
from services.gamification.domain.loot import draw
from services.gamification.domain.player import Draft, Grant, GrantStatus, Transfer

COSMETIC = "cosmetic"
"""Type of items of which one is enough for ever; also with something behind it, such as `cosmetic.title`."""
_SEED_BYTES = 16


def grant_id(user_id: str, source: str, source_id: str, reward_id: str, cycle: int) -> str:
    """Follows from what is owed for what, so that the same is owed once."""
    owed = json.dumps([user_id, source, source_id, reward_id, cycle], separators=(",", ":"))
    return "g-" + hashlib.sha256(owed.encode()).hexdigest()[:32]


def contents_of(reward: Reward, seed: bytes) -> tuple[Amount, ...]:
    """What a grant of it pays, by the seed of its draw."""
    contents = draw(reward.loot, seed) if reward.loot is not None else reward.contents
    return tuple(replace(each, quantity=1) if is_cosmetic(each) else each for each in contents)


def is_cosmetic(amount: Amount) -> bool:
    """Whether one of it is enough for ever."""
    return amount.item_type == COSMETIC or amount.item_type.startswith(f"{COSMETIC}.")


def expiry(reward: Reward, now: datetime) -> datetime | None:
    """From when on nobody can claim what is granted `now`."""
    ends = [] if reward.expires_at is None else [reward.expires_at]
    if reward.expires_after is not None:
        ends.append(now + reward.expires_after)
    return min(ends, default=None)


def grant(
    draft: Draft,
    catalogue: Catalogue,
    reward_id: str,
    *,
    source: str,
    source_id: str,
    cycle: int,
    cause: str,
    now: datetime,
    entropy: bytes,
) -> Grant | None:
    """Owes a reward. None: it was owed before, or nobody could claim it any more.

    Raises NotFound REWARD_NOT_FOUND; FailedPrecondition BALANCE_TOO_HIGH.
    """
    reward = catalogue.rewards.get(reward_id)
    if reward is None:
        raise NotFound(
            f"There is no reward {reward_id}.", reason="REWARD_NOT_FOUND", metadata={"reward_id": reward_id}
        )
    id_ = grant_id(draft.user_id, source, source_id, reward_id, cycle)
    ends = expiry(reward, now)
    if id_ in draft.grants or (ends is not None and ends <= now):
        return None
    seed = b""
    if reward.loot is not None:
        seed = hmac.digest(entropy, id_.encode(), "sha256")[:_SEED_BYTES]
    owed = Grant(
        id=id_,
        user_id=draft.user_id,
        reward_id=reward_id,
        reward_version=reward.version,
        source=source,
        source_id=source_id,
        cycle=cycle,
        title=reward.title,
        status=GrantStatus.PENDING,
        contents=contents_of(reward, seed),
        seed=seed,
        cause=cause,
        granted_at=now,
        expires_at=ends,
    )
    transfers = _move_all(draft, owed, ("grant", ISSUER, escrow_of(draft.user_id)), now)
    draft.grants[id_] = owed
    draft.happened.append(RewardGranted(owed, _ids(transfers)))
    return owed


def distribute(
    draft: Draft,
    catalogue: Catalogue,
    reward_id: str,
    *,
    source: str,
    source_id: str,
    cycle: int,
    cause: str,
    now: datetime,
    entropy: bytes,
) -> Grant:
    """As `grant`, by somebody who waits for it: what was owed before as it now is.

    Raises as `grant`; FailedPrecondition REWARD_EXPIRED.
    """
    owed = grant(
        draft,
        catalogue,
        reward_id,
        source=source,
        source_id=source_id,
        cycle=cycle,
        cause=cause,
        now=now,
        entropy=entropy,
    )
    if owed is not None:
        return owed
    before = draft.grants.get(grant_id(draft.user_id, source, source_id, reward_id, cycle))
    if before is None:
        raise FailedPrecondition(
            f"Reward {reward_id} can no longer be claimed.",
            reason="REWARD_EXPIRED",
            metadata={"reward_id": reward_id},
        )
    return before


def claim(draft: Draft, grant_id: str, now: datetime) -> tuple[Grant, list[Transfer]]:
    """Pays it out. Of a cosmetic that the player has, nothing more is paid.

    Raises NotFound GRANT_NOT_FOUND; FailedPrecondition GRANT_CLAIMED, GRANT_EXPIRED, GRANT_REVOKED,
    BALANCE_TOO_HIGH.
    """
    owed = _found(draft, grant_id)
    if owed.status is not GrantStatus.PENDING or is_due(owed, now):
        raise _over(owed)
    escrow, account = escrow_of(draft.user_id), account_of(draft.user_id)
    contents = tuple(
        replace(each, owned_before=is_cosmetic(each) and balance(draft, account, each.asset) > 0)
        for each in owed.contents
    )
    transfers = [
        move(draft, owed, ("burn", escrow, BURN), number, now)
        if each.owned_before
        else move(draft, owed, ("claim", escrow, account), number, now)
        for number, each in enumerate(contents)
    ]
    claimed = replace(owed, status=GrantStatus.CLAIMED, contents=contents, claimed_at=now)
    draft.grants[grant_id] = claimed
    draft.happened.append(RewardClaimed(claimed, _ids(transfers)))
    return claimed, transfers


def expire(draft: Draft, grant_id: str, now: datetime) -> Grant | None:
    """Takes back what was not claimed in time. None: there is nothing to do, or not yet."""
    owed = draft.grants.get(grant_id)
    if owed is None or owed.status is not GrantStatus.PENDING or not is_due(owed, now):
        return None
    transfers = _move_all(draft, owed, ("expire", escrow_of(draft.user_id), ISSUER), now)
    expired = replace(owed, status=GrantStatus.EXPIRED)
    draft.grants[grant_id] = expired
    draft.happened.append(RewardExpired(expired, _ids(transfers)))
    return expired


def revoke(draft: Draft, grant_id: str, reason: str, now: datetime) -> tuple[Grant, list[Transfer]]:
    """Takes back what was granted, also what it paid.

    Raises NotFound GRANT_NOT_FOUND; FailedPrecondition GRANT_EXPIRED, GRANT_REVOKED, BALANCE_TOO_LOW.
    """
    owed = _found(draft, grant_id)
    match owed.status:
        case GrantStatus.PENDING:
            transfers = _move_all(draft, owed, ("revoke", escrow_of(draft.user_id), ISSUER), now)
        case GrantStatus.CLAIMED:
            transfers = _move_all(draft, owed, ("burn", account_of(draft.user_id), BURN), now)
        case _:
            raise _over(owed)
    revoked = replace(owed, status=GrantStatus.REVOKED, revoked_at=now)
    draft.grants[grant_id] = revoked
    draft.happened.append(RewardRevoked(revoked, _ids(transfers), reason))
    return revoked, transfers


def is_due(owed: Grant, now: datetime) -> bool:
    """Whether its time to be claimed is over."""
    return owed.expires_at is not None and owed.expires_at <= now


def _found(draft: Draft, grant_id: str) -> Grant:
    owed = draft.grants.get(grant_id)
    # A grant of somebody else is as unknown as none: its id tells nothing.
    if owed is None or owed.user_id != draft.user_id:
        raise NotFound(
            f"There is no grant {grant_id}.", reason="GRANT_NOT_FOUND", metadata={"grant_id": grant_id}
        )
    return owed


def _over(owed: Grant) -> FailedPrecondition:
    """Why nothing more can come of it. A pending one: its time is over."""
    status, at = {
        GrantStatus.PENDING: (GrantStatus.EXPIRED, owed.expires_at),
        GrantStatus.CLAIMED: (GrantStatus.CLAIMED, owed.claimed_at),
        GrantStatus.EXPIRED: (GrantStatus.EXPIRED, owed.expires_at),
        GrantStatus.REVOKED: (GrantStatus.REVOKED, owed.revoked_at),
    }[owed.status]
    when = at.isoformat() if at is not None else ""
    return FailedPrecondition(
        f"Grant {owed.id} is {status.value} since {when}.",
        reason=f"GRANT_{status.name}",
        metadata={"grant_id": owed.id, f"{status.value}_at": when},
    )


def _move_all(draft: Draft, owed: Grant, way: Way, now: datetime) -> list[Transfer]:
    """All that it is worth; nothing of what was burned when it was claimed."""
    return [
        move(draft, owed, way, number, now)
        for number, each in enumerate(owed.contents)
        if not each.owned_before
    ]


def _ids(transfers: Iterable[Transfer]) -> tuple[str, ...]:
    return tuple(transfer.id for transfer in transfers)
