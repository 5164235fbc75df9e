"""Every REST path of sessions, join, damage, actions, position and state, through Envoy."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from services.mesh import probes
from tests.e2e.conftest import Rest, bearer, reason_of

ADA, BEN = bearer("ada"), bearer("ben")
OPERATOR = bearer("olga", "operator")


async def match(rest: Rest) -> str:
    """A running session with Ada in seat 0 and Ben in seat 1."""
    session = await rest.create(min_players=2)
    for player in (ADA, BEN):
        await rest.ok("POST", f"/sessions/{session}/join", {}, by=player)
    return session


async def combatant(rest: Rest, session: str, slot: int, by: dict[str, str]) -> dict[str, Any]:
    state = await rest.ok("GET", f"/sessions/{session}/state", by=by)
    players = state["snapshot"]["entities"]
    found: dict[str, Any] = next(player for player in players if player["slot"] == slot)
    return found


class TestSessions:
    async def test_created_read_changed_ended(self, rest: Rest) -> None:
        body = {
            "session": {"name": "friday", "type": "SESSION_TYPE_DUEL", "max_players": 2, "min_players": 2}
        }
        created = (await rest.ok("POST", "/sessions", body))["session"]
        path = f"/sessions/{created['session_id']}"
        assert created["status"] == "SESSION_STATUS_WAITING"
        assert (await rest.ok("GET", path, by=ADA))["session"] == created
        assert (await rest.ok("PATCH", path, {"name": "friday night"}))["session"]["name"] == "friday night"
        assert (await rest.ok("PUT", path, {"name": "late"}, by=OPERATOR))["session"]["name"] == "late"
        assert (await rest.ok("DELETE", path))["session"]["status"] == "SESSION_STATUS_ABORTED"
        assert (await rest.ok("GET", path))["session"]["status"] == "SESSION_STATUS_ABORTED"

    async def test_defaults_are_filled_in(self, rest: Rest) -> None:
        session = (await rest.ok("GET", f"/sessions/{await rest.create()}"))["session"]
        assert session["map_id"] == "yard"
        assert session["max_players"] == 16
        assert session["tick_rate_hz"] == 30
        assert session["ruleset"]["name"] == "default"
        assert session["ruleset"]["version"] >= 1

    async def test_listed_newest_first_in_pages(self, rest: Rest) -> None:
        made = [await rest.create(type="SESSION_TYPE_RAID") for _ in range(5)]
        found: list[str] = []
        token = ""
        while len(found) < 5:
            query = f"?type=SESSION_TYPE_RAID&status=SESSION_STATUS_WAITING&page_size=2&page_token={token}"
            page = await rest.ok("GET", f"/sessions{query}", by=ADA)
            assert len(page["sessions"]) <= 2
            found += [session["session_id"] for session in page["sessions"]]
            token = page["next_page_token"]
            if not token:
                break
        assert found[:5] == made[::-1]

    async def test_the_same_idempotency_key_creates_once(self, rest: Rest) -> None:
        body = {"session": {"name": "once", "type": "SESSION_TYPE_TRAINING"}}
        answers = [await rest.ok("POST", "/sessions", body, idempotency_key="key-once") for _ in range(4)]
        # Each try has another request id, so it may have met another worker.
        assert len({answer["session"]["session_id"] for answer in answers}) == 1
        changed = {"session": {"name": "twice", "type": "SESSION_TYPE_TRAINING"}}
        status, answer = await rest("POST", "/sessions", changed, idempotency_key="key-once")
        assert (status, reason_of(answer)) == (400, "IDEMPOTENCY_KEY_REUSED")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (
                {"session": {"name": "x", "type": "SESSION_TYPE_DUEL", "max_players": 1001}},
                "session.max_players",
            ),
            ({"session": {"name": "x", "type": "SESSION_TYPE_DUEL", "map_id": "No Such"}}, "session.map_id"),
            ({}, "session"),
        ],
    )
    async def test_a_broken_rule_names_the_field(self, rest: Rest, body: Any, field: str) -> None:
        status, answer = await rest("POST", "/sessions", body)
        assert status == 400
        (detail,) = [detail for detail in answer["details"] if detail["@type"].endswith("BadRequest")]
        assert field in [violation["field"] for violation in detail["field_violations"]]

    async def test_who_is_not_there_is_not_found(self, rest: Rest) -> None:
        status, answer = await rest("GET", "/sessions/nobody", by=ADA)
        assert (status, answer["code"]) == (404, 5)
        assert reason_of(answer)

    async def test_a_player_creates_changes_and_ends_nothing(self, rest: Rest) -> None:
        session = await rest.create()
        for method, path, body in (
            ("POST", "/sessions", {"session": {"name": "x", "type": "SESSION_TYPE_DUEL"}}),
            ("PATCH", f"/sessions/{session}", {"name": "mine"}),
            ("DELETE", f"/sessions/{session}", None),
        ):
            status, answer = await rest(method, path, body, by=ADA)
            assert (status, reason_of(answer)) == (403, "ROLE_NOT_ALLOWED")

    async def test_what_has_ended_stays_ended(self, rest: Rest) -> None:
        session = await rest.create()
        await rest.ok("DELETE", f"/sessions/{session}")
        for method, path, body in (
            ("PATCH", f"/sessions/{session}", {"status": "SESSION_STATUS_ACTIVE"}),
            ("POST", f"/sessions/{session}/join", {"player_id": "ada"}),
        ):
            status, answer = await rest(method, path, body)
            assert (status, answer["code"]) == (400, 9), answer
            assert reason_of(answer)


class TestSeats:
    async def test_joining_starts_the_match_and_again_gives_the_same_seat(self, rest: Rest) -> None:
        session = await rest.create(min_players=2)
        first = await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA)
        assert first["seat"]["player_id"] == "ada"
        assert first["session"]["status"] == "SESSION_STATUS_WAITING"
        second = await rest.ok("POST", f"/sessions/{session}/join", {}, by=BEN)
        assert second["session"]["status"] == "SESSION_STATUS_ACTIVE"
        again = await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA)
        assert again["seat"]["slot"] == first["seat"]["slot"]

    async def test_a_player_acts_only_for_itself_and_a_game_server_for_all(self, rest: Rest) -> None:
        session = await rest.create()
        status, answer = await rest("POST", f"/sessions/{session}/join", {"player_id": "ben"}, by=ADA)
        assert (status, answer["code"]) == (403, 7)
        joined = await rest.ok("POST", f"/sessions/{session}/join", {"player_id": "ben"})
        assert joined["seat"]["player_id"] == "ben"

    async def test_a_full_session_refuses_and_leaving_frees_the_seat(self, rest: Rest) -> None:
        session = await rest.create(max_players=1)
        await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA)
        status, answer = await rest("POST", f"/sessions/{session}/join", {}, by=BEN)
        assert (status, reason_of(answer)) == (400, "FULL")
        await rest.ok("POST", f"/sessions/{session}/leave", {}, by=ADA)
        await rest.ok("POST", f"/sessions/{session}/join", {}, by=BEN)


class TestCommands:
    async def test_a_position_is_judged(self, rest: Rest) -> None:
        session = await match(rest)
        slot = (await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA))["seat"]["slot"]
        before = await combatant(rest, session, slot, ADA)
        pose = {axis: before.get(f"{axis}_mm", 0) / 1000 for axis in "xyz"}
        move = {**pose, "mode": "MOVE_MODE_WALK", "client_time_us": "1000"}
        verdict = (await rest.ok("POST", f"/sessions/{session}/position", {"move": move}, by=ADA))["verdict"]
        assert verdict["slot"] == slot
        assert verdict["outcome"] == "OUTCOME_ACCEPTED"
        far = {**move, "x": pose["x"] + 500.0, "client_time_us": "2000"}
        verdict = (await rest.ok("POST", f"/sessions/{session}/position", {"move": far}, by=ADA))["verdict"]
        assert (verdict["outcome"], verdict["reason"]) == ("OUTCOME_REJECTED", "REASON_OUT_OF_BOUNDS")
        inwards = -5.0 if pose["x"] > 0 else 5.0
        hasty = {**move, "x": pose["x"] + inwards, "client_time_us": "3000"}
        verdict = (await rest.ok("POST", f"/sessions/{session}/position", {"move": hasty}, by=ADA))["verdict"]
        assert (verdict["outcome"], verdict["reason"]) == ("OUTCOME_CORRECTED", "REASON_TOO_FAST")
        assert verdict["correction"]["x"] == pose["x"]

    async def test_direct_damage_is_for_game_servers_and_is_seen(self, rest: Rest) -> None:
        session = await match(rest)
        slots = {
            name: (await rest.ok("POST", f"/sessions/{session}/join", {}, by=by))["seat"]["slot"]
            for name, by in (("ada", ADA), ("ben", BEN))
        }
        direct = {
            "target": slots["ben"],
            "amount_milli": 25000,
            "source": "DAMAGE_SOURCE_SCRIPT",
            "bypass": True,
        }
        path, body = f"/sessions/{session}/damage", {"player_id": "ada", "direct": direct}
        verdict = (await rest.ok("POST", path, body))["verdict"]
        assert verdict["outcome"] == "OUTCOME_ACCEPTED"
        (hit,) = verdict["hits"]
        assert (hit["slot"], hit["dealt_milli"]) == (slots["ben"], 25000)

        async def seen() -> bool:
            ben = await combatant(rest, session, slots["ben"], BEN)
            return bool(ben["health_milli"] == hit["health_milli"])

        # The state is that of the newest tick, which may be just before the damage.
        async with asyncio.timeout(10):
            await probes.until(seen)
        own = (await rest.ok("POST", path, {"direct": direct}, by=ADA))["verdict"]
        assert (own["outcome"], own["reason"]) == ("OUTCOME_REJECTED", "REASON_NOT_TRUSTED")

    async def test_a_shot_from_the_own_eye_is_fired(self, rest: Rest) -> None:
        session = await match(rest)
        slot = (await rest.ok("POST", f"/sessions/{session}/join", {}, by=ADA))["seat"]["slot"]
        body = await combatant(rest, session, slot, ADA)
        shot = {
            "weapon": 0,
            "origin_x": body["x_mm"] / 1000,
            "origin_y": body["y_mm"] / 1000,
            "origin_z": body["z_mm"] / 1000 + 1.62,
            "direction_z": 1.0,
        }
        verdict = (await rest.ok("POST", f"/sessions/{session}/damage", {"shot": shot}, by=ADA))["verdict"]
        assert (verdict["outcome"], verdict["hits"]) == ("OUTCOME_ACCEPTED", [])
        assert verdict["ammo"] == 29

    async def test_a_shot_from_somewhere_else_is_refused_with_the_reason(self, rest: Rest) -> None:
        session = await match(rest)
        shot = {"weapon": 0, "origin_x": 900.0, "direction_x": 1.0}
        verdict = (await rest.ok("POST", f"/sessions/{session}/damage", {"shot": shot}, by=ADA))["verdict"]
        assert (verdict["outcome"], verdict["reason"]) == ("OUTCOME_REJECTED", "REASON_BAD_ORIGIN")

    async def test_an_unknown_action_is_refused_with_the_reason(self, rest: Rest) -> None:
        session = await match(rest)
        body = {"action": {"action": 999}}
        verdict = (await rest.ok("POST", f"/sessions/{session}/actions", body, by=ADA))["verdict"]
        assert (verdict["outcome"], verdict["reason"]) == ("OUTCOME_REJECTED", "REASON_UNKNOWN_ACTION")

    async def test_a_repeat_gets_the_first_verdict(self, rest: Rest) -> None:
        session = await match(rest)
        body = {"sequence": 7, "action": {"action": 999}}
        path = f"/sessions/{session}/actions"
        first = (await rest.ok("POST", path, body, by=ADA))["verdict"]
        again = (await rest.ok("POST", path, body, by=ADA))["verdict"]
        assert again["repeated"]
        assert again["outcome"] == first["outcome"]

    async def test_a_stranger_to_the_session_is_told(self, rest: Rest) -> None:
        session = await match(rest)
        status, answer = await rest(
            "POST", f"/sessions/{session}/actions", {"action": {"action": 0}}, by=bearer("eve")
        )
        assert (status, reason_of(answer)) == (400, "NOT_JOINED")

    async def test_the_state_has_everybody_and_a_hash(self, rest: Rest) -> None:
        session = await match(rest)
        state = await rest.ok("GET", f"/sessions/{session}/state")
        assert {seat["player_id"] for seat in state["seats"]} == {"ada", "ben"}
        assert re.fullmatch(r"[0-9a-f]{16}", state["state_hash"])
        assert len(state["snapshot"]["entities"]) == 2

    async def test_time_goes_on_between_two_looks(self, rest: Rest) -> None:
        session = await match(rest)
        first = await rest.ok("GET", f"/sessions/{session}/state")

        async def later() -> bool:
            now = await rest.ok("GET", f"/sessions/{session}/state")
            return int(now["server_time_us"]) > int(first["server_time_us"])

        async with asyncio.timeout(10):
            await probes.until(later)
