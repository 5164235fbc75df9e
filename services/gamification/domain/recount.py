"""What a grant must have moved, and must pay, by the rules: to be held against what is stored."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from services.gamification.domain.definitions import Amount, Reward
from services.gamification.domain.grants import contents_of, grant_id
from services.gamification.domain.ledger import BURN, ISSUER, Way, account_of, escrow_of
from services.gamification.domain.player import Grant, GrantStatus


class Moved(NamedTuple):
    """A transfer, without when it was."""

    id: str
    kind: str
    source: str
    target: str
    asset: str
    quantity: int


def moved(grant: Grant) -> Iterator[Moved]:
    """Every transfer that it must have made until now."""
    for number, amount in enumerate(grant.contents):
        for kind, source, target in _ways(grant, amount):
            yield Moved(f"{grant.id}:{kind}:{number}", kind, source, target, amount.asset, amount.quantity)


def differences(grant: Grant, reward: Reward | None, found: Collection[Moved]) -> Iterator[str]:
    """What is not as the rules have it, in words. `reward`: of the version that was granted. `found`: the
    transfers that there are of it."""
    owed = grant_id(grant.user_id, grant.source, grant.source_id, grant.reward_id, grant.cycle)
    if grant.id != owed:
        yield f"must be named {owed} for what it is owed for"
    if (grant.status is GrantStatus.CLAIMED) > (grant.claimed_at is not None):
        yield "is claimed, and nobody knows when"
    yield from _contents(grant, reward)
    yield from _transfers(grant, found)


def _ways(grant: Grant, amount: Amount) -> Iterator[Way]:
    escrow, account = escrow_of(grant.user_id), account_of(grant.user_id)
    yield "grant", ISSUER, escrow
    if grant.claimed_at is not None:
        yield ("burn", escrow, BURN) if amount.owned_before else ("claim", escrow, account)
        if grant.status is GrantStatus.REVOKED and not amount.owned_before:
            yield "burn", account, BURN
    elif grant.status is GrantStatus.REVOKED:
        yield "revoke", escrow, ISSUER
    elif grant.status is GrantStatus.EXPIRED:
        yield "expire", escrow, ISSUER


def _contents(grant: Grant, reward: Reward | None) -> Iterator[str]:
    if reward is None:
        yield f"is of version {grant.reward_version} of reward {grant.reward_id}, which there is not"
        return
    if (reward.loot is not None) != bool(grant.seed):
        yield "must have a seed" if reward.loot is not None else "has a seed, but nothing is drawn for it"
        return
    granted = tuple(replace(each, owned_before=False) for each in grant.contents)
    due = contents_of(reward, grant.seed)
    if granted != due:
        yield f"pays {_words(granted)}, not {_words(due)}" + (" as its seed draws" if grant.seed else "")


def _transfers(grant: Grant, found: Collection[Moved]) -> Iterator[str]:
    there = {each.id: each for each in found}
    for due in moved(grant):
        have = there.pop(due.id, None)
        if have is None:
            yield f"has no transfer {due.id}"
        elif have != due:
            yield f"transfer {due.id} is {_line(have)}, not {_line(due)}"
    for more in there:
        yield f"has a transfer {more} too many"


def _words(amounts: Collection[Amount]) -> str:
    return " and ".join(f"{each.quantity} of {each.asset}" for each in amounts) or "nothing"


def _line(transfer: Moved) -> str:
    return f"{transfer.quantity} of {transfer.asset} from {transfer.source} to {transfer.target}"
