// Snapshots put back together: full ones replace, differences change the one they name.
import type { Entity, Projectile, Snapshot } from "./gen/arenamesh/combat/v1/snapshot_pb.js";

/** A player as drawn: metres, radians, points. */
export interface Player {
  slot: number;
  x: number;
  y: number;
  z: number;
  yaw: number;
  flags: number;
  health: number;
  shield: number;
  team: number;
  weapon: number;
  kills: number;
  deaths: number;
}

export interface Moment {
  tick: number;
  /** Session clock, milliseconds. */
  timeMs: number;
  players: Map<number, Player>;
  projectiles: Projectile[];
}

export const FLAG_ALIVE = 1;
export const FLAG_PROTECTED = 4;
export const FLAG_SHIELDED = 64;

const TURN = 2 * Math.PI;
const MOMENTS_HELD = 256;

/** The moments of a match, newest last; the oldest go first over `held`. */
export class Timeline {
  #moments: Moment[] = [];
  readonly #held: number;

  constructor(held = MOMENTS_HELD) {
    this.#held = held;
  }

  get newest(): Moment | undefined {
    return this.#moments.at(-1);
  }

  /**
   * Adds a snapshot. Returns false when it is a difference to a moment no longer held; the next full
   * snapshot mends that.
   */
  add(snapshot: Snapshot, timeMs: number): boolean {
    let players = new Map<number, Player>();
    if (snapshot.baselineTick !== 0) {
      const baseline = this.#moments.findLast((moment) => moment.tick === snapshot.baselineTick);
      if (!baseline) return false;
      players = new Map(baseline.players);
    }
    for (const slot of snapshot.removed) players.delete(slot);
    for (const entity of snapshot.entities) {
      players.set(entity.slot, changed(players.get(entity.slot), entity));
    }
    this.#moments.push({ tick: snapshot.tick, timeMs, players, projectiles: snapshot.projectiles });
    if (this.#moments.length > this.#held) this.#moments.shift();
    return true;
  }

  /** The two moments about an instant and the way between them; the newest alone past the end. */
  around(timeMs: number): { older: Moment; newer: Moment; share: number } | undefined {
    const index = this.#moments.findLastIndex((moment) => moment.timeMs <= timeMs);
    const older = this.#moments[Math.max(index, 0)];
    if (!older) return undefined;
    const newer = this.#moments[index + 1] ?? older;
    const span = newer.timeMs - older.timeMs;
    const share = span > 0 ? Math.min(Math.max((timeMs - older.timeMs) / span, 0), 1) : 0;
    return { older, newer, share };
  }
}

/** `before` with every field that the entity carries. */
function changed(before: Player | undefined, entity: Entity): Player {
  return {
    slot: entity.slot,
    x: metres(entity.xMm, before?.x),
    y: metres(entity.yMm, before?.y),
    z: metres(entity.zMm, before?.z),
    yaw: entity.yaw === undefined ? (before?.yaw ?? 0) : (entity.yaw / 65536) * TURN,
    flags: entity.flags ?? before?.flags ?? 0,
    health: points(entity.healthMilli, before?.health),
    shield: points(entity.shieldMilli, before?.shield),
    team: entity.team ?? before?.team ?? 0,
    weapon: entity.weapon ?? before?.weapon ?? 0,
    kills: entity.kills ?? before?.kills ?? 0,
    deaths: entity.deaths ?? before?.deaths ?? 0,
  };
}

function metres(millimetres: number | undefined, before = 0): number {
  return millimetres === undefined ? before : millimetres / 1000;
}

function points(milli: number | undefined, before = 0): number {
  return milli === undefined ? before : milli / 1000;
}

/** A player between two moments; jumps (spawn, teleport) are not smoothed. */
export function between(older: Player | undefined, newer: Player, share: number): Player {
  if (!older || Math.hypot(newer.x - older.x, newer.y - older.y) > 4) return newer;
  let turn = newer.yaw - older.yaw;
  if (turn > Math.PI) turn -= TURN;
  if (turn < -Math.PI) turn += TURN;
  return {
    ...newer,
    x: older.x + (newer.x - older.x) * share,
    y: older.y + (newer.y - older.y) * share,
    z: older.z + (newer.z - older.z) * share,
    yaw: older.yaw + turn * share,
  };
}
