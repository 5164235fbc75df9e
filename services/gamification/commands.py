"""What callers change, as commands on players: each decided by the rules of the domain, and answered in the
words of the contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from arenamesh.gamification.v1 import (
    achievement_service_pb2,
    metric_pb2,
    metric_service_pb2,
    quest_pb2,
    quest_service_pb2,
    reward_service_pb2,
)
from google.protobuf.message import Message

from services.chassis import clock
from services.chassis.auth import Principal, Role, principal
from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound
from services.chassis.idempotency import IdempotencyKey, key_of
from services.chassis.method import Context
from services.chassis.write_through import WriteThrough
from services.gamification import translate_out
from services.gamification.batch import Command, Decide, Turn
from services.gamification.committer import Committer
from services.gamification.definitions import not_found
from services.gamification.domain import grants, quests
from services.gamification.domain.achievements import checkpoint
from services.gamification.domain.catalogue import Catalogue, metrics_of
from services.gamification.domain.definitions import Achievement, Aggregation
from services.gamification.domain.events import RewardGranted
from services.gamification.domain.observation import Observation, Outcome, check
from services.gamification.domain.observe import observe
from services.gamification.domain.player import Draft, GrantStatus
from services.gamification.receipts import KeyRing

_OUTCOMES = {
    Outcome.COUNTED: metric_pb2.RECORD_OUTCOME_COUNTED,
    Outcome.LATE: metric_pb2.RECORD_OUTCOME_LATE,
    Outcome.REFUSED: metric_pb2.RECORD_OUTCOME_REFUSED,
    Outcome.QUARANTINED: metric_pb2.RECORD_OUTCOME_QUARANTINED,
    Outcome.UNUSED: metric_pb2.RECORD_OUTCOME_UNUSED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, and on what terms. `id`: of the request, the caller's own or a new one."""

    caller: Principal
    key: IdempotencyKey | None
    id: str
    traceparent: str

    @classmethod
    def of(cls, request: Message, context: Context) -> Self:
        """A method's key is named after it: requests are named after their methods."""
        method = request.DESCRIPTOR.name.removesuffix("Request")
        key = key_of(context, method, request, getattr(request, "request_id", ""))
        metadata = dict(context.invocation_metadata() or ())
        return cls(principal(), key, key.key if key else clock.new_id(), str(metadata.get("traceparent", "")))

    @property
    def cause(self) -> str:
        """Of what comes of it."""
        return f"request:{self.id}"

    def command(self, decide: Decide, *user_ids: str) -> Command:
        actor = f"{self.caller.role.value}:{self.caller.subject}"
        return Command(user_ids, decide, actor, key=self.key, traceparent=self.traceparent)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of RecordMetrics. `id`: unlike any other of the caller; empty: it counts each time."""

    user_id: str
    observation: Observation
    id: str


class Commands:
    """Every one is durable, and what anybody reads, when it returns. What it answered is what a repetition
    gets. Each raises what the rules say, and what `Committer.run` does; then nothing happened."""

    def __init__(self, committer: Committer, writing: WriteThrough[int], keys: KeyRing) -> None:
        self._committer = committer
        self._writing = writing
        self._keys = keys

    async def run(self, command: Command) -> bytes:
        answer = await self._committer.run(command)
        await self._writing.flushed()
        return answer

    # -- metrics ----------------------------------------------------------------------------------

    async def record(self, records: Sequence[Record], asked: Asked) -> bytes:
        """All of them, in order; those that the rules refuse leave the others alone."""

        def decide(turn: Turn) -> bytes:
            for number, each in enumerate(records):
                _check_record(turn, each, f"records[{number}]")
            outcomes = [self._recorded(turn, each) for each in records]
            return metric_service_pb2.RecordMetricsResponse(outcomes=outcomes).SerializeToString()

        users = dict.fromkeys(each.user_id for each in records)
        ids = tuple(dict.fromkeys(each.id for each in records if each.id))
        return await self.run(replace(asked.command(decide, *users), records=ids))

    def _recorded(self, turn: Turn, record: Record) -> metric_pb2.RecordOutcome:
        if record.id and not turn.first(record.id):
            return metric_pb2.RECORD_OUTCOME_DUPLICATE
        return _OUTCOMES[_observe(turn, turn.player(record.user_id), record.observation)]

    async def resolve(self, gain_id: str, user_id: str, asked: Asked, *, release: bool) -> bytes:
        """Of a gain in quarantine. Raises NotFound, FailedPrecondition."""

        def decide(turn: Turn) -> bytes:
            held = turn.gain(gain_id)
            metadata = {"gain_id": gain_id}
            if held is None:
                raise NotFound("There is no such gain.", reason="GAIN_NOT_FOUND", metadata=metadata)
            if held.released is not None:
                raise FailedPrecondition(
                    "Somebody has decided before.",
                    reason="GAIN_RESOLVED",
                    metadata=metadata | {"released": str(held.released).lower()},
                )
            turn.resolve(gain_id, released=release)
            outcome = metric_pb2.RECORD_OUTCOME_REFUSED
            if release:
                gain = held.gain
                seen = Observation(
                    gain.metric, gain.value, gain.member, gain.occurred_at, gain.event, gain.cause
                )
                outcome = _OUTCOMES[_observe(turn, turn.player(user_id), seen, limited=False)]
            return metric_service_pb2.ResolveQuarantinedGainResponse(outcome=outcome).SerializeToString()

        return await self.run(replace(asked.command(decide, user_id), gain_ids=(gain_id,)))

    # -- achievements -----------------------------------------------------------------------------

    async def progress(
        self,
        achievement_id: str,
        user_id: str,
        observations: Sequence[Observation],
        asked: Asked,
        *,
        look: bool,
    ) -> bytes:
        """`look`: a checkpoint. Raises NotFound, FailedPrecondition, InvalidArgument."""

        def decide(turn: Turn) -> bytes:
            achievement = _enabled(turn.catalogue, achievement_id)
            draft = turn.player(user_id)
            for each in observations:
                _check_named(turn, achievement, draft, each)
            for each in observations:
                _observe(turn, draft, each)
            if look:
                checkpoint(
                    draft,
                    turn.catalogue,
                    achievement_id,
                    now=turn.now,
                    entropy=turn.entropy,
                    cause=asked.cause,
                )
            return achievement_service_pb2.UpdateAchievementProgressResponse(
                progress=translate_out.achievement_progress(draft, turn.catalogue, achievement, turn.now),
                grant_ids=_granted(draft),
            ).SerializeToString()

        return await self.run(asked.command(decide, user_id))

    # -- quests -----------------------------------------------------------------------------------

    async def start(self, quest_id: str, user_id: str, asked: Asked) -> bytes:
        def decide(turn: Turn) -> bytes:
            draft, catalogue = turn.player(user_id), turn.catalogue
            quests.start(draft, catalogue, quest_id, now=turn.now, entropy=turn.entropy, cause=asked.cause)
            shown = _quest_progress(turn, draft, quest_id)
            return quest_service_pb2.StartQuestResponse(progress=shown).SerializeToString()

        return await self.run(asked.command(decide, user_id))

    async def complete_step(self, quest_id: str, step_id: str, user_id: str, asked: Asked) -> bytes:
        def decide(turn: Turn) -> bytes:
            draft = turn.player(user_id)
            quests.complete_step(
                draft,
                turn.catalogue,
                quest_id,
                step_id,
                now=turn.now,
                entropy=turn.entropy,
                cause=asked.cause,
                by_player=asked.caller.role is Role.PLAYER,
            )
            return quest_service_pb2.CompleteQuestStepResponse(
                progress=_quest_progress(turn, draft, quest_id), grant_ids=_granted(draft)
            ).SerializeToString()

        return await self.run(asked.command(decide, user_id))

    async def abandon(self, quest_id: str, user_id: str, asked: Asked) -> bytes:
        def decide(turn: Turn) -> bytes:
            draft = turn.player(user_id)
            quests.abandon(draft, turn.catalogue, quest_id, now=turn.now, cause=asked.cause)
            shown = _quest_progress(turn, draft, quest_id)
            return quest_service_pb2.AbandonQuestResponse(progress=shown).SerializeToString()

        return await self.run(asked.command(decide, user_id))

    # -- rewards ----------------------------------------------------------------------------------

    async def distribute(
        self, reward_id: str, user_id: str, asked: Asked, *, source: str, source_id: str, cycle: int
    ) -> bytes:
        def decide(turn: Turn) -> bytes:
            owed = grants.distribute(
                turn.player(user_id),
                turn.catalogue,
                reward_id,
                source=source,
                source_id=source_id,
                cycle=cycle,
                cause=asked.cause,
                now=turn.now,
                entropy=turn.entropy,
            )
            return reward_service_pb2.DistributeRewardResponse(
                distribution=translate_out.grant(owed)
            ).SerializeToString()

        grant_id = grants.grant_id(user_id, source, source_id, reward_id, cycle)
        command = asked.command(decide, user_id)
        return await self.run(replace(command, grant_ids=(grant_id,), balances=True))

    async def claim(self, grant_id: str, user_id: str, asked: Asked) -> bytes:
        def decide(turn: Turn) -> bytes:
            return self._claimed(turn, grant_id, user_id).SerializeToString()

        command = asked.command(decide, user_id)
        return await self.run(replace(command, grant_ids=(grant_id,), balances=True))

    async def claim_first(self, grant_ids: Iterable[str], user_id: str, asked: Asked) -> bytes | None:
        """The first of them that can be claimed. None: there is none any more."""

        def decide(turn: Turn) -> bytes:
            owed = turn.player(user_id).grants
            for grant_id in ids:
                grant = owed.get(grant_id)
                if (
                    grant is not None
                    and grant.status is GrantStatus.PENDING
                    and not grants.is_due(grant, turn.now)
                ):
                    claimed = self._claimed(turn, grant_id, user_id)
                    return reward_service_pb2.ClaimItemResponse(
                        distribution=claimed.distribution,
                        receipt=claimed.receipt,
                        transfers=claimed.transfers,
                    ).SerializeToString()
            raise _NoneLeftError("None of them is left.", reason="GRANT_NOT_FOUND")

        ids = tuple(grant_ids)
        command = asked.command(decide, user_id)
        try:
            return await self.run(replace(command, grant_ids=ids, balances=True))
        except _NoneLeftError:
            return None

    def _claimed(self, turn: Turn, grant_id: str, user_id: str) -> reward_service_pb2.ClaimRewardResponse:
        grant, transfers = grants.claim(turn.player(user_id), grant_id, turn.now)
        return reward_service_pb2.ClaimRewardResponse(
            distribution=translate_out.grant(grant),
            receipt=self._keys.sign(grant, transfers),
            transfers=map(translate_out.transfer, transfers),
        )

    async def revoke(self, grant_id: str, user_id: str, reason: str, asked: Asked) -> bytes:
        def decide(turn: Turn) -> bytes:
            grant, transfers = grants.revoke(turn.player(user_id), grant_id, reason, turn.now)
            return reward_service_pb2.RevokeRewardResponse(
                distribution=translate_out.grant(grant), transfers=map(translate_out.transfer, transfers)
            ).SerializeToString()

        command = asked.command(decide, user_id)
        return await self.run(replace(command, grant_ids=(grant_id,), balances=True))


class _NoneLeftError(NotFound):
    """What could be claimed was, by somebody else, meanwhile."""


# -- rules of requests --------------------------------------------------------------------------------


def _observe(turn: Turn, draft: Draft, seen: Observation, *, limited: bool = True) -> Outcome:
    return observe(draft, turn.catalogue, seen, turn.now, turn.entropy, limited=limited)


def _check_record(turn: Turn, record: Record, path: str) -> None:
    metric = turn.catalogue.metrics.get(record.observation.metric)
    if metric is None:
        raise InvalidArgument.of(f"{path}.metric", "must be the id of a metric", reason="METRIC_UNKNOWN")
    if record.observation.member and metric.aggregation is not Aggregation.DISTINCT:
        raise InvalidArgument.of(f"{path}.member", f"says nothing: {metric.id} counts no different ones")
    check(metric, record.observation, turn.now, f"{path}.")


def _enabled(catalogue: Catalogue, achievement_id: str) -> Achievement:
    achievement = catalogue.achievement(achievement_id)
    if achievement is None:
        raise not_found("achievement", achievement_id)
    if not achievement.enabled:
        raise FailedPrecondition(
            "The achievement is not enabled.",
            reason="ACHIEVEMENT_DISABLED",
            metadata={"achievement_id": achievement_id},
        )
    return achievement


def _check_named(turn: Turn, achievement: Achievement, draft: Draft, seen: Observation) -> None:
    """Of UpdateAchievementProgress: what it gained has to be named by its requirements."""
    path = f"metrics[{seen.metric}]"
    progress = draft.achievements.get(achievement.id)
    version = turn.catalogue.achievement(achievement.id, progress.version) if progress else None
    named = {
        metric
        for each in (achievement, version)
        if each is not None
        for metric in metrics_of(each.requirement)
    }
    if seen.metric not in named:
        raise InvalidArgument.of(path, "must be a metric of the achievement's requirements")
    metric = turn.catalogue.metrics[seen.metric]
    if metric.aggregation is Aggregation.DISTINCT:
        raise InvalidArgument.of(path, "counts different ones: RecordMetrics tells which")
    if metric.aggregation is Aggregation.COUNT and seen.value < 0:
        raise InvalidArgument.of(path, "must not be negative: it counts how often")
    check(metric, seen, turn.now)


def _quest_progress(turn: Turn, draft: Draft, quest_id: str) -> quest_pb2.QuestProgress:
    newest = turn.catalogue.quest(quest_id)
    assert newest is not None
    return translate_out.quest_progress(draft, turn.catalogue, newest, turn.now)


def _granted(draft: Draft) -> list[str]:
    return [event.grant.id for event in draft.happened if isinstance(event, RewardGranted)]
