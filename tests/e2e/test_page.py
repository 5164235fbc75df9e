"""The page as a person sees it: a live bot match in a real browser, through the edge."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from arenamesh.client import Backoff, ExperienceAward, Mesh, connect
from arenamesh.client.errors import NotFound
from arenamesh.combat.v1 import session_pb2
from arenamesh.progression.v1 import history_pb2
from playwright.async_api import Page, async_playwright

from services.mesh.settings import ROOT
from tests.support.mesh import START_S, Supervisor, supervised, token

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEFINITION = ROOT / "services" / "progression" / "data" / "definitions" / "default-1.json"
LOOK_MS = 60_000
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def bot_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """What `scripts/up` starts without options: with the page and the bots."""
    with supervised(tmp_path_factory.mktemp("bots")) as supervisor:
        supervisor.until("ready", seconds=START_S)
        yield supervisor


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield await browser.new_page(viewport={"width": 1280, "height": 800})
        await browser.close()


async def test_the_page_draws_a_live_match(bot_mesh: Supervisor, page: Page, tmp_path: Path) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)

    await page.goto(bot_mesh.url)
    await page.wait_for_selector("body[data-state=live]", timeout=LOOK_MS)
    await page.wait_for_selector("#board tbody tr:nth-child(12)", timeout=LOOK_MS)
    first = await _picture(page)
    tick = await _figure(page, "tick")
    await page.wait_for_function(
        "before => Number(document.querySelector('[data-figure=tick]').textContent) > before + 60",
        arg=tick,
        timeout=LOOK_MS,
    )
    assert await _picture(page) != first, "the picture stands still"
    await page.wait_for_selector("#feed li", timeout=LOOK_MS)
    names = await page.locator("#board tbody tr td:first-child").all_inner_texts()
    assert all(name.startswith("bot-") for name in names)
    await page.wait_for_function(
        "Number.parseFloat(document.querySelector('[data-figure=round-trip]').textContent) > 0",
        timeout=LOOK_MS,
    )
    assert problems == []


async def test_a_kill_raises_experience_visibly(bot_mesh: Supervisor, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    await page.goto(bot_mesh.url)
    await page.wait_for_selector("#progress[data-experience]", timeout=LOOK_MS)
    panel = page.locator("#progress")
    name = await panel.get_attribute("data-character")
    assert await page.get_by_label("Progress of").input_value() == name
    before = int(await panel.get_attribute("data-experience") or "0")
    bar = await page.get_by_label("Experience in the level").evaluate("bar => bar.value")
    await page.wait_for_function(
        "before => BigInt(document.getElementById('progress').dataset.experience) > before",
        arg=before,
        timeout=LOOK_MS,
    )
    assert await page.get_by_label("Experience in the level").evaluate("bar => bar.value") != bar
    assert re.fullmatch(r"\+[\d,]+ · (kill|session ended)", (await _gains(page))[-1])
    assert await page.locator("#progress .mastery li").count() > 0
    async with connect(bot_mesh.target, token=token("studio", "service")) as studio:
        await studio.progression.award(
            ExperienceAward(character_id=name, source="studio.gift", experience=10_000)
        )
    await page.wait_for_selector("#progress .gains .level:has-text('Level ')", timeout=LOOK_MS)
    assert "+10,000 · gift" in await _gains(page)

    other = page.locator("#board tbody tr:not(.followed) td:first-child").first
    chosen = await other.inner_text()
    await other.dispatch_event("pointerdown")
    await page.wait_for_function(
        "name => document.getElementById('progress').dataset.character === name", arg=chosen, timeout=LOOK_MS
    )
    assert problems == []

    os.kill(bot_mesh.part("progression")["pid"], signal.SIGKILL)
    patient = Backoff(max_s=0.5, attempts=100)
    async with connect(bot_mesh.target, token=token("studio", "service"), backoff=patient) as studio:
        await studio.progression.award(ExperienceAward(character_id=chosen, source="a.comfort", experience=5))
    await page.wait_for_selector("#progress .gains :has-text('+5 · comfort')", timeout=LOOK_MS)


async def test_the_kills_that_were_told_are_the_experience_that_was_given(bot_mesh: Supervisor) -> None:
    gain = json.loads(DEFINITION.read_text())["awards"]["combat.kill"]
    async with (
        connect(bot_mesh.target, token=token("server-1", "game_server")) as server,
        connect(bot_mesh.target, token=token("ops", "operator")) as operator,
    ):
        session = await _finished(bot_mesh)
        seen = await _until_paid(operator, session.session_id)
        kills = 0
        for player in await server.combat.session_stats(session.session_id):
            of_kills = [event for event in seen[player.player_id] if event.source == "combat.kill"]
            assert sum(int(event.experience) for event in of_kills) == (
                player.kills * gain["killer"]["experience"] + player.assists * gain["assist"]["experience"]
            )
            assert len(of_kills) == player.kills + player.assists
            kills += player.kills
    assert kills > 0


async def _until_paid(operator: Mesh, session_id: str) -> dict[str, list[history_pb2.ExperienceAwarded]]:
    """Awards for a match that is over, by player; its end is paid last."""
    players = {stats.player_id for stats in await operator.combat.session_stats(session_id)}
    found: dict[str, list[history_pb2.ExperienceAwarded]] = {}
    async with asyncio.timeout(60):
        while players - found.keys():
            for player in players - found.keys():
                awards = await _awards(operator, player, f"event:{session_id}:")
                if any(award.source == "combat.session_ended" for award in awards):
                    found[player] = awards
            await asyncio.sleep(0.1)
    return found


async def _awards(operator: Mesh, player: str, actor: str) -> list[history_pb2.ExperienceAwarded]:
    try:
        return [
            event.experience_awarded
            async for event in operator.progression.history(player)
            if event.actor.startswith(actor) and event.HasField("experience_awarded")
        ]
    except NotFound:
        return []


async def _gains(page: Page) -> list[str]:
    return await page.locator("#progress .gains li").all_inner_texts()


async def test_a_session_can_be_named_in_the_address(bot_mesh: Supervisor, page: Page) -> None:
    await page.goto(f"{bot_mesh.url}/?session=no-such-session")
    await page.wait_for_selector("body[data-state=waiting]", timeout=LOOK_MS)
    assert "There is no such session." in await page.inner_text("#notice")


async def test_a_finished_match_is_played_again(bot_mesh: Supervisor, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    session = await _finished(bot_mesh)

    await page.goto(bot_mesh.url)
    link = page.locator(f"#past a[href='?replay={session.session_id}']")
    await link.click(timeout=LOOK_MS)
    await page.wait_for_selector("body[data-state=replay]", timeout=LOOK_MS)
    await page.wait_for_function(
        "() => Number(document.getElementById('controls').dataset.tick) > 30", timeout=LOOK_MS
    )
    first = await _picture(page)
    await page.wait_for_function(
        "() => Number(document.getElementById('controls').dataset.tick) > 60", timeout=LOOK_MS
    )
    assert await _picture(page) != first, "the picture stands still"
    assert await page.locator("#board tbody tr").count() > 2

    await page.get_by_role("button", name="Pause").click()
    last = session.journal_tick
    before = await _picture(page)
    await page.get_by_label("Tick").evaluate(
        "(bar, tick) => { bar.value = tick; bar.dispatchEvent(new Event('change')) }", str(last - 40)
    )
    await page.wait_for_function(
        "tick => document.getElementById('controls').dataset.tick === tick",
        arg=str(last - 40),
        timeout=LOOK_MS,
    )
    await page.wait_for_function(
        "before => document.getElementById('arena').toDataURL() !== before", arg=before, timeout=LOOK_MS
    )
    await page.get_by_label("Speed").select_option("8")
    await page.get_by_label("Follow").select_option(index=1)
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function(
        "tick => document.getElementById('controls').dataset.tick === tick", arg=str(last), timeout=LOOK_MS
    )
    assert not problems


async def _finished(mesh: Supervisor) -> session_pb2.Session:
    """The bots' match, ended after some seconds."""
    async with connect(mesh.target, token=token("server-1", "game_server")) as server:
        async with asyncio.timeout(60):
            while True:
                live = [
                    s async for s in server.combat.list_sessions(status=session_pb2.SESSION_STATUS_ACTIVE)
                ]
                if live and live[0].journal_tick > 300:
                    break
                await asyncio.sleep(0.2)
        await server.combat.end_session(live[0].session_id)
        return await server.combat.get_session(live[0].session_id)


async def _figure(page: Page, name: str) -> float:
    return float(await page.inner_text(f"[data-figure={name}]"))


async def _picture(page: Page) -> str:
    picture: str = await page.evaluate("document.getElementById('arena').toDataURL()")
    return picture
