"""Bots play through the edge of a whole mesh, as a person starts them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from arenamesh.client import connect

from tests.support.mesh import SECRET, Supervisor, environment, token

SECONDS = 15


async def play(mesh: Supervisor, *options: str, seconds: int = SECONDS, **env: str) -> dict[str, Any]:
    """The figures at the end of a run of `python -m arenamesh.bots`."""
    command = ["-m", "arenamesh.bots", "--edge", mesh.target, "--json", "--seconds", str(seconds), *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment() | env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
    assert process.returncode == 0
    figures: dict[str, Any] = json.loads(out.splitlines()[-1])
    return figures


@pytest.mark.slow
async def test_bots_fight_through_the_edge(mesh: Supervisor) -> None:
    """In two matches at once, in one of them over one stream for all."""
    matches = [("--map", "foundry"), ("--one-stream",)]
    for figures in await asyncio.gather(
        *(play(mesh, "--bots", "12", "--seed", "7", *options) for options in matches)
    ):
        assert figures["moves"] > 12 * SECONDS * 5, figures
        assert figures["shots"] > 50, figures
        assert figures["hits"] > 5, figures
        assert figures["kills"] >= 1, figures
        assert figures["corrections"] < 0.05 * figures["moves"], figures
        assert figures["rtt_p50_ms"] is not None


async def test_bots_get_their_tokens_from_the_development_mesh(mesh: Supervisor) -> None:
    figures = await play(
        mesh, "--bots", "2", "--token-url", f"{mesh.url}/dev/token", seconds=6, JWT_SECRET="unused"
    )
    assert figures["matches"] == 1
    assert figures["moves"] > 0


async def test_bots_join_a_match_of_somebody_else(mesh: Supervisor) -> None:
    async with connect(mesh.target, token=token("server-1", "game_server")) as server:
        session = await server.combat.create_session("guests", mode="team_deathmatch", max_players=8)
        playing = asyncio.create_task(
            play(mesh, "--bots", "4", "--session", session.session_id, "--secret", SECRET, seconds=30)
        )
        async with asyncio.timeout(30):
            while (await server.combat.get_session(session.session_id)).player_count < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await server.combat.end_session(session.session_id)
        figures = await playing
        again = await play(mesh, "--bots", "4", "--session", session.session_id, "--secret", SECRET)
    assert figures["matches"] == 1, "the end of the session is the end of the run"
    assert again["matches"] == 0, "nobody plays in what is over"
