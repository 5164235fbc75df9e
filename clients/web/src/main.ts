// The page: finds a live match, follows it, and the next one when it ends; or plays a finished one again.
import { Code, ConnectError } from "@connectrpc/connect";

import { about, connectCombat, connectGamification, connectLeaderboard, connectProgression } from "./api.js";
import { showBoard, showKill } from "./board.js";
import { Controls } from "./controls.js";
import { Earning } from "./earned.js";
import { Earnings } from "./earnings.js";
import type { Session } from "./gen/arenamesh/combat/v1/session_pb.js";
import { loadMap } from "./map.js";
import { fetchReplay, findSession, Match, type Shown, type Watcher } from "./match.js";
import { Meters } from "./meters.js";
import { Panel } from "./panel.js";
import { showPast } from "./past.js";
import { Playback } from "./playback.js";
import { watchProgress } from "./progress.js";
import { Ranking } from "./ranking.js";
import { Scene } from "./scene.js";

const RETRY_MS = 1000;
// A stream that broke after a while goes on at another worker, which is there already.
const PROMPT_MS = 20;
const SETTLED_MS = 2000;
const FIGURES_MS = 500;
const ROUND_TRIP_MS = 2000;
const PAST_MS = 10_000;

const origin = location.origin;
const address = new URLSearchParams(location.search);
const combat = connectCombat(origin);
const progression = connectProgression(origin);
const gamification = connectGamification(origin);
const canvas = element("arena", HTMLCanvasElement);
const feed = element("feed", HTMLOListElement);
const notice = element("notice", HTMLParagraphElement);
const title = element("title", HTMLParagraphElement);
const figures = element("meters", HTMLDListElement);
const rows = element("board", HTMLTableElement).tBodies[0] as HTMLTableSectionElement;
const scene = new Scene(canvas);
const panel = new Panel(element("progress", HTMLElement), choose);
const earnings = new Earnings(element("earnings", HTMLElement), (grantId) => void earning?.claim(grantId));

let match = new Match();
let shown: Shown = match;
let followed = "";
let chosen = false;
let following = new AbortController();
let earning: Earning | undefined;
let picture = (pageMs: number): void => scene.draw(match, match.positionMs(pageMs), followed);
let meters = new Meters();
let sessionId = "";

const watcher: Watcher = {
  welcome(_welcome, session) {
    title.textContent = describe(session);
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
  const session = await findSession(combat, address.get("session"));
  if (!session) {
    say("No live match yet. Bots start one as soon as the mesh is up.");
    return;
  }
  sessionId = session.sessionId;
  match = new Match();
  shown = match;
  meters = new Meters();
  feed.replaceChildren();
  scene.show(await loadMap(origin, session.mapId));
  match.weapons = await weaponNames(session);
  await match.follow(combat, session, watcher, new AbortController().signal);
  say("The match is over. Waiting for the next one…");
}

async function watchForEver(): Promise<never> {
  for (;;) {
    const beganMs = performance.now();
    let waitMs = RETRY_MS;
    try {
      await watch();
    } catch (problem) {
      if (performance.now() - beganMs > SETTLED_MS) waitMs = PROMPT_MS;
      else say(`${ConnectError.from(problem).rawMessage} Trying again…`);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** A finished match, from its start. */
async function watchAgain(id: string): Promise<void> {
  const session = await findSession(combat, id);
  if (!session?.journalTick) {
    say("Nothing of this match is recorded.");
    return;
  }
  scene.show(await loadMap(origin, session.mapId));
  const playback = new Playback(fetchReplay(combat, id), session.tickRateHz, session.journalTick, (problem) => {
    const { code, rawMessage } = ConnectError.from(problem);
    notice.textContent = rawMessage;
    if (code === Code.FailedPrecondition && playback.following) playback.follow("");
  });
  playback.weapons = await weaponNames(session);
  const controls = new Controls(element("controls", HTMLFormElement), playback, session.tickRateHz, () => {
    scene.forget();
    feed.replaceChildren();
    notice.textContent = "";
  });
  title.textContent = describe(session);
  document.body.dataset["state"] = "replay";
  shown = playback;
  let tick = 0;
  picture = (pageMs) => {
    for (const { event, timeMs } of playback.advance(pageMs)) {
      scene.event(event, timeMs);
      if (event.kind.case === "kill") showKill(feed, playback, event.kind.value);
    }
    scene.draw(playback, playback.positionMs, playback.following);
    const { moment } = playback;
    if (moment && moment.tick !== tick) meters.frame(moment.tick, moment.players.size, pageMs);
    tick = moment?.tick ?? 0;
    controls.show();
  };
}

/** Shows how this player fares and what they earn, from now on. Who plays a bot match is a character of the
 * same name. */
function follow(name: string): void {
  followed = name;
  following.abort();
  following = new AbortController();
  panel.begin(name);
  void watchProgress(progression, name, panel, following.signal);
  earnings.begin(name);
  earning = new Earning(gamification, name, earnings, following.signal);
  void earning.watch();
}

/** A person wants to follow this player, wherever they are. */
function choose(name: string): void {
  chosen = true;
  follow(name);
}

/** The board; who leads is followed until they leave or a person chooses. */
function showPlayers(): void {
  const names = showBoard(rows, shown, followed);
  if (shown !== match || names[0] === undefined) return;
  panel.players(names);
  if (!chosen && !names.includes(followed)) follow(names[0]);
}

function describe(session: Session): string {
  return `${session.name} · ${session.mapId} · ${session.gameMode} · ${session.tickRateHz} Hz`;
}

/** Names for the kill feed; without them it says only "weapon". */
async function weaponNames({ ruleset }: Session): Promise<string[]> {
  const answer = await fetch(`${origin}/rulesets/${ruleset?.name ?? "default"}-${ruleset?.version ?? 1}.json`);
  if (!answer.ok) return [];
  const { weapons } = (await answer.json()) as { weapons: { name: string }[] };
  return weapons.map((weapon) => weapon.name);
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
  picture(pageMs);
  requestAnimationFrame(draw);
}

requestAnimationFrame(draw);
setInterval(() => {
  meters.show(figures);
  showPlayers();
}, FIGURES_MS);
// Rows are made anew too often for a click, which needs the same one twice.
rows.addEventListener("pointerdown", (press) => {
  const name = (press.target as Element).closest("tr")?.cells[0]?.textContent;
  if (name && shown === match) choose(name);
});
setInterval(() => void measureRoundTrip(), ROUND_TRIP_MS);
void new Ranking(element("ranking", HTMLElement)).watch(connectLeaderboard(origin), new AbortController().signal);
async function listPast(): Promise<void> {
  try {
    await showPast(element("past", HTMLUListElement), combat);
  } catch {
    // It is only a list; the match's own loop reports what is wrong.
  }
}

setInterval(() => void listPast(), PAST_MS);
void listPast();
const again = address.get("replay");
if (again) watchAgain(again).catch((problem: unknown) => say(ConnectError.from(problem).rawMessage));
else {
  const wanted = address.get("follow");
  if (wanted) choose(wanted);
  void watchForEver();
}
