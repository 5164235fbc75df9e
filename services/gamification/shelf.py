"""All definitions of one revision: as the rules see them, and in the words of the contract."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from arenamesh.gamification.v1 import achievement_pb2, metric_pb2, quest_pb2, reward_pb2
from google.protobuf import json_format
from google.protobuf.message import Message as Protobuf

from services.gamification import translate_in
from services.gamification.domain.catalogue import Catalogue
from services.gamification.domain.definitions import Metric

Message = metric_pb2.Metric | reward_pb2.Reward | achievement_pb2.Achievement | quest_pb2.Quest
M = TypeVar("M", metric_pb2.Metric, reward_pb2.Reward, achievement_pb2.Achievement, quest_pb2.Quest)
B = TypeVar("B", bound=Protobuf)
Versions = dict[str, dict[int, M]]

MESSAGES: Mapping[str, type[Message]] = {
    "metric": metric_pb2.Metric,
    "reward": reward_pb2.Reward,
    "achievement": achievement_pb2.Achievement,
    "quest": quest_pb2.Quest,
}
"""By kind, each after those that it names."""
_PARSED = 16_384
"""Documents that are remembered, so that another revision costs what is new in it."""


class Definition(NamedTuple):
    """A version of something that can be earned, as its row has it. `document`: JSON of the contract's
    message, without what the service sets. In an achievement and a quest, rewards are only named."""

    kind: str
    id: str
    version: int
    document: str
    brings_over: int
    created_at: datetime
    updated_at: datetime


class Shelf:
    """Every version of everything. Messages in it belong to it: whoever changes one copies it."""

    def __init__(self, revision: int = 0, definitions: Iterable[Definition] = ()) -> None:
        self.revision = revision
        self.definitions = {(each.kind, each.id, each.version): each for each in definitions}
        """By kind, id and version."""
        self._latest: dict[tuple[str, str], int] = {}
        for kind, id_, version in sorted(self.definitions):
            self._latest[kind, id_] = version
        self.metrics = _newest(self._messages("metric", metric_pb2.Metric))
        self.rewards = _newest(self._messages("reward", reward_pb2.Reward))
        self._achievements = self._messages("achievement", achievement_pb2.Achievement)
        self._quests = self._messages("quest", quest_pb2.Quest)
        self.achievements = _newest(self._achievements)
        """Newest versions, by rising id; so are those of other kinds."""
        self.quests = _newest(self._quests)
        self.catalogue = self._catalogue()

    def achievement(self, id_: str, version: int) -> achievement_pb2.Achievement | None:
        return self._achievements.get(id_, {}).get(version)

    def quest(self, id_: str, version: int) -> quest_pb2.Quest | None:
        return self._quests.get(id_, {}).get(version)

    def newest(self, kind: str, id_: str) -> Definition | None:
        version = self._latest.get((kind, id_))
        return None if version is None else self.definitions[kind, id_, version]

    def after(self, revision: int, definitions: Iterable[Definition]) -> "Shelf":
        """With these, new ones and changed ones."""
        changed = {(each.kind, each.id, each.version): each for each in definitions}
        return Shelf(revision, (self.definitions | changed).values())

    def _messages(self, kind: str, cls: type[M]) -> "Versions[M]":
        found: Versions[M] = {}
        for each in self.definitions.values():
            if each.kind != kind:
                continue
            message = cls.FromString(_encoded(kind, each.document))
            _stamp(message, each)
            found.setdefault(each.id, {})[each.version] = message
        return found

    def _catalogue(self) -> Catalogue:
        metrics: Mapping[str, Metric] = {
            id_: translate_in.metric(message) for id_, message in self.metrics.items()
        }
        return Catalogue(
            self.revision,
            metrics=metrics.values(),
            rewards=[
                translate_in.reward(message, self._latest["reward", id_])
                for id_, message in self.rewards.items()
            ],
            achievements=[
                translate_in.achievement(
                    message, metrics, version, self.definitions["achievement", id_, version].brings_over
                )
                for id_, versions in self._achievements.items()
                for version, message in versions.items()
            ],
            quests=[
                translate_in.quest(message, metrics, version)
                for versions in self._quests.values()
                for version, message in versions.items()
            ],
        )


def bare(message: B) -> B:
    """A copy, without what the service sets."""
    copy = type(message).FromString(message.SerializeToString())
    for name in ("version", "created_at", "updated_at"):
        if name in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(name)
    return copy


def document(message: Protobuf) -> str:
    """As a row has it; what is read again is the same, though not letter for letter."""
    return json_format.MessageToJson(
        bare(message), preserving_proto_field_name=True, indent=None, sort_keys=True
    )


@lru_cache(_PARSED)
def _encoded(kind: str, document: str) -> bytes:
    message = json_format.Parse(document, MESSAGES[kind](), ignore_unknown_fields=True)
    return message.SerializeToString()


def _stamp(message: Message, definition: Definition) -> None:
    message.created_at.FromDatetime(definition.created_at)
    if isinstance(message, achievement_pb2.Achievement | quest_pb2.Quest):
        message.version = definition.version
        message.updated_at.FromDatetime(definition.updated_at)


def _newest(versions: "Versions[M]") -> dict[str, M]:
    return {id_: found[max(found)] for id_, found in sorted(versions.items())}
