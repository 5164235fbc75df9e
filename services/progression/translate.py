"""The domain in the words of the contract."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from arenamesh.progression.v1 import history_pb2, mastery_pb2, paragon_pb2, prestige_pb2, service_pb2

from services.chassis.times import stamp
from services.progression.batch import Recorded
from services.progression.domain import events
from services.progression.domain.award import Award
from services.progression.domain.character import Character
from services.progression.domain.definition import MasteryType, Reward
from services.progression.domain.events import ATTRIBUTES, Points
from services.progression.domain.levels import Level
from services.progression.domain.prestige import Bonuses
from services.progression.domain.standing import (
    BaseStanding,
    MasteryStanding,
    ParagonStanding,
    PrestigeStanding,
    Standing,
)
from services.progression.statistics import GlobalStatistics

# -- what callers say ---------------------------------------------------------------------------------


def to_points(message: paragon_pb2.AttributePoints) -> Points:
    return {name: getattr(message, name) for name in ATTRIBUTES}


def to_award(message: service_pb2.ExperienceAward) -> Award:
    return Award(
        character_id=message.character_id,
        player_id=message.player_id,
        source=message.source,
        experience=message.experience,
        mastery=tuple((each.type, each.experience) for each in message.mastery),
        multipliers=tuple((each.name, each.micro) for each in message.multipliers),
        content_level=message.content_level if message.HasField("content_level") else None,
    )


# -- how a character stands ---------------------------------------------------------------------------


def base_level(standing: BaseStanding) -> paragon_pb2.BaseLevel:
    level = standing.level
    return paragon_pb2.BaseLevel(
        level=level.level,
        cap=standing.cap,
        experience=str(level.experience),
        experience_in_level=str(level.in_level),
        experience_of_level=_of_level(level),
    )


def paragon_levels(standing: ParagonStanding) -> paragon_pb2.ParagonLevels:
    level = standing.level
    return paragon_pb2.ParagonLevels(
        level=level.level,
        experience=str(level.experience),
        experience_in_level=str(level.in_level),
        experience_of_level=_of_level(level),
        points_earned=standing.points_earned,
        points_spent=standing.points_spent,
        points_unspent=standing.points_unspent,
        attributes=[
            paragon_pb2.Attribute(
                name=each.name, points=each.points, effect_milli=each.effect_milli, cap=each.cap
            )
            for each in standing.attributes
        ],
        respecs=standing.respecs,
        respec_cost=str(standing.respec_cost),
        curve=standing.curve,
    )


def prestige_info(
    standing: PrestigeStanding, history: Iterable[prestige_pb2.PrestigeReset] = ()
) -> prestige_pb2.PrestigeInfo:
    """`history`: the newest first."""
    return prestige_pb2.PrestigeInfo(
        resets=standing.resets,
        mode=f"PRESTIGE_MODE_{standing.mode.upper()}",
        bonuses=bonuses(standing.bonuses),
        next_bonuses=bonuses(standing.next_bonuses),
        required_level=standing.required_level,
        cost=str(standing.cost),
        available=standing.available,
        unavailable_reason=standing.unavailable_reason,
        history=history,
    )


def bonuses(gained: Bonuses) -> prestige_pb2.PrestigeBonuses:
    return prestige_pb2.PrestigeBonuses(
        xp_micro=gained.xp_micro,
        currency_micro=gained.currency_micro,
        drop_rate_micro=gained.drop_rate_micro,
    )


def mastery_level(standing: MasteryStanding) -> mastery_pb2.MasteryLevel:
    level = standing.level
    return mastery_pb2.MasteryLevel(
        type=standing.type,
        title=standing.title,
        level=level.level,
        max_level=standing.max_level,
        experience=str(level.experience),
        experience_in_level=str(level.in_level),
        experience_of_level=_of_level(level),
        curve=standing.curve,
    )


def mastery_progress(
    character: Character, standing: MasteryStanding
) -> service_pb2.GetMasteryProgressResponse:
    upcoming = standing.next_reward
    return service_pb2.GetMasteryProgressResponse(
        character_id=character.character_id,
        version=character.version,
        mastery=mastery_level(standing),
        percent_milli=standing.level.done_milli,
        next_reward=None if upcoming is None else _reward(standing.type, upcoming, {}),
    )


def mastery_rewards(types: Iterable[MasteryType], character: Character) -> list[mastery_pb2.MasteryReward]:
    """All that these types give, rising by level."""
    every = [(reward.level, each.type, reward) for each in types for reward in each.rewards]
    every.sort(key=lambda item: (item[0], item[1], item[2].reward_id))
    return [_reward(type_, reward, character.rewards) for _, type_, reward in every]


def progress(character: Character, standing: Standing) -> history_pb2.Progress:
    """Without the history of resets: GetPrestigeInfo and GetHistory have that."""
    return history_pb2.Progress(
        character_id=character.character_id,
        player_id=character.player_id,
        version=character.version,
        base=base_level(standing.base),
        paragon=paragon_levels(standing.paragon),
        prestige=prestige_info(standing.prestige),
        mastery=[mastery_level(each) for each in standing.mastery.values()],
    )


def _of_level(level: Level) -> str:
    return "" if level.of_level is None else str(level.of_level)


def _reward(type_: str, reward: Reward, unlocked: Mapping[str, datetime]) -> mastery_pb2.MasteryReward:
    at = unlocked.get(reward.reward_id)
    return mastery_pb2.MasteryReward(
        reward_id=reward.reward_id,
        type=type_,
        level=reward.level,
        title=reward.title,
        unlocked=at is not None,
        unlocked_at=stamp(at),
    )


# -- all of them --------------------------------------------------------------------------------------


def global_stats(statistics: GlobalStatistics, top: int) -> paragon_pb2.GlobalParagonStats:
    return paragon_pb2.GlobalParagonStats(
        characters=statistics.characters,
        experience=str(statistics.experience),
        average_experience=str(statistics.average_experience),
        average_level_milli=statistics.average_level_milli,
        distribution=[
            paragon_pb2.LevelBucket(
                from_level=each.from_level, to_level=each.to_level, characters=each.characters
            )
            for each in statistics.distribution
        ],
        top=[
            paragon_pb2.TopCharacter(
                rank=each.rank,
                character_id=each.character_id,
                level=each.level,
                experience=str(each.experience),
            )
            for each in statistics.top[:top]
        ],
        points=attribute_points(statistics.points),
    )


def character_stats(
    character: Character, standing: ParagonStanding, statistics: GlobalStatistics
) -> paragon_pb2.CharacterParagonStats:
    return paragon_pb2.CharacterParagonStats(
        character_id=character.character_id,
        level=standing.level.level,
        experience=str(standing.level.experience),
        percentile_milli=statistics.percentile_milli(standing.level.level),
        points=attribute_points(character.points),
        points_unspent=standing.points_unspent,
    )


# -- what happened ------------------------------------------------------------------------------------


def history_event(recorded: Recorded) -> history_pb2.HistoryEvent:
    told = history_pb2.HistoryEvent(version=recorded.version, time=stamp(recorded.at), actor=recorded.actor)
    match recorded.event:
        case events.Enrolled() as event:
            told.enrolled.player_id = event.player_id
            told.enrolled.definition = event.definition
        case events.ExperienceAwarded() as event:
            told.experience_awarded.CopyFrom(experience_awarded(event))
        case events.PointsDistributed() as event:
            told.points_distributed.points.CopyFrom(attribute_points(event.points))
        case events.PointsRespecced() as event:
            told.points_respecced.points.CopyFrom(attribute_points(event.points))
            told.points_respecced.cost = str(event.cost)
        case events.PrestigeReset() as event:
            told.prestige_reset.CopyFrom(prestige_reset(event, recorded.at))
        case events.DefinitionChanged() as event:
            told.definition_changed.CopyFrom(_definition_changed(event))
    return told


def experience_awarded(event: events.ExperienceAwarded) -> history_pb2.ExperienceAwarded:
    return history_pb2.ExperienceAwarded(
        source=event.source,
        base=str(event.base),
        multipliers=[
            history_pb2.Multiplier(name=each.name, micro=each.micro, result=str(each.result))
            for each in event.multipliers
        ],
        experience=str(event.experience),
        base_experience=str(event.base_experience),
        paragon_experience=str(event.paragon_experience),
        base_level=_level_change(event.from_base_level, event.to_base_level),
        paragon_level=_level_change(event.from_paragon_level, event.to_paragon_level),
        mastery=[
            history_pb2.MasteryGain(
                type=gain.type,
                experience=str(gain.experience),
                level=_level_change(gain.from_level, gain.to_level),
                reward_ids=gain.reward_ids,
            )
            for gain in event.mastery
        ],
    )


def prestige_reset(event: events.PrestigeReset, at: datetime) -> prestige_pb2.PrestigeReset:
    gained = Bonuses(event.xp_micro, event.currency_micro, event.drop_rate_micro)
    return prestige_pb2.PrestigeReset(
        number=event.number,
        time=stamp(at),
        base_level=event.base_level,
        paragon_level=event.paragon_level,
        cost=str(event.cost),
        bonuses=bonuses(gained),
    )


def attribute_points(points: Mapping[str, int]) -> paragon_pb2.AttributePoints:
    return paragon_pb2.AttributePoints(**points)


def _definition_changed(event: events.DefinitionChanged) -> history_pb2.DefinitionChanged:
    changed = history_pb2.DefinitionChanged(
        to=event.to_definition,
        tracks=[
            history_pb2.TrackChange(
                track=each.track,
                from_curve=each.from_curve,
                to_curve=each.to_curve,
                mode=each.mode,
                experience_before=str(each.experience_before),
                experience_after=str(each.experience_after),
                level=_level_change(each.from_level, each.to_level),
            )
            for each in event.tracks
        ],
        points_returned=event.points_returned,
    )
    setattr(changed, "from", event.from_definition)
    return changed


def _level_change(from_level: int, to_level: int) -> history_pb2.LevelChange:
    return history_pb2.LevelChange(**{"from": from_level, "to": to_level})
