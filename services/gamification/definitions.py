"""What it takes to write a definition: rules that look at time and at other definitions, and what comes of
it. Pure: `definition_commands.py` commits it."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from arenamesh.events.v1.envelope_pb2 import Envelope
from arenamesh.gamification.v1 import achievement_pb2, metric_pb2, quest_pb2, requirement_pb2, reward_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from services.chassis.times import to_time
from services.gamification import sources, translate_in
from services.gamification.domain.accumulator import MAX_MEMBERS
from services.gamification.domain.definitions import Aggregation, Metric
from services.gamification.shelf import Definition, Message, Shelf, bare, document
from services.gamification.texts import storable
from services.gamification.told import tell_created

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PREREQUISITES = {
    requirement_pb2.REQUIREMENT_TYPE_QUEST: "quest",
    requirement_pb2.REQUIREMENT_TYPE_ACHIEVEMENT: "achievement",
}
# What may change without another version: who is on their way is not concerned.
_SHOWN = {
    "achievement": ("title", "description", "type", "category", "is_enabled", "metadata"),
    "quest": ("title", "description", "type", "difficulty", "is_active", "metadata"),
}
O = TypeVar("O", achievement_pb2.Achievement, quest_pb2.Quest)  # noqa: E741
Owner = achievement_pb2.Achievement | quest_pb2.Quest


@dataclass(slots=True)
class Writing:
    """What is to be written. `coming`: kinds and ids that will be there too. `path`: of the message."""

    shelf: Shelf
    at: datetime
    coming: Collection[tuple[str, str]] = ()
    definitions: list[Definition] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    _rewards: dict[str, reward_pb2.Reward] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        """A new one; its id is given. Raises InvalidArgument, AlreadyExists."""
        match message:
            case metric_pb2.Metric():
                self.metric(message)
            case reward_pb2.Reward():
                self.reward(message)
            case achievement_pb2.Achievement():
                self.achievement(message)
            case quest_pb2.Quest():
                self.quest(message)

    # -- single ones ------------------------------------------------------------------------------

    def metric(self, message: metric_pb2.Metric) -> None:
        """A new one. Raises InvalidArgument, AlreadyExists."""
        storable(message, "metric")
        metric = translate_in.metric(message)
        violations = [
            each
            for number, source in enumerate(metric.sources)
            for each in sources.violations(metric.aggregation, source, f"metric.sources[{number}]")
        ]
        if violations:
            text = "; ".join(f"{each.field}: {each.description}" for each in violations)
            raise InvalidArgument(text, reason="FIELD_INVALID", violations=violations)
        _reachable(metric)
        self._absent("metric", message.id)
        self._new("metric", message)

    def reward(self, message: reward_pb2.Reward) -> None:
        """A new one; its id is given. Raises InvalidArgument, AlreadyExists."""
        storable(message, "reward")
        self._absent("reward", message.id)
        self._valid_reward(message, "reward")
        self._new("reward", message)

    def achievement(self, message: achievement_pb2.Achievement) -> None:
        """A new one; its id is given. Raises InvalidArgument, AlreadyExists."""
        self._absent("achievement", message.id)
        self._check_achievement(message)
        self._new("achievement", message)
        self._tell(message, 1)

    def quest(self, message: quest_pb2.Quest) -> None:
        """A new one; its id is given. Raises InvalidArgument, AlreadyExists."""
        self._absent("quest", message.id)
        self._check_quest(message)
        self._new("quest", message)

    def update_achievement(
        self, message: achievement_pb2.Achievement, expected_version: int, *, bring_over: bool
    ) -> None:
        """Raises InvalidArgument, NotFound, Conflict."""
        _identified(message, "achievement")
        before = self._present("achievement", message.id, expected_version)
        self._check_achievement(message)
        after = self._replace(before, message, bring_over=bring_over)
        if after.version != before.version:
            self._tell(message, after.version)

    def update_quest(self, message: quest_pb2.Quest, expected_version: int) -> None:
        """Raises InvalidArgument, NotFound, Conflict."""
        _identified(message, "quest")
        before = self._present("quest", message.id, expected_version)
        self._check_quest(message)
        self._replace(before, message)

    # -- rules ------------------------------------------------------------------------------------

    def _check_achievement(self, message: achievement_pb2.Achievement) -> None:
        storable(message, "achievement")
        self._name_rewards(message, message.rewards, message.id, "achievement.rewards")
        translate_in.achievement(message, self.shelf.catalogue.metrics, 1)

    def _check_quest(self, message: quest_pb2.Quest) -> None:
        storable(message, "quest")
        self._name_rewards(message, message.rewards, message.id, "quest.rewards")
        for number, step in enumerate(message.steps):
            owner, path = f"{message.id}.{step.id}", f"quest.steps[{number}].rewards"
            self._name_rewards(message, step.rewards, owner, path)
        translate_in.quest(message, self.shelf.catalogue.metrics, 1)
        before = self.shelf.quests.get(message.id)
        # What is over can still be told better, or put away.
        if message.HasField("end_date") and (before is None or message.end_date != before.end_date):
            self._future(message.end_date, "quest.end_date")
        self._know(message, message.requirements, "quest.requirements")
        for number, step in enumerate(message.steps):
            self._know(message, step.requirements, f"quest.steps[{number}].requirements")

    def _know(
        self, quest: quest_pb2.Quest, messages: Iterable[requirement_pb2.Requirement], path: str
    ) -> None:
        """What has to be completed before is there, and is not the quest itself."""
        for at, requirement in _walk(messages, path):
            kind = _PREREQUISITES.get(requirement.type)
            if kind is None:
                continue
            name = (kind, requirement.id)
            if name == ("quest", quest.id):
                raise InvalidArgument.of(f"{at}.id", "must be another quest than this one")
            if self.shelf.newest(*name) is None and name not in self.coming:
                reason = f"{kind.upper()}_UNKNOWN"
                raise InvalidArgument.of(f"{at}.id", f"must be the id of {_a(kind)}", reason=reason)

    def _future(self, timestamp: Timestamp, path: str) -> None:
        if to_time(timestamp, path) <= self.at:
            raise InvalidArgument.of(path, "must not be past")

    def _valid_reward(self, message: reward_pb2.Reward, path: str) -> None:
        translate_in.reward(message, 1, path)
        if message.HasField("expires_at"):
            self._future(message.expires_at, f"{path}.expires_at")

    # -- rewards within ---------------------------------------------------------------------------

    def _name_rewards(
        self, owner: Owner, messages: Sequence[reward_pb2.Reward], prefix: str, path: str
    ) -> None:
        """Those that are told in full become definitions of their own; the owner only names them."""
        for number, each in enumerate(messages):
            at = f"{path}[{number}]"
            if translate_in.is_reference(each):
                known = each.id in self.shelf.rewards or each.id in self._rewards
                if not known and ("reward", each.id) not in self.coming:
                    rule = "must be the id of a reward"
                    raise InvalidArgument.of(f"{at}.id", rule, reason="REWARD_UNKNOWN")
                continue
            each.id = each.id or f"{prefix}.{number + 1}"
            if not _ID.fullmatch(each.id):
                raise InvalidArgument.of(f"{at}.id", "must be given: the one made of other ids is too long")
            each.title = each.title or owner.title
            self._own_reward(owner, each, at)
            id_ = each.id
            each.Clear()
            each.id = id_

    def _own_reward(self, owner: Owner, message: reward_pb2.Reward, path: str) -> None:
        """Told in full: a new one, one that is the same already, or another version of the owner's own."""
        translate_in.reward(message, 1, path)
        before = self.shelf.newest("reward", message.id)
        twin = self._rewards.get(message.id)
        if before is not None and bare(self.shelf.rewards[message.id]) == bare(message):
            return
        if twin is not None:
            if bare(twin) != bare(message):
                raise InvalidArgument.of(f"{path}.id", "is the id of another reward beside it")
            return
        self._valid_reward(message, path)
        if before is None:
            self._new("reward", message)
        elif message.id in self._owned(owner):
            version = before._replace(
                version=before.version + 1, document=document(message), created_at=self.at, updated_at=self.at
            )
            self.definitions.append(version)
        else:
            raise _exists("reward", message.id)
        kept = reward_pb2.Reward()
        kept.CopyFrom(message)
        self._rewards[message.id] = kept

    def _owned(self, owner: Owner) -> set[str]:
        """Rewards that the owner names already, and nobody else."""
        mine: set[str] = set()
        others: set[str] = set()
        owners: list[Owner] = [*self.shelf.achievements.values(), *self.shelf.quests.values()]
        for each in owners:
            same = type(each) is type(owner) and each.id == owner.id
            (mine if same else others).update(reward.id for reward in rewards_of(each))
        return mine - others

    # -- rows -------------------------------------------------------------------------------------

    def _absent(self, kind: str, id_: str) -> None:
        if self.shelf.newest(kind, id_) is not None:
            raise _exists(kind, id_)

    def _present(self, kind: str, id_: str, expected: int) -> Definition:
        found = self.shelf.newest(kind, id_)
        if found is None:
            raise not_found(kind, id_)
        if expected and expected != found.version:
            raise Conflict(
                f"It is at version {found.version}, not {expected}.",
                reason="STALE_VERSION",
                metadata={"id": id_, "version": str(found.version)},
            )
        return found

    def _new(self, kind: str, message: Message) -> None:
        self.definitions.append(Definition(kind, message.id, 1, document(message), 0, self.at, self.at))

    def _replace(self, before: Definition, message: O, *, bring_over: bool = False) -> Definition:
        old = type(message).FromString(self._message(before).SerializeToString())
        same = _followed(before.kind, old) == _followed(before.kind, message)
        version = before.version + (not same)
        after = before._replace(
            version=version,
            document=document(message),
            brings_over=version if bring_over else before.brings_over,
            updated_at=self.at,
        )
        self.definitions.append(after)
        return after

    def _message(self, definition: Definition) -> Owner:
        owners: Mapping[str, Owner] = (
            self.shelf.achievements if definition.kind == "achievement" else self.shelf.quests
        )
        return owners[definition.id]

    def _tell(self, message: achievement_pb2.Achievement, version: int) -> None:
        secret = message.type == achievement_pb2.ACHIEVEMENT_TYPE_SECRET
        self.envelopes.append(tell_created(message.id, version, message.title, secret=secret, at=self.at))


def rewards_of(owner: Owner) -> Iterator[reward_pb2.Reward]:
    """All that it names, those of steps too."""
    yield from owner.rewards
    if isinstance(owner, quest_pb2.Quest):
        for step in owner.steps:
            yield from step.rewards


def not_found(kind: str, id_: str) -> NotFound:
    return NotFound(
        f"There is no such {kind}.", reason=f"{kind.upper()}_NOT_FOUND", metadata={f"{kind}_id": id_}
    )


def _reachable(metric: Metric) -> None:
    """Limits of what is counted only so far have to be within that."""
    if metric.aggregation is Aggregation.DISTINCT:
        for number, limit in enumerate(metric.limits):
            if limit.most > MAX_MEMBERS:
                rule = f"must be at most {MAX_MEMBERS}: of more different ones nobody keeps count"
                raise InvalidArgument.of(f"metric.limits[{number}].most", rule)


def _identified(message: Owner, path: str) -> None:
    if not message.id:
        raise InvalidArgument.of(f"{path}.id", "must be given")


def _exists(kind: str, id_: str) -> AlreadyExists:
    return AlreadyExists(
        f"There is {_a(kind)} with this id.", reason=f"{kind.upper()}_EXISTS", metadata={f"{kind}_id": id_}
    )


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _followed(kind: str, message: O) -> O:
    """What players follow."""
    followed = bare(message)
    for name in _SHOWN[kind]:
        followed.ClearField(name)
    return followed


def _walk(
    messages: Iterable[requirement_pb2.Requirement], path: str
) -> Iterator[tuple[str, requirement_pb2.Requirement]]:
    for number, each in enumerate(messages):
        at = f"{path}[{number}]"
        yield at, each
        yield from _walk(each.requirements, f"{at}.requirements")
