"""What a match is counted to, through Envoy: the mesh runs the projector beside its workers."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.conftest import Rest, bearer, reason_of

EVE = bearer("eve")


async def counted(rest: Rest, path: str, through: int) -> Any:
    """The statistics of a session once they hold everything up to a record."""
    async with asyncio.timeout(60):  # the projector steps back on a full machine
        while True:
            answer = await rest.ok("GET", f"{path}/stats", by=EVE)
            if int(answer["journal_sequence"]) >= through:
                return answer
            await asyncio.sleep(0.05)


async def test_a_match_is_counted(rest: Rest) -> None:
    path = f"/sessions/{await rest.create(min_players=2)}"
    players = ["counted-ann", "counted-ben"]
    assert (await rest.ok("GET", f"{path}/stats", by=EVE))["players"] == []
    for name in players:
        await rest.ok("POST", f"{path}/join", {"player_id": name})
    hurt = {
        "player_id": players[0],
        "direct": {
            "target": 1,
            "amount_milli": 1_000_000,
            "source": "DAMAGE_SOURCE_SCRIPT",
            "bypass": True,
        },
    }
    verdict = (await rest.ok("POST", f"{path}/damage", hurt))["verdict"]
    answer = await counted(rest, path, int(verdict["journal_sequence"]))
    dealt = verdict["hits"][0]["dealt_milli"]
    assert [(p["player_id"], p["kills"], p["deaths"]) for p in answer["players"]] == [
        (players[0], "1", "0"),
        (players[1], "0", "1"),
    ]
    assert int(answer["players"][0]["damage_dealt_milli"]) == dealt
    total = await rest.ok("GET", f"/players/{players[1]}/stats", by=EVE)
    assert (total["sessions"], total["stats"]["deaths"]) == ("1", "1")
    assert int(total["stats"]["damage_taken_milli"]) == dealt
    status, refused = await rest("GET", "/sessions/none/stats", by=EVE)
    assert (status, reason_of(refused)) == (404, "SESSION_NOT_FOUND")
