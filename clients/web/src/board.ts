// The lists beside the arena: who leads, and who killed whom.
import type { KillEvent } from "./gen/arenamesh/combat/v1/event_pb.js";
import { Region } from "./gen/arenamesh/combat/v1/verdict_pb.js";
import type { Shown } from "./match.js";
import { colour } from "./scene.js";
import { FLAG_ALIVE } from "./snapshots.js";

const KILLS_SHOWN = 8;

/** Players by kills, then fewer deaths; `followed` is the name of one to point out. Answers their names. */
export function showBoard(body: HTMLTableSectionElement, match: Shown, followed: string): string[] {
  const players = [...(match.moment?.players.values() ?? [])];
  players.sort((a, b) => b.kills - a.kills || a.deaths - b.deaths || a.slot - b.slot);
  body.replaceChildren(
    ...players.map((player) => {
      const row = document.createElement("tr");
      const name = cell(match.name(player.slot));
      name.style.color = colour(player);
      const alive = (player.flags & FLAG_ALIVE) !== 0;
      row.classList.toggle("dead", !alive);
      row.classList.toggle("followed", match.name(player.slot) === followed);
      row.append(name, cell(alive ? String(Math.ceil(player.health)) : "–"), cell(String(player.kills)), cell(String(player.deaths)));
      return row;
    }),
  );
  return players.map((player) => match.name(player.slot));
}

export function showKill(feed: HTMLOListElement, match: Shown, kill: KillEvent): void {
  const item = document.createElement("li");
  const weapon = kill.weapon > 0 ? (match.weapons[kill.weapon - 1] ?? "weapon") : "arena";
  const detail = [weapon, kill.region === Region.HEAD ? "headshot" : "", `${Math.round(kill.distanceMm / 1000)} m`];
  item.append(player(match, kill.killer), ` ${detail.filter(Boolean).join(" · ")} `, player(match, kill.victim));
  feed.prepend(item);
  while (feed.children.length > KILLS_SHOWN) feed.lastElementChild?.remove();
}

function cell(text: string): HTMLTableCellElement {
  const element = document.createElement("td");
  element.textContent = text;
  return element;
}

/** The name of whoever has this seat, in their colour while they are there. */
function player(match: Shown, slot: number): HTMLElement {
  const element = document.createElement("strong");
  element.textContent = match.name(slot);
  const seen = match.moment?.players.get(slot);
  if (seen) element.style.color = colour(seen);
  return element;
}
