import { create } from "@bufbuild/protobuf";
import { describe, expect, test, vi } from "vitest";

import { SpectatorFrameSchema, type SpectatorFrame } from "../src/gen/arenamesh/combat/v1/spectate_pb.js";
import { clock } from "../src/controls.js";
import { Playback } from "../src/playback.js";

const RATE = 10;
const LAST = 500;
interface Asked {
  from: number;
  to: number;
  follow: string;
}

/** A server that has a player who is at x = tick, and a kill every 50 ticks. */
function server(): { asked: Asked[]; fetch: ConstructorParameters<typeof Playback>[0] } {
  const asked: Asked[] = [];
  return {
    asked,
    async *fetch(from, to, follow) {
      asked.push({ from, to, follow });
      for (let tick = from; tick <= to; tick++) yield frame(tick, tick === from);
    },
  };
}

function frame(tick: number, whole: boolean): SpectatorFrame {
  return create(SpectatorFrameSchema, {
    tick,
    snapshot: { tick, baselineTick: whole ? 0 : tick - 1, entities: [{ slot: 3, xMm: tick * 1000 }] },
    welcome: whole ? { seats: [{ slot: 3, playerId: "ann" }] } : undefined,
    events: tick % 50 === 0 ? [{ tick, kind: { case: "kill", value: { victim: 3, killer: 3 } } }] : [],
  });
}

function playing(problem = vi.fn()): { asked: Asked[]; playback: Playback } {
  const { asked, fetch } = server();
  return { asked, playback: new Playback(fetch, RATE, LAST, problem) };
}

/** Lets what was asked for arrive. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) await Promise.resolve();
}

/** Advances the page in small steps from `fromMs`, as a browser draws; returns the ticks of what happened. */
async function watch(playback: Playback, fromMs: number, toMs: number): Promise<number[]> {
  const seen: number[] = [];
  for (let ms = fromMs; ms <= toMs; ms += 20) {
    for (const { event } of playback.advance(ms)) seen.push(event.tick);
    await settle();
  }
  return seen;
}

describe("Playback", () => {
  test("begins at the first tick and goes with the page's clock", async () => {
    const { playback, asked } = playing();
    await settle();
    expect(asked[0]).toEqual({ from: 1, to: 100, follow: "" });
    expect(playback.tick).toBe(1);
    await watch(playback, 0, 3000);
    expect(playback.tick).toBe(31);
    expect(playback.moment?.players.get(3)?.x).toBe(31);
    expect(playback.name(3)).toBe("ann");
  });

  test("asks for the next seconds before it needs them, and only once", async () => {
    const { playback, asked } = playing();
    await settle();
    await watch(playback, 0, 12_000);
    expect(asked.map(({ from }) => from)).toEqual([1, 101]);
    expect(playback.tick).toBe(121);
  });

  test("tells each event when it is seen, once", async () => {
    const { playback } = playing();
    await settle();
    expect(await watch(playback, 0, 4800)).toEqual([]);
    expect(await watch(playback, 4820, 11_000)).toEqual([50, 100]);
  });

  test("plays faster and slower", async () => {
    const { playback } = playing();
    await settle();
    playback.speed = 8;
    await watch(playback, 0, 2000);
    expect(playback.tick).toBe(161);
    playback.speed = 0.5;
    await watch(playback, 2000, 4000);
    expect(playback.tick).toBe(171);
  });

  test("stands still when paused, and asks for nothing", async () => {
    const { playback, asked } = playing();
    await settle();
    await watch(playback, 0, 1000);
    playback.toggle();
    await watch(playback, 1000, 60_000);
    expect(playback.tick).toBe(11);
    expect(asked).toHaveLength(1);
    playback.toggle();
    await watch(playback, 60_000, 61_000);
    expect(playback.tick).toBe(21);
  });

  test("jumps forth and back, also while it is paused", async () => {
    const { playback, asked } = playing();
    await settle();
    playback.toggle();
    playback.seek(400);
    await settle();
    expect(asked.at(-1)).toEqual({ from: 400, to: 499, follow: "" });
    expect(playback.tick).toBe(400);
    expect(playback.moment?.players.get(3)?.x).toBe(400);
    playback.seek(20);
    await settle();
    expect(playback.moment?.players.get(3)?.x).toBe(20);
  });

  test("a jump forgets what was on its way", async () => {
    const { playback } = playing();
    playback.seek(300);
    await settle();
    expect(playback.timeline.around(0)?.older.tick).toBe(300);
  });

  test("ends at the last tick and begins again", async () => {
    const { playback } = playing();
    await settle();
    playback.seek(490);
    await settle();
    await watch(playback, 0, 3000);
    expect(playback.tick).toBe(LAST);
    expect(playback.ended).toBe(true);
    playback.toggle();
    await settle();
    expect(playback.tick).toBe(1);
    expect(playback.ended).toBe(false);
  });

  test("follows a player from where it is", async () => {
    const { playback, asked } = playing();
    await settle();
    await watch(playback, 0, 1000);
    playback.follow("ann");
    await settle();
    expect(asked.at(-1)).toMatchObject({ from: 11, follow: "ann" });
  });

  test("waits for what has not come yet", () => {
    const { playback } = playing();
    playback.advance(0);
    playback.advance(5000);
    expect(playback.tick).toBe(1);
  });

  test("a problem stops it and is told once", async () => {
    const problem = vi.fn();
    const broken = new Playback(
      async function* () {
        throw new Error("gone");
      },
      RATE,
      LAST,
      problem,
    );
    await settle();
    for (let ms = 0; ms < 1000; ms += 20) broken.advance(ms);
    await settle();
    expect(problem).toHaveBeenCalledTimes(1);
    expect(broken.paused).toBe(true);
  });
});

test("clock", () => {
  expect([0, 59.9, 187.2].map(clock)).toEqual(["0:00", "0:59", "3:07"]);
});
