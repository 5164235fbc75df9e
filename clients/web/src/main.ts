// The page: finds a live match, follows it, and the next one when it ends.
import { ConnectError } from "@connectrpc/connect";

import { about, connectCombat, developmentToken } from "./api.js";
import { showBoard, showKill } from "./board.js";
import { loadMap } from "./map.js";
import { findSession, Match, type Watcher } from "./match.js";
import { Meters } from "./meters.js";
import { Scene } from "./scene.js";

const RETRY_MS = 1000;
const FIGURES_MS = 500;
const ROUND_TRIP_MS = 2000;

const origin = location.origin;
const combat = connectCombat(origin, developmentToken(origin));
const canvas = element("arena", HTMLCanvasElement);
const feed = element("feed", HTMLOListElement);
const notice = element("notice", HTMLParagraphElement);
const title = element("title", HTMLParagraphElement);
const figures = element("meters", HTMLDListElement);
const rows = element("board", HTMLTableElement).tBodies[0] as HTMLTableSectionElement;
const scene = new Scene(canvas);

let match = new Match();
let meters = new Meters();
let sessionId = "";

const watcher: Watcher = {
  welcome(welcome, session) {
    title.textContent = `${session.name} · ${welcome.mapId} · ${session.gameMode} · ${welcome.tickRateHz} Hz`;
    notice.textContent = "";
    document.body.dataset["state"] = "live";
  },
  frame(live, receivedMs) {
    const newest = live.timeline.newest;
    if (newest) meters.frame(newest.tick, newest.players.size, receivedMs);
  },
  event(event, timeMs) {
    scene.event(event, timeMs);
    if (event.kind.case === "kill") showKill(feed, match, event.kind.value);
  },
};

/** One match from finding it to its end. */
async function watch(): Promise<void> {
  const session = await findSession(combat, new URLSearchParams(location.search).get("session"));
  if (!session) {
    say("No live match yet. Bots start one as soon as the mesh is up.");
    return;
  }
  sessionId = session.sessionId;
  match = new Match();
  meters = new Meters();
  feed.replaceChildren();
  scene.show(await loadMap(origin, session.mapId));
  match.weapons = await weaponNames(session.ruleset?.name ?? "default", session.ruleset?.version ?? 1);
  await match.follow(combat, session, watcher, new AbortController().signal);
  say("The match is over. Waiting for the next one…");
}

async function watchForEver(): Promise<never> {
  for (;;) {
    try {
      await watch();
    } catch (problem) {
      say(`${ConnectError.from(problem).rawMessage} Trying again…`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Names for the kill feed; without them it says only "weapon". */
async function weaponNames(name: string, version: number): Promise<string[]> {
  const answer = await fetch(`${origin}/rulesets/${name}-${version}.json`);
  if (!answer.ok) return [];
  const ruleset = (await answer.json()) as { weapons: { name: string }[] };
  return ruleset.weapons.map((weapon) => weapon.name);
}

async function measureRoundTrip(): Promise<void> {
  if (document.body.dataset["state"] !== "live") return;
  const startMs = performance.now();
  try {
    await combat.getSession({ sessionId }, about(sessionId));
    meters.roundTrip(performance.now() - startMs);
  } catch {
    // The stream's own loop reports what is wrong.
  }
}

function say(text: string): void {
  notice.textContent = text;
  document.body.dataset["state"] = "waiting";
}

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

function draw(pageMs: number): void {
  scene.draw(match, pageMs);
  requestAnimationFrame(draw);
}

requestAnimationFrame(draw);
setInterval(() => {
  meters.show(figures);
  showBoard(rows, match);
}, FIGURES_MS);
setInterval(() => void measureRoundTrip(), ROUND_TRIP_MS);
void watchForEver();
