// The newest finished matches, as links that play them.
import type { Combat } from "./api.js";
import { clock } from "./controls.js";
import { SessionStatus, type Session } from "./gen/arenamesh/combat/v1/session_pb.js";

const MATCHES_SHOWN = 8;

export async function showPast(list: HTMLUListElement, combat: Combat): Promise<void> {
  const { sessions } = await combat.listSessions({ status: SessionStatus.ENDED, pageSize: MATCHES_SHOWN });
  const played = sessions.filter((session) => session.journalTick > 0);
  list.replaceChildren(...played.map(entry));
}

function entry(session: Session): HTMLLIElement {
  const link = document.createElement("a");
  link.href = `?replay=${encodeURIComponent(session.sessionId)}`;
  link.textContent = `${session.name} · ${session.mapId} · ${clock(session.journalTick / session.tickRateHz)}`;
  const item = document.createElement("li");
  item.append(link);
  return item;
}
