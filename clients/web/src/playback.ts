// A finished match played on the page: fetched some seconds at a time, so that pausing costs nobody anything.
import type { Event } from "./gen/arenamesh/combat/v1/event_pb.js";
import type { SpectatorFrame } from "./gen/arenamesh/combat/v1/spectate_pb.js";
import type { Shown } from "./match.js";
import { Timeline, type Moment } from "./snapshots.js";

/** What is asked for at once, seconds of the match, and how much of it is held ready, seconds on the page. */
const CHUNK_S = 10;
const AHEAD_S = 5;
/** What is held ready at the highest speed and tick rate, and a chunk. */
const MOMENTS_HELD = 8192;

export const SPEEDS = [0.5, 1, 2, 4, 8];

/** Frames of a range of ticks, both ends included; the first one is whole. */
export type Fetch = (fromTick: number, toTick: number, follow: string, signal: AbortSignal) => AsyncIterable<SpectatorFrame>;

export class Playback implements Shown {
  timeline = new Timeline(MOMENTS_HELD);
  readonly names = new Map<number, string>();
  weapons: string[] = [];
  speed = 1;
  paused = false;
  following = "";
  readonly lastTick: number;
  readonly #fetch: Fetch;
  readonly #tickMs: number;
  readonly #onProblem: (problem: unknown) => void;
  #positionMs: number;
  #pageMs: number | undefined;
  #loadedTick = 0;
  #loading: AbortController | undefined;
  #events: { event: Event; timeMs: number }[] = [];

  constructor(fetch: Fetch, tickRateHz: number, lastTick: number, onProblem: (problem: unknown) => void) {
    this.#fetch = fetch;
    this.#tickMs = 1000 / tickRateHz;
    this.#onProblem = onProblem;
    this.lastTick = lastTick;
    this.#positionMs = this.#tickMs;
    this.seek(1);
  }

  get tick(): number {
    return Math.floor(this.#positionMs / this.#tickMs + 1e-6);
  }

  get ended(): boolean {
    return this.tick >= this.lastTick;
  }

  get moment(): Moment | undefined {
    return this.timeline.around(this.#positionMs)?.older;
  }

  /** Session clock of the picture, milliseconds. */
  get positionMs(): number {
    return this.#positionMs;
  }

  name(slot: number): string {
    return this.names.get(slot) ?? `#${slot}`;
  }

  /** Goes on from a tick. */
  seek(tick: number): void {
    const wanted = Math.min(Math.max(Math.round(tick), 1), this.lastTick);
    this.#loading?.abort();
    this.#loading = undefined;
    this.timeline = new Timeline(MOMENTS_HELD);
    this.#events = [];
    this.#positionMs = wanted * this.#tickMs;
    this.#loadedTick = wanted - 1;
    void this.#load();
  }

  /** Plays or pauses; at the end it begins again. */
  toggle(): void {
    if (this.ended) {
      this.paused = false;
      this.seek(1);
    } else this.paused = !this.paused;
  }

  /** Sees what a player sees; "" for everything. */
  follow(player: string): void {
    this.following = player;
    this.seek(this.tick);
  }

  /** Moves on to an instant of the page's clock. Returns what happened on the way. */
  advance(pageMs: number): { event: Event; timeMs: number }[] {
    const passedMs = pageMs - (this.#pageMs ?? pageMs);
    this.#pageMs = pageMs;
    if (!this.paused) {
      const loadedMs = this.#loadedTick * this.#tickMs;
      this.#positionMs = Math.max(this.#positionMs, Math.min(this.#positionMs + passedMs * this.speed, loadedMs));
      if (loadedMs - this.#positionMs < AHEAD_S * 1000 * this.speed) void this.#load();
    }
    const due = this.#events.findIndex(({ timeMs }) => timeMs > this.#positionMs);
    return this.#events.splice(0, due < 0 ? this.#events.length : due);
  }

  async #load(): Promise<void> {
    if (this.#loading || this.#loadedTick >= this.lastTick) return;
    const loading = (this.#loading = new AbortController());
    const from = this.#loadedTick + 1;
    const to = Math.min(from + Math.ceil((CHUNK_S * 1000) / this.#tickMs) - 1, this.lastTick);
    try {
      for await (const frame of this.#fetch(from, to, this.following, loading.signal)) {
        if (loading.signal.aborted) return;
        this.#add(frame);
      }
    } catch (problem) {
      if (loading.signal.aborted) return;
      // Asking again at once would only fail again.
      this.paused = true;
      this.#onProblem(problem);
    }
    if (this.#loading === loading) this.#loading = undefined;
  }

  #add(frame: SpectatorFrame): void {
    const timeMs = frame.tick * this.#tickMs;
    for (const seat of frame.welcome?.seats ?? []) this.names.set(seat.slot, seat.playerId);
    // What comes after the last tick has its number too.
    if (frame.snapshot && frame.tick > this.#loadedTick) {
      this.timeline.add(frame.snapshot, timeMs);
      this.#loadedTick = frame.tick;
    }
    for (const event of frame.events) {
      if (event.kind.case === "join") this.names.set(event.kind.value.slot, event.kind.value.playerId);
      this.#events.push({ event, timeMs });
    }
  }
}
