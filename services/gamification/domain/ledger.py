"""What is owned, and how it moves: a transfer takes from one account what it gives to another, so that all
entries of the ledger sum to zero whatever the rules do."""

from datetime import datetime

from services.chassis.errors import DataLoss, FailedPrecondition
from services.gamification.domain.definitions import Amount
from services.gamification.domain.player import Draft, Grant, Transfer

ISSUER = "issuer"
BURN = "burn"
MOST = 2**63 - 1
"""Of one quantity, and of one balance."""
Way = tuple[str, str, str]
"""The kind of a transfer, and from and to which account it is."""


def escrow_of(user_id: str) -> str:
    """The account of what is granted and not claimed yet."""
    return f"escrow:{user_id}"


def account_of(user_id: str) -> str:
    """The account of what the player has."""
    return f"player:{user_id}"


def balance(draft: Draft, account: str, asset: str) -> int:
    """With what the command has moved so far."""
    there = draft.balances.get((account, asset), 0)
    for transfer in draft.transfers:
        if transfer.amount.asset == asset:
            there += transfer.amount.quantity * (
                (transfer.to_account == account) - (transfer.from_account == account)
            )
    return there


def move(draft: Draft, grant: Grant, way: Way, number: int, now: datetime) -> Transfer:
    """Moves one amount of a grant, by its number in the contents.

    Raises FailedPrecondition BALANCE_TOO_LOW, BALANCE_TOO_HIGH; DataLoss ESCROW_TOO_LOW.
    """
    kind, source, target = way
    amount = grant.contents[number]
    if not 0 < amount.quantity <= MOST:
        raise ValueError(f"a transfer of {amount.quantity} of {amount.asset}")
    _check_source(draft, source, amount)
    _check_target(draft, target, amount)
    transfer = Transfer(
        f"{grant.id}:{kind}:{number}", kind, source, target, amount, grant.id, draft.user_id, now
    )
    draft.transfers.append(transfer)
    return transfer


def _check_source(draft: Draft, source: str, amount: Amount) -> None:
    if source == ISSUER:
        return
    there = balance(draft, source, amount.asset)
    if there >= amount.quantity:
        return
    details = {"asset": amount.asset, "balance": str(there), "needed": str(amount.quantity)}
    if source == escrow_of(draft.user_id):
        raise DataLoss(
            f"{source} holds {there} of {amount.asset}, though {amount.quantity} were granted.",
            reason="ESCROW_TOO_LOW",
            metadata=details,
        )
    raise FailedPrecondition(
        f"Only {there} of {amount.asset} are left of {amount.quantity}.",
        reason="BALANCE_TOO_LOW",
        metadata=details,
    )


def _check_target(draft: Draft, target: str, amount: Amount) -> None:
    if target in (ISSUER, BURN):
        return
    there = balance(draft, target, amount.asset)
    if there + amount.quantity > MOST:
        raise FailedPrecondition(
            f"A balance of {amount.asset} cannot be more than {MOST}.",
            reason="BALANCE_TOO_HIGH",
            metadata={"asset": amount.asset, "balance": str(there), "most": str(MOST)},
        )
