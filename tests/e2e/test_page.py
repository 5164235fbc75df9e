"""The page as a person sees it: a live bot match in a real browser, through the edge."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from arenamesh.client import Backoff, ExperienceAward, Mesh, Score, connect
from arenamesh.client.errors import NotFound
from arenamesh.combat.v1 import session_pb2
from arenamesh.gamification.v1 import reward_pb2
from arenamesh.progression.v1 import history_pb2
from playwright.async_api import Browser, Page, async_playwright

from services.mesh.settings import ROOT
from tests.e2e.conftest import Rest, bearer, reason_of
from tests.support.mesh import START_S, Supervisor, supervised, token

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEFINITION = ROOT / "services" / "progression" / "data" / "definitions" / "default-1.json"
LOOK_S = 120.0
LOOK_MS = LOOK_S * 1000
OPERATOR = bearer("ops", "operator")
SEEN_TO_KILL: dict[str, Any] = {
    "id": "seen-to-kill",
    "title": "Seen to Kill",
    "type": "ACHIEVEMENT_TYPE_SKILL",
    "points": 5,
    "requirements": [{"metric": "kills", "operator": "OPERATOR_GTE", "threshold": "1"}],
    "rewards": [{"id": "purse.small"}],
    "is_enabled": True,
}
# Every line that a list of the page ever had, with what it says of itself. Lines leave again.
SEEN = """
window.seen = [];
const keep = (changes) => {
  for (const item of changes.flatMap((change) => [...change.addedNodes])) {
    if (item.matches?.("li")) window.seen.push({ ...item.dataset, text: item.textContent });
  }
};
new MutationObserver(keep).observe(document, { childList: true, subtree: true });
"""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def bot_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """What `scripts/up` starts without options: with the page and the bots."""
    with supervised(tmp_path_factory.mktemp("bots")) as supervisor:
        supervisor.until("ready", seconds=START_S)
        yield supervisor


# The browser lives through all of the tests, and so does its loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if BROWSER is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with await browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        await context.add_init_script(SEEN)
        yield await context.new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def rest(bot_mesh: Supervisor) -> AsyncIterator[Rest]:
    """All that the edge serves, not only combat."""
    async with aiohttp.ClientSession() as http:
        yield Rest(http, bot_mesh.url)


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
    name = await _hold(page)
    before = await _progress(page)
    assert before[0] == name
    more = "BigInt(now[1]) > BigInt(before[1]) && now[2] !== before[2]"
    await page.wait_for_function(
        f"before => {{ const now = {PROGRESS}; return now && {more} }}", arg=before, timeout=LOOK_MS
    )
    await _line(page, r"^\+[\d,]+ · (kill|session ended)$")
    assert await page.locator("#progress .mastery li").count() > 0
    async with connect(bot_mesh.target, token=token("studio", "service")) as studio:
        await studio.progression.award(
            ExperienceAward(character_id=name, source="studio.gift", experience=10_000)
        )
    await _line(page, r"^\+10,000 · gift$")
    await _line(page, r"^Level \d+$")

    # In one look: the board is sorted anew all the time.
    chosen = await page.evaluate(
        """() => {
          const name = document.querySelector("#board tbody tr:not(.followed) td:first-child");
          name.dispatchEvent(new Event("pointerdown", { bubbles: true }));
          return name.textContent;
        }"""
    )
    await page.wait_for_function(
        "name => document.getElementById('progress').dataset.character === name", arg=chosen, timeout=LOOK_MS
    )
    assert problems == []

    os.kill(bot_mesh.part("progression")["pid"], signal.SIGKILL)
    patient = Backoff(max_s=0.5, attempts=100)
    async with connect(bot_mesh.target, token=token("studio", "service"), backoff=patient) as studio:
        await studio.progression.award(ExperienceAward(character_id=chosen, source="a.comfort", experience=5))
    await _line(page, r"^\+5 · comfort$")


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
    found: dict[str, list[history_pb2.ExperienceAwarded]] = {}
    async with asyncio.timeout(LOOK_S):
        for stats in await operator.combat.session_stats(session_id):
            awards: list[history_pb2.ExperienceAwarded] = []
            while not any(award.source == "combat.session_ended" for award in awards):
                await asyncio.sleep(0.1)
                awards = await _awards(operator, stats.player_id, f"event:{session_id}:")
            found[stats.player_id] = awards
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


@dataclass
class Followed:
    """A bot whose earnings the page shows, and the operator who looks behind it."""

    page: Page
    name: str
    rest: Rest

    @classmethod
    async def on(cls, page: Page, rest: Rest) -> Followed:
        await page.goto(rest.base)
        return cls(page, await _hold(page), rest)

    async def notice(self, type_: str, **data: str) -> dict[str, str]:
        """A notification that was on the page, as soon as it was there: its data and its text."""
        read = "wanted => window.seen.find((item) => Object.keys(wanted).every((k) => item[k] === wanted[k]))"
        found = await self.page.wait_for_function(read, arg={"type": type_, **data}, timeout=LOOK_MS)
        return dict(await found.json_value())

    async def get(self, path: str) -> Any:
        return await self.rest.ok("GET", path, by=OPERATOR)


async def test_a_kill_is_followed_to_a_receipt_that_verifies(
    bot_mesh: Supervisor, page: Page, rest: Rest
) -> None:
    """Through Envoy, by ids: the kill's event, the achievement, the notification and the grant that it
    caused, the transfers of its claim, the receipt."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    bot = await Followed.on(page, rest)
    # Whatever the bot has killed before: this begins with its next kill.
    await rest.ok("POST", "/achievements", SEEN_TO_KILL, by=OPERATOR)

    unlocked = await bot.notice("ACHIEVEMENT_COMPLETED", achievement=SEEN_TO_KILL["id"])
    assert unlocked["text"] == "Achievement Unlocked: Seen to Kill"
    cause = unlocked["cause"]
    session_id, sequence, what, _victim = cause.split(":")
    assert (what, sequence.isdecimal()) == ("kill", True)
    assert (await rest.ok("GET", f"/api/v1/combat/sessions/{session_id}"))["session"][
        "session_id"
    ] == session_id

    # The metric moved, the achievement was completed by it, and progression heard of the same kill.
    path = f"/achievements/{SEEN_TO_KILL['id']}/progress?userId={bot.name}"
    progress = (await bot.get(path))["progress"]
    assert int(progress["metrics"]["kills"]) >= 1
    assert [(each["what"], each["cause"]) for each in progress["history"]][-1] == ("completed", cause)
    async with connect(bot_mesh.target, token=token("ops", "operator")) as operator:
        paid_for = await _awards(operator, bot.name, f"event:{cause}")
    assert [award.source for award in paid_for] == ["combat.kill"]

    # It is owed, and the page shows what can be claimed.
    pending = (await bot.get(f"/rewards/pending?userId={bot.name}&pageSize=1000"))["distributions"]
    (grant,) = [each for each in pending if each["source_id"] == SEEN_TO_KILL["id"]]
    assert (grant["source"], grant["cause"]) == ("REWARD_SOURCE_ACHIEVEMENT", cause)
    granted = await bot.notice("REWARD_GRANTED", grant=grant["id"])
    assert granted["cause"] == cause
    before = await _gold(bot)
    # In one look: the list is made anew when there is something else to claim.
    button = page.locator(f"#earnings .pending button[data-grant='{grant['id']}']")
    await button.dispatch_event("click", timeout=LOOK_MS)

    # It was paid: the receipt on the page, the notification, the ledger and the wallet say the same.
    receipt = page.locator(f"#earnings figure[data-grant='{grant['id']}']")
    await receipt.wait_for(timeout=LOOK_MS)
    shown = {name: await receipt.get_attribute(f"data-{name}") for name in ("valid", "jti", "cause")}
    assert shown == {"valid": "true", "jti": grant["id"], "cause": cause}
    assert "Paid: 50 gold. Receipt verified" in await receipt.locator("figcaption").inner_text()
    await bot.notice("REWARD_CLAIMED", grant=grant["id"])
    ledger = (await bot.get(f"/users/{bot.name}/ledger?pageSize=1000"))["transfers"]
    moved = {each["kind"]: each for each in ledger if each["grant_id"] == grant["id"]}
    assert set(moved) == {"TRANSFER_KIND_GRANT", "TRANSFER_KIND_CLAIM"}
    claimed = moved["TRANSFER_KIND_CLAIM"]
    assert (claimed["to_account"], claimed["amount"]["quantity"]) == (f"player:{bot.name}", "50")
    assert await receipt.get_attribute("data-transfers") == claimed["id"]
    await page.wait_for_selector(
        f"#earnings .wallet [data-asset=gold][data-quantity='{before + 50}']", timeout=LOOK_MS
    )
    assert await _gold(bot) == before + 50

    # Anybody can check it; nobody is paid twice.
    signed = await receipt.locator("code").inner_text()
    verified = await rest.ok("POST", "/receipts/verify", {"receipt": signed}, by=bearer("anybody"))
    assert verified["valid"]
    claims = verified["claims"]
    assert (claims["grant_id"], claims["user_id"], claims["cause"]) == (grant["id"], bot.name, cause)
    assert claims["transfer_ids"] == [claimed["id"]]
    status, answer = await rest("POST", f"/rewards/{grant['id']}/claim", {}, by=OPERATOR)
    assert (status, reason_of(answer)) == (400, "GRANT_CLAIMED")
    assert await _gold(bot) == before + 50
    assert problems == []


async def test_bots_earn_what_comes_with_the_service(bot_mesh: Supervisor, page: Page) -> None:
    """Within the first minute, without anybody's doing."""
    await page.goto(bot_mesh.url)
    for done in ("first-blood", "first-steps"):
        await page.wait_for_selector(
            f"#earnings .achievements .done[data-achievement={done}]", timeout=LOOK_MS
        )
    for shown in (".achievements li:not(.done) progress", ".pending button"):
        await page.wait_for_selector(f"#earnings {shown}", timeout=LOOK_MS)


async def test_what_a_bot_is_told_goes_on_after_the_service_was_killed(
    bot_mesh: Supervisor, page: Page, rest: Rest
) -> None:
    """Nothing is left out on the page, and nothing comes twice."""
    bot = await Followed.on(page, rest)
    await page.wait_for_selector("#earnings .notices li", timeout=LOOK_MS)
    os.kill(bot_mesh.part("gamification")["pid"], signal.SIGKILL)
    patient = Backoff(max_s=0.5, attempts=100)
    async with connect(bot_mesh.target, token=token("ops", "operator"), backoff=patient) as operator:
        for number in range(3):
            grant = await operator.gamification.rewards.distribute(
                "purse.small",
                bot.name,
                source=reward_pb2.REWARD_SOURCE_SUPPORT,
                source_id=f"comfort-{number}",
            )
    await bot.notice("REWARD_GRANTED", grant=grant.id)
    shown = await page.locator("#earnings .notices li").evaluate_all(
        "items => items.map((item) => Number(item.dataset.sequence))"
    )
    assert len(shown) >= 3
    assert shown == list(range(shown[0], shown[0] - len(shown), -1))


async def test_who_has_most_kills_is_shown_as_it_changes(bot_mesh: Supervisor, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(bot_mesh.url)
    await page.wait_for_selector("#ranking li[data-player^=bot-]", timeout=LOOK_MS)
    scores = await page.locator("#ranking li").evaluate_all("rows => rows.map(row => +row.dataset.score)")
    assert scores == sorted(scores, reverse=True)
    # The bots' kills move it by themselves.
    total = "[...document.querySelectorAll('#ranking li')].reduce((sum, row) => sum + +row.dataset.score, 0)"
    await page.wait_for_function(f"before => {total} > before", arg=sum(scores), timeout=LOOK_MS)

    async def arrive(player: str, score: int) -> None:
        async with connect(bot_mesh.target, token=token("studio", "service"), backoff=patient) as studio:
            await studio.leaderboard.submit(Score(board="kills", player_id=player, score=score))
        await page.wait_for_selector(
            f"#ranking li:first-child[data-player={player}][data-score='{score}']", timeout=LOOK_MS
        )

    patient = Backoff(max_s=0.5, attempts=100)
    await arrive("champion", 1_000_000)
    os.kill(bot_mesh.part("leaderboard")["pid"], signal.SIGKILL)
    await arrive("heir", 2_000_000)
    await page.wait_for_selector("#ranking li:nth-child(2)[data-player=champion]", timeout=LOOK_MS)
    assert problems == []


async def _gold(bot: Followed) -> int:
    balances = (await bot.get(f"/users/{bot.name}/wallet"))["balances"]
    return next((int(each["amount"]) for each in balances if each["currency"] == "gold"), 0)


# Of whom the panel tells, their experience and how full the bar is; null while it tells nothing.
PROGRESS = """(() => {
  const { character, experience } = document.getElementById("progress").dataset;
  return experience && [character, experience, document.querySelector("#progress > progress").value];
})()"""


async def _hold(page: Page) -> str:
    """The name of who leads, and is followed from now on whoever leads."""
    await page.wait_for_selector("#progress[data-experience]", timeout=LOOK_MS)
    # In one look. Choosing somebody who is followed already follows them anew.
    choose = "select => { select.dispatchEvent(new Event('change')); return select.value }"
    return str(await page.get_by_label("Progress of").evaluate(choose))


async def _progress(page: Page) -> list[Any]:
    shown = await page.wait_for_function(f"() => {PROGRESS}", timeout=LOOK_MS)
    return list(await shown.json_value())


async def _line(page: Page, pattern: str) -> None:
    """Waits until a line of that text has been on the page."""
    read = "pattern => window.seen.some((item) => new RegExp(pattern).test(item.text))"
    await page.wait_for_function(read, arg=pattern, timeout=LOOK_MS)


async def test_a_session_can_be_named_in_the_address(bot_mesh: Supervisor, page: Page) -> None:
    await page.goto(f"{bot_mesh.url}/?session=no-such-session")
    await page.wait_for_selector(
        "body[data-state=waiting] #notice:has-text('There is no such session.')", timeout=LOOK_MS
    )


# The picture after a second of the match and after another one, however late it is then; then it is paused.
PLAY_AND_PAUSE = """async () => {
  const shown = () => Number(document.getElementById("controls").dataset.tick);
  const after = async (tick) => {
    while (!(shown() > tick)) {
      await new Promise(requestAnimationFrame);
    }
    return document.getElementById("arena").toDataURL();
  };
  const pictures = [await after(30), await after(shown() + 30)];
  const buttons = [...document.querySelectorAll("#controls button")];
  buttons.find((button) => button.textContent === "Pause").click();
  return pictures;
}"""


async def test_a_finished_match_is_played_again(bot_mesh: Supervisor, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    session = await _finished(bot_mesh)

    await page.goto(bot_mesh.url)
    # In one look, as in all that follows: the list is made anew, and the match plays on.
    await page.locator(f"#past a[href='?replay={session.session_id}']").dispatch_event(
        "click", timeout=LOOK_MS
    )
    await page.wait_for_selector("body[data-state=replay]", timeout=LOOK_MS)
    async with asyncio.timeout(LOOK_S):
        first, second = await page.evaluate(PLAY_AND_PAUSE)
    assert first != second, "the picture stands still"
    await page.wait_for_selector("#board tbody tr:nth-child(3)", timeout=LOOK_MS)

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
        async with asyncio.timeout(LOOK_S):
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
