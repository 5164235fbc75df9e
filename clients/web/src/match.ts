// One live match as a spectator sees it: follows the stream and keeps what there is to draw.
import type { Event } from "./gen/arenamesh/combat/v1/event_pb.js";
import { NoticeKind, type Welcome } from "./gen/arenamesh/combat/v1/play_pb.js";
import { SessionStatus, type Session } from "./gen/arenamesh/combat/v1/session_pb.js";
import { about, type Combat } from "./api.js";
import type { Fetch } from "./playback.js";
import { Timeline, type Moment } from "./snapshots.js";

/** How far behind the newest snapshot the picture is, milliseconds: three ticks at 30 Hz. */
const INTERPOLATION_MS = 100;

/** A match to draw: live, or played again. */
export interface Shown {
  readonly timeline: Timeline;
  /** What is on the screen now. */
  readonly moment: Moment | undefined;
  readonly weapons: string[];
  name(slot: number): string;
}

/** What a match tells the page, as it happens. */
export interface Watcher {
  welcome(welcome: Welcome, session: Session): void;
  frame(match: Match, receivedMs: number): void;
  event(event: Event, timeMs: number): void;
}

export class Match implements Shown {
  readonly timeline = new Timeline();
  readonly names = new Map<number, string>();
  weapons: string[] = [];
  /** Page clock minus session clock of the quickest frame yet, milliseconds. */
  clockOffsetMs = Number.POSITIVE_INFINITY;

  get moment(): Moment | undefined {
    return this.timeline.newest;
  }

  /** Session clock of the picture at an instant of the page's clock, milliseconds. */
  positionMs(pageMs: number): number {
    return pageMs - this.clockOffsetMs - INTERPOLATION_MS;
  }

  name(slot: number): string {
    return this.names.get(slot) ?? `#${slot}`;
  }

  /** Watches until the session ends or the stream breaks; a break throws. */
  async follow(combat: Combat, session: Session, watcher: Watcher, signal: AbortSignal): Promise<void> {
    const stream = combat.spectate({ sessionId: session.sessionId }, { ...about(session.sessionId), signal });
    for await (const { frame } of stream) {
      if (!frame) continue;
      const receivedMs = performance.now();
      const timeMs = Number(frame.serverTimeUs) / 1000;
      if (frame.welcome) {
        for (const seat of frame.welcome.seats) this.names.set(seat.slot, seat.playerId);
        watcher.welcome(frame.welcome, session);
      }
      if (frame.snapshot && this.timeline.add(frame.snapshot, timeMs)) {
        this.clockOffsetMs = Math.min(this.clockOffsetMs, receivedMs - timeMs);
        watcher.frame(this, receivedMs);
      }
      for (const event of frame.events) {
        if (event.kind.case === "join") this.names.set(event.kind.value.slot, event.kind.value.playerId);
        watcher.event(event, timeMs);
      }
      if (frame.notices.some((notice) => notice.kind === NoticeKind.SESSION_ENDED)) return;
    }
  }
}

/** The newest live session, or the one named by `?session=` in the address. */
export async function findSession(combat: Combat, wanted: string | null): Promise<Session | undefined> {
  if (wanted) return (await combat.getSession({ sessionId: wanted }, about(wanted))).session;
  const { sessions } = await combat.listSessions({ status: SessionStatus.ACTIVE, pageSize: 20 });
  return sessions.find((session) => session.playerCount > 0) ?? sessions[0];
}

/** Ranges of ticks of a finished match, as fast as they come. */
export function fetchReplay(combat: Combat, sessionId: string): Fetch {
  return async function* (fromTick, toTick, followPlayerId, signal) {
    const asked = { sessionId, fromTick, toTick, followPlayerId };
    for await (const { frame } of combat.getReplay(asked, { ...about(sessionId), signal })) if (frame) yield frame;
  };
}
