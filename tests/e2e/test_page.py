"""The page as a person sees it: a live bot match in a real browser, through the edge."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.support.mesh import START_S, Supervisor, supervised

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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


async def test_a_session_can_be_named_in_the_address(bot_mesh: Supervisor, page: Page) -> None:
    await page.goto(f"{bot_mesh.url}/?session=no-such-session")
    await page.wait_for_selector("body[data-state=waiting]", timeout=LOOK_MS)
    assert "There is no such session." in await page.inner_text("#notice")


async def _figure(page: Page, name: str) -> float:
    return float(await page.inner_text(f"[data-figure={name}]"))


async def _picture(page: Page) -> str:
    picture: str = await page.evaluate("document.getElementById('arena').toDataURL()")
    return picture
