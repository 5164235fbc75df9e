import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";

import { SnapshotSchema } from "../src/gen/arenamesh/combat/v1/snapshot_pb.js";
import { Samples } from "../src/meters.js";
import { between, Timeline } from "../src/snapshots.js";

const full = create(SnapshotSchema, {
  tick: 10,
  entities: [
    { slot: 0, xMm: 1000, yMm: 2000, zMm: 0, yaw: 16384, healthMilli: 100_000, flags: 1, team: 1 },
    { slot: 3, xMm: -5000, yMm: 0, zMm: 0, yaw: 0, healthMilli: 50_000, flags: 1, team: 2 },
  ],
});

describe("Timeline", () => {
  test("a difference changes only the fields it carries", () => {
    const timeline = new Timeline();
    timeline.add(full, 0);
    expect(timeline.add(create(SnapshotSchema, { tick: 11, baselineTick: 10, entities: [{ slot: 0, xMm: 1500 }], removed: [3] }), 33)).toBe(true);
    const players = timeline.newest?.players;
    expect(players?.get(0)).toMatchObject({ x: 1.5, y: 2, yaw: Math.PI / 2, health: 100, team: 1 });
    expect(players?.has(3)).toBe(false);
  });

  test("the baseline stays as it was", () => {
    const timeline = new Timeline();
    timeline.add(full, 0);
    timeline.add(create(SnapshotSchema, { tick: 11, baselineTick: 10, removed: [0, 3] }), 33);
    timeline.add(create(SnapshotSchema, { tick: 12, baselineTick: 10 }), 66);
    expect(timeline.newest?.players.size).toBe(2);
  });

  test("a difference to a moment no longer held is refused", () => {
    const timeline = new Timeline();
    expect(timeline.add(create(SnapshotSchema, { tick: 11, baselineTick: 10 }), 0)).toBe(false);
    expect(timeline.newest).toBeUndefined();
  });

  test("finds the moments about an instant", () => {
    const timeline = new Timeline();
    timeline.add(full, 100);
    timeline.add(create(SnapshotSchema, { tick: 11, baselineTick: 10 }), 200);
    expect(timeline.around(150)).toMatchObject({ share: 0.5, older: { tick: 10 }, newer: { tick: 11 } });
    expect(timeline.around(900)).toMatchObject({ older: { tick: 11 }, newer: { tick: 11 } });
    expect(timeline.around(0)).toMatchObject({ share: 0, older: { tick: 10 } });
  });
});

describe("between", () => {
  const timeline = new Timeline();
  timeline.add(full, 0);
  const older = timeline.newest!.players.get(0)!;

  test("turns the short way round", () => {
    const half = between({ ...older, yaw: 0.1 }, { ...older, yaw: 2 * Math.PI - 0.1 }, 0.5);
    expect(half.yaw).toBeCloseTo(0);
  });

  test("does not smooth a jump", () => {
    expect(between(older, { ...older, x: 50 }, 0.5).x).toBe(50);
  });
});

test("Samples forget the oldest", () => {
  const samples = new Samples(3);
  for (const value of [100, 1, 2, 3]) samples.add(value);
  expect(samples.quantile(0.5)).toBe(2);
  expect(samples.quantile(1)).toBe(3);
});
