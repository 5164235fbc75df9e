"""What it takes to write a definition."""

from datetime import UTC, datetime
from typing import Any

import pytest
from arenamesh.gamification.v1 import metric_pb2, quest_pb2
from google.protobuf.json_format import ParseDict

from services.chassis.errors import InvalidArgument
from services.gamification.definitions import Writing
from services.gamification.shelf import Definition, Shelf, document

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
END = "2026-02-01T00:00:00Z"
LATER = datetime(2026, 3, 1, tzinfo=UTC)


def festival(**fields: Any) -> quest_pb2.Quest:
    plain = {"id": "festival", "title": "Festival", "type": "QUEST_TYPE_EVENT", "steps": [{"id": "dance"}]}
    return ParseDict(plain | {"is_active": True, "end_date": END} | fields, quest_pb2.Quest())


def writing() -> Writing:
    """A month after the festival."""
    begun = Definition("quest", "festival", 1, document(festival()), 0, BEGUN, BEGUN)
    return Writing(Shelf(1, [begun]), LATER)


def test_a_quest_that_is_over_can_still_be_told_better_and_put_away() -> None:
    change = writing()
    change.update_quest(festival(title="The festival", is_active=False), 1)
    (written,) = change.definitions
    assert written.version == 1
    assert '"title": "The festival"' in written.document


def test_a_new_end_is_not_past() -> None:
    with pytest.raises(InvalidArgument) as refused:
        writing().update_quest(festival(end_date="2026-02-02T00:00:00Z"), 1)
    assert [each.field for each in refused.value.violations] == ["quest.end_date"]


def test_a_quest_starts_by_itself_with_what_is_open_beside_optional_steps() -> None:
    kills = metric_pb2.Metric(id="kills", aggregation=metric_pb2.AGGREGATION_COUNT)
    shelf = Shelf(1, [Definition("metric", "kills", 1, document(kills), 0, BEGUN, BEGUN)])
    hunt = {"metric": "kills", "operator": "OPERATOR_GTE", "threshold": "1"}
    steps = [{"id": "read", "is_optional": True}, {"id": "hunt", "order": 1, "requirements": [hunt]}]
    change = Writing(shelf, BEGUN)
    change.quest(festival(auto_start=True, steps=steps))
    route = shelf.after(2, change.definitions).catalogue.route("kills")
    assert route is not None
    assert [each.id for each in route.auto_quests] == ["festival"]
