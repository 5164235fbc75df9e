"""What is owed is owed once, paid once, and taken back once; the ledger always sums to zero."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DataLoss, DomainError, FailedPrecondition, NotFound
from services.gamification.domain import grants
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Amount, LootEntry, LootTable, Reward
from services.gamification.domain.events import RewardClaimed, RewardExpired, RewardGranted, RewardRevoked
from services.gamification.domain.ledger import MOST
from services.gamification.domain.player import Draft, Grant, GrantStatus, Player, Transfer
from services.gamification.domain.recount import moved

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENTROPY = bytes(range(32))
GOLD, POTION, TITLE = "currency:gold", "item:potion", "item:champion"
REWARDS = [
    Reward("gold", 1, "Gold", (Amount(GOLD, 100),)),
    Reward("bag", 1, "A bag", (Amount(GOLD, 5), Amount(POTION, 2, "consumable"))),
    Reward("title", 1, "Champion", (Amount(TITLE, 3, "cosmetic.title"),)),
    Reward(
        "chest",
        7,
        "A chest",
        loot=LootTable(
            (LootEntry(0, GOLD, 10, 99),),
            (LootEntry(1, POTION, 1, 3), LootEntry(1, TITLE, 5, 5, 1, "cosmetic")),
            3,
        ),
    ),
    Reward("crate", 1, "A crate", loot=LootTable((), (LootEntry(1, POTION, 1, 9), LootEntry(2, GOLD)), 4)),
    Reward("nothing", 1, "An empty box", loot=LootTable((), (LootEntry(1, ""),), 2)),
    Reward("soon", 1, "Soon", (Amount(GOLD, 1),), expires_after=timedelta(hours=1)),
    Reward("season", 1, "Season", (Amount(GOLD, 1),), expires_at=NOW + timedelta(days=1)),
    Reward(
        "both",
        1,
        "Both",
        (Amount(GOLD, 1),),
        expires_at=NOW + timedelta(days=1),
        expires_after=timedelta(days=2),
    ),
]
CATALOGUE = Catalogue(1, rewards=REWARDS)


class Tables:
    """What is kept between commands, as the tables keep it: grants, transfers, balances that are never below
    zero."""

    def __init__(self, user_id: str = "ada") -> None:
        self.user_id = user_id
        self.now = NOW
        self.grants: dict[str, Grant] = {}
        self.transfers: dict[str, Transfer] = {}
        self.balances: Counter[tuple[str, str]] = Counter()
        self.happened: list[Any] = []

    def draft(self) -> Draft:
        return Draft(Player(self.user_id), self.grants, self.balances)

    def commit(self, draft: Draft) -> None:
        for transfer in draft.transfers:
            assert transfer.id not in self.transfers, "a transfer is made once"
            self.transfers[transfer.id] = transfer
        self.grants |= draft.grants.changed
        for transfer in draft.transfers:
            for account, sign in ((transfer.from_account, -1), (transfer.to_account, 1)):
                if account not in ("issuer", "burn"):
                    self.balances[account, transfer.amount.asset] += sign * transfer.amount.quantity
        assert min(self.balances.values(), default=0) >= 0
        self.happened += draft.happened

    def grant(self, reward_id: str = "gold", source_id: str = "first", cycle: int = 1) -> Grant | None:
        draft = self.draft()
        owed = grants.grant(
            draft,
            CATALOGUE,
            reward_id,
            source="achievement",
            source_id=source_id,
            cycle=cycle,
            cause="event-1",
            now=self.now,
            entropy=ENTROPY,
        )
        self.commit(draft)
        return owed

    def granted(self, reward_id: str = "gold", source_id: str = "first", cycle: int = 1) -> str:
        owed = self.grant(reward_id, source_id, cycle)
        assert owed is not None
        return owed.id

    def claim(self, grant_id: str) -> list[Transfer]:
        draft = self.draft()
        _, transfers = grants.claim(draft, grant_id, self.now)
        self.commit(draft)
        return transfers

    def revoke(self, grant_id: str) -> list[Transfer]:
        draft = self.draft()
        _, transfers = grants.revoke(draft, grant_id, "a mistake", self.now)
        self.commit(draft)
        return transfers

    def expire(self, grant_id: str) -> Grant | None:
        draft = self.draft()
        expired = grants.expire(draft, grant_id, self.now)
        self.commit(draft)
        return expired

    def has(self, asset: str, account: str = "player") -> int:
        return self.balances[f"{account}:{self.user_id}", asset]


@pytest.fixture
def tables() -> Tables:
    return Tables()


def entries(transfers: Mapping[str, Transfer]) -> Counter[tuple[str, str]]:
    """By account and asset, with all accounts: each transfer takes what it gives."""
    found: Counter[tuple[str, str]] = Counter()
    for transfer in transfers.values():
        found[transfer.from_account, transfer.amount.asset] -= transfer.amount.quantity
        found[transfer.to_account, transfer.amount.asset] += transfer.amount.quantity
    return found


def refused(call: Any, *arguments: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        call(*arguments)
    return caught.value


# -- ids, contents, draws -------------------------------------------------------------------------------


def test_golden_ids_stay_what_they_are() -> None:
    """An id that changed would owe again what was owed before."""
    assert grants.grant_id("ada", "achievement", "first_blood", "gold", 1) == GOLDEN_ID
    others = {
        grants.grant_id(*args)
        for args in [
            ("ada", "achievement", "first_blood", "gold", 2),
            ("bob", "achievement", "first_blood", "gold", 1),
            ("ada", "quest", "first_blood", "gold", 1),
            ("ada", "achievement", "first_bloo", "dgold", 1),
            ("ada", "achievement", "first_blood", "golds", 1),
        ]
    }
    assert len(others | {GOLDEN_ID}) == 6


GOLDEN_ID = "g-ce5b167e2115682bb7e38d2f6c6e5817"
GOLDEN_SEED = "6ac553821da3ed7515ff568f325d080b"


def test_golden_seeds_stay_what_they_are(tables: Tables) -> None:
    owed = tables.grants[tables.granted("chest")]
    assert owed.seed.hex() == GOLDEN_SEED
    assert owed.reward_version == 7
    assert owed.contents == grants.contents_of(REWARDS[3], owed.seed)


def test_each_grant_of_a_loot_table_is_drawn_anew(tables: Tables) -> None:
    seeds = {tables.grants[tables.granted("chest", cycle=cycle)].seed for cycle in range(1, 21)}
    assert len(seeds) == 20


def test_what_is_not_drawn_has_no_seed(tables: Tables) -> None:
    assert tables.grants[tables.granted("gold")].seed == b""


def test_one_of_a_cosmetic_is_enough_also_when_it_is_drawn() -> None:
    assert grants.contents_of(REWARDS[2], b"") == (Amount(TITLE, 1, "cosmetic.title"),)
    for number in range(50):
        for amount in grants.contents_of(REWARDS[3], number.to_bytes(16, "big")):
            assert amount.asset != TITLE or amount.quantity == 1
    assert not grants.is_cosmetic(Amount(POTION, 1, "cosmetics"))


def test_a_grant_moves_its_contents_to_the_escrow(tables: Tables) -> None:
    id_ = tables.granted("bag")
    assert [
        (each.id, each.kind, each.from_account, each.to_account, each.amount.quantity)
        for each in tables.transfers.values()
    ] == [
        (f"{id_}:grant:0", "grant", "issuer", "escrow:ada", 5),
        (f"{id_}:grant:1", "grant", "issuer", "escrow:ada", 2),
    ]
    assert tables.happened == [RewardGranted(tables.grants[id_], (f"{id_}:grant:0", f"{id_}:grant:1"))]
    assert (tables.has(GOLD, "escrow"), tables.has(GOLD)) == (5, 0)


def test_the_same_is_owed_once(tables: Tables) -> None:
    id_ = tables.granted("gold")
    assert tables.grant("gold") is None
    tables.claim(id_)
    assert tables.grant("gold") is None
    assert tables.granted("gold", cycle=2) != id_
    assert len(tables.transfers) == 3


def test_a_box_may_be_empty(tables: Tables) -> None:
    id_ = tables.granted("nothing")
    assert tables.claim(id_) == []
    assert tables.revoke(id_) == []
    assert not tables.transfers


def test_a_reward_that_there_is_not_cannot_be_owed(tables: Tables) -> None:
    assert refused(tables.grant, "nonsense").reason == "REWARD_NOT_FOUND"


def test_who_distributes_again_gets_what_was_owed_before(tables: Tables) -> None:
    def distribute(reward_id: str) -> Grant:
        draft = tables.draft()
        owed = grants.distribute(
            draft,
            CATALOGUE,
            reward_id,
            source="support",
            source_id="ticket-1",
            cycle=1,
            cause="",
            now=tables.now,
            entropy=ENTROPY,
        )
        tables.commit(draft)
        return owed

    first = distribute("gold")
    assert distribute("gold") == first
    tables.claim(first.id)
    assert distribute("gold").status is GrantStatus.CLAIMED
    tables.now += timedelta(days=2)
    assert refused(distribute, "season").reason == "REWARD_EXPIRED"


# -- claiming -------------------------------------------------------------------------------------------


def test_a_claim_pays_what_was_granted(tables: Tables) -> None:
    id_ = tables.granted("bag")
    paid = tables.claim(id_)
    assert [(each.id, each.kind, each.from_account, each.to_account) for each in paid] == [
        (f"{id_}:claim:{number}", "claim", "escrow:ada", "player:ada") for number in range(2)
    ]
    assert (tables.has(GOLD), tables.has(POTION), tables.has(GOLD, "escrow")) == (5, 2, 0)
    claimed = tables.grants[id_]
    assert (claimed.status, claimed.claimed_at) == (GrantStatus.CLAIMED, NOW)
    assert tables.happened[-1] == RewardClaimed(claimed, tuple(each.id for each in paid))


def test_a_second_claim_is_refused_and_told_when_the_first_was(tables: Tables) -> None:
    id_ = tables.granted()
    tables.claim(id_)
    tables.now += timedelta(seconds=9)
    error = refused(tables.claim, id_)
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.metadata) == (
        "GRANT_CLAIMED",
        {"grant_id": id_, "claimed_at": NOW.isoformat()},
    )
    assert tables.has(GOLD) == 100


def test_a_grant_of_somebody_else_is_as_unknown_as_none(tables: Tables) -> None:
    id_ = tables.granted()
    bob = Tables("bob")
    bob.grants = tables.grants
    for call in (bob.claim, bob.revoke):
        foreign, absent = refused(call, id_), refused(call, "g-absent")
        assert isinstance(foreign, NotFound)
        assert foreign.reason == absent.reason == "GRANT_NOT_FOUND"
        assert foreign.text.replace(id_, "") == absent.text.replace("g-absent", "")


@pytest.mark.parametrize(("reward_id", "after"), [("soon", 3600), ("season", 86400), ("both", 86400)])
def test_what_is_not_claimed_in_time_expires(tables: Tables, reward_id: str, after: int) -> None:
    id_ = tables.granted(reward_id)
    end = NOW + timedelta(seconds=after)
    assert tables.grants[id_].expires_at == end
    tables.now = end - timedelta(microseconds=1)
    assert tables.expire(id_) is None
    tables.now = end
    error = refused(tables.claim, id_)
    assert (error.reason, error.metadata["expired_at"]) == ("GRANT_EXPIRED", end.isoformat())
    assert tables.grants[id_].status is GrantStatus.PENDING, "who is refused changes nothing"
    assert tables.expire(id_) == tables.grants[id_]
    assert tables.grants[id_].status is GrantStatus.EXPIRED
    assert tables.happened[-1] == RewardExpired(tables.grants[id_], (f"{id_}:expire:0",))
    assert tables.expire(id_) is None
    assert refused(tables.claim, id_).reason == "GRANT_EXPIRED"
    assert refused(tables.revoke, id_).reason == "GRANT_EXPIRED"
    assert (tables.has(GOLD), tables.has(GOLD, "escrow")) == (0, 0)


def test_to_the_last_microsecond_it_can_be_claimed(tables: Tables) -> None:
    id_ = tables.granted("soon")
    tables.now += timedelta(hours=1) - timedelta(microseconds=1)
    tables.claim(id_)
    tables.now += timedelta(hours=1)
    assert tables.expire(id_) is None, "what was paid stays paid"
    assert tables.has(GOLD) == 1


def test_what_nobody_can_claim_any_more_is_not_granted(tables: Tables) -> None:
    tables.now += timedelta(days=1)
    assert tables.grant("season") is None
    assert not tables.happened


def test_of_a_cosmetic_that_is_there_nothing_more_is_paid(tables: Tables) -> None:
    first, second = tables.granted("title", "one"), tables.granted("title", "two")
    assert tables.has(TITLE, "escrow") == 2
    tables.claim(first)
    (burnt,) = tables.claim(second)
    assert (burnt.id, burnt.kind, burnt.to_account) == (f"{second}:burn:0", "burn", "burn")
    assert (tables.has(TITLE), tables.has(TITLE, "escrow")) == (1, 0)
    assert [each.owned_before for each in tables.grants[second].contents] == [True]
    assert tables.revoke(second) == [], "it paid nothing that could be taken back"
    assert tables.has(TITLE) == 1
    tables.revoke(first)
    assert tables.has(TITLE) == 0


# -- revoking -------------------------------------------------------------------------------------------


def test_what_is_revoked_before_its_claim_goes_back(tables: Tables) -> None:
    id_ = tables.granted("bag")
    taken = tables.revoke(id_)
    assert {(each.kind, each.from_account, each.to_account) for each in taken} == {
        ("revoke", "escrow:ada", "issuer")
    }
    revoked = tables.grants[id_]
    assert (revoked.status, revoked.revoked_at, revoked.claimed_at) == (GrantStatus.REVOKED, NOW, None)
    assert tables.happened[-1] == RewardRevoked(revoked, tuple(each.id for each in taken), "a mistake")
    assert refused(tables.claim, id_).reason == "GRANT_REVOKED"
    assert refused(tables.revoke, id_).reason == "GRANT_REVOKED"


def test_what_is_revoked_after_its_claim_is_burned(tables: Tables) -> None:
    id_ = tables.granted("bag")
    tables.claim(id_)
    tables.now += timedelta(days=3)
    taken = tables.revoke(id_)
    assert {(each.kind, each.from_account, each.to_account) for each in taken} == {
        ("burn", "player:ada", "burn")
    }
    revoked = tables.grants[id_]
    assert (revoked.claimed_at, revoked.revoked_at) == (NOW, tables.now)
    assert (tables.has(GOLD), tables.has(POTION)) == (0, 0)
    assert refused(tables.claim, id_).reason == "GRANT_REVOKED"
    assert entries(tables.transfers)["burn", GOLD] == 5


def test_what_is_no_longer_there_cannot_be_taken_back(tables: Tables) -> None:
    id_ = tables.granted("bag")
    tables.claim(id_)
    tables.balances["player:ada", POTION] -= 1  # as when it was spent
    error = refused(tables.revoke, id_)
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.metadata) == (
        "BALANCE_TOO_LOW",
        {"asset": POTION, "balance": "1", "needed": "2"},
    )
    assert tables.has(GOLD) == 5, "all of it or nothing"
    assert tables.grants[id_].status is GrantStatus.CLAIMED


# -- limits ---------------------------------------------------------------------------------------------


def test_a_balance_never_leaves_64_bits(tables: Tables) -> None:
    id_ = tables.granted("gold")
    tables.balances["player:ada", GOLD] = MOST - 99
    error = refused(tables.claim, id_)
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.metadata["asset"]) == ("BALANCE_TOO_HIGH", GOLD)
    tables.balances["player:ada", GOLD] = MOST - 100
    tables.claim(id_)
    assert tables.has(GOLD) == MOST


def test_an_escrow_never_leaves_64_bits(tables: Tables) -> None:
    tables.balances["escrow:ada", GOLD] = MOST - 99
    assert refused(tables.grant).reason == "BALANCE_TOO_HIGH"
    assert not tables.grants


@pytest.mark.parametrize("quantity", [0, -1, MOST + 1])
def test_no_transfer_is_of_nothing_or_of_too_much(tables: Tables, quantity: int) -> None:
    id_ = tables.granted("gold")
    tables.grants[id_] = replace(tables.grants[id_], contents=(Amount(GOLD, quantity),))
    with pytest.raises(ValueError, match="a transfer of"):
        tables.claim(id_)


@pytest.mark.parametrize("change", ["claim", "revoke"])
def test_who_does_not_ask_for_balances_cannot_move_them(tables: Tables, change: str) -> None:
    """Else a cosmetic could be paid twice, or more burned than there is."""
    id_ = tables.granted("title")
    tables.balances.clear()
    error = refused(getattr(tables, change), id_)
    assert isinstance(error, DataLoss)
    assert error.reason == "ESCROW_TOO_LOW"


def test_within_one_command_all_moves_count(tables: Tables) -> None:
    draft = Draft(Player("ada"))
    for source_id in ("one", "two"):
        owed = grants.grant(
            draft,
            CATALOGUE,
            "title",
            source="quest",
            source_id=source_id,
            cycle=1,
            cause="",
            now=NOW,
            entropy=ENTROPY,
        )
        assert owed is not None
        grants.claim(draft, owed.id, NOW)
    tables.commit(draft)
    assert tables.has(TITLE) == 1
    assert entries(tables.transfers)["burn", TITLE] == 1


# -- any history ----------------------------------------------------------------------------------------

COMMANDS = ("grant", "claim", "revoke", "expire")
SLOTS = [("gold", 1), ("gold", 2), ("bag", 1), ("crate", 1), ("crate", 2), ("soon", 1), ("title", 1)]
# One title only: of two grants of one cosmetic it matters which is claimed first, as is told above.
Step = tuple[str, int, int]
"""The command, of which slot, minutes later."""
STEPS = st.lists(
    st.tuples(st.sampled_from(COMMANDS), st.integers(0, len(SLOTS) - 1), st.integers(0, 30)), max_size=60
)


def apply(tables: Tables, command: str, slot: int) -> bool:
    """Whether it changed anything. What it refuses must change nothing, which `Tables` sees to."""
    reward_id, cycle = SLOTS[slot]
    before = len(tables.happened)
    try:
        if command == "grant":
            tables.grant(reward_id, cycle=cycle)
        else:
            id_ = grants.grant_id(tables.user_id, "achievement", "first", reward_id, cycle)
            getattr(tables, command)(id_)
    except DomainError as error:
        assert error.reason.startswith("GRANT_"), error
        return False
    return len(tables.happened) > before


def check(tables: Tables) -> None:
    """What holds after any history: the balances are what the statuses say, and nothing is paid twice."""
    found = entries(tables.transfers)
    assert all(
        sum(amount for (_, of), amount in found.items() if of == asset) == 0
        for asset in {a for _, a in found}
    )
    for place, balance in tables.balances.items():
        assert found[place] == balance
    due = [each for owed in tables.grants.values() for each in moved(owed)]
    assert len(due) == len(tables.transfers)
    for each in due:
        made = tables.transfers[each.id]
        assert each[1:4] == (made.kind, made.from_account, made.to_account)
        assert each[4:] == (made.amount.asset, made.amount.quantity)
    expected: Counter[tuple[str, str]] = Counter()
    for owed in tables.grants.values():
        kinds = Counter(each.kind for each in tables.transfers.values() if each.grant_id == owed.id)
        assert kinds["claim"] + kinds["expire"] + kinds["revoke"] <= len(owed.contents)
        assert kinds["burn"] <= kinds["claim"], "of what was not paid, nothing is burned"
        assert (kinds["burn"] > 0) == (owed.status is GrantStatus.REVOKED and owed.claimed_at is not None)
        for amount in owed.contents:
            if owed.status is GrantStatus.PENDING:
                expected["escrow:ada", amount.asset] += amount.quantity
            elif owed.status is GrantStatus.CLAIMED:
                expected["player:ada", amount.asset] += amount.quantity
    assert +expected == +tables.balances


@settings(max_examples=150)
@given(STEPS)
def test_after_any_history_balances_are_what_grants_say(steps: list[Step]) -> None:
    tables = Tables()
    for command, slot, minutes in steps:
        tables.now += timedelta(minutes=minutes)
        apply(tables, command, slot)
        check(tables)


@settings(max_examples=150)
@given(STEPS, st.randoms(use_true_random=False))
def test_what_is_delivered_again_changes_nothing(steps: list[Step], random: Any) -> None:
    """What took effect once has no effect a second time, whenever it comes again."""
    tables = Tables()
    effective: list[tuple[str, int]] = []
    for command, slot, minutes in steps:
        tables.now += timedelta(minutes=minutes)
        if apply(tables, command, slot):
            effective.append((command, slot))
        if effective and random.random() < 0.5:
            again = random.choice(effective)
            assert not apply(tables, *again)


@settings(max_examples=150)
@given(STEPS, st.randoms(use_true_random=False))
def test_grants_do_not_disturb_each_other(steps: list[Step], random: Any) -> None:
    """Histories of different grants may be interleaved in any way: each of them stays in its own order."""
    queues = {slot: [step for step in steps if step[1] == slot] for _, slot, _ in steps}
    mixed = [slot for _, slot, _ in steps]
    random.shuffle(mixed)
    first, second = Tables(), Tables()
    for command, slot, _ in steps:
        apply(first, command, slot)
    for slot in mixed:
        command, _, _ = queues[slot].pop(0)
        apply(second, command, slot)
    assert first.balances == second.balances
    assert first.grants == second.grants
    assert first.transfers == second.transfers
