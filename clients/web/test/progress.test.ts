import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test, vi } from "vitest";

import type { Progression } from "../src/api.js";
import { HistoryEventSchema, type Progress } from "../src/gen/arenamesh/progression/v1/history_pb.js";
import { ProgressionService, WatchProgressResponseSchema } from "../src/gen/arenamesh/progression/v1/service_pb.js";
import { amount, gains, share, watchProgress } from "../src/progress.js";

type Answer = MessageInitShape<typeof WatchProgressResponseSchema>;

const at = (version: bigint): Answer => ({ event: { version }, progress: { characterId: "ada", version } });

/** A server whose streams are these, one after the other; remembers what it was asked. */
function served(streams: (Answer | ConnectError)[][]) {
  const asked: (bigint | undefined)[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(ProgressionService, {
      async *watchProgress({ afterVersion }) {
        asked.push(afterVersion);
        for (const answer of streams[asked.length - 1] ?? []) {
          if (answer instanceof ConnectError) throw answer;
          yield create(WatchProgressResponseSchema, answer);
        }
      },
    });
  });
  return { client: createClient(ProgressionService, transport), asked };
}

/** Follows until `count` answers or problems were heard. */
async function heard(streams: (Answer | ConnectError)[][], count: number) {
  vi.useFakeTimers();
  const { client, asked } = served(streams);
  const told: (bigint | string)[] = [];
  const abort = new AbortController();
  const note = (what: bigint | string): void => {
    if (what !== "") told.push(what);
    if (told.length === count) abort.abort();
  };
  const watching = watchProgress(client, "ada", { progress: (progress) => note(progress.version), problem: note }, abort.signal);
  while (!abort.signal.aborted) await vi.advanceTimersByTimeAsync(100);
  await vi.advanceTimersByTimeAsync(2000);
  await watching;
  vi.useRealTimers();
  return { told, asked };
}

const gone = new ConnectError("gone", Code.Unavailable);

describe("watchProgress", () => {
  test("goes on after the last event when the stream breaks", async () => {
    const { told, asked } = await heard([[{ progress: { version: 3n } }, at(4n), gone], [at(5n), at(6n)]], 4);
    expect(told).toEqual([3n, 4n, 5n, 6n]);
    expect(asked).toEqual([undefined, 4n]);
  });

  test("says what is wrong when trying again was no use", async () => {
    const { told, asked } = await heard([[at(4n), gone], [gone], [at(5n)]], 3);
    expect(told).toEqual([4n, "gone", 5n]);
    expect(asked).toEqual([undefined, 4n, 4n]);
  });

  test("an event told in bulk is followed by the next one, not by how the character stood", async () => {
    const bulk: Answer = { event: { version: 4n }, progress: { version: 9n } };
    const { asked } = await heard([[bulk], [at(5n)]], 2);
    expect(asked).toEqual([undefined, 4n]);
  });

  test("whoever has no experience yet is watched from the first event on", async () => {
    const { told, asked } = await heard([[new ConnectError("no such character", Code.NotFound)], [at(1n)]], 2);
    expect(told).toEqual(["No experience yet.", 1n]);
    expect(asked).toEqual([undefined, 0n]);
  });

  test("a character that begins anew is shown as it stands", async () => {
    const ahead = new ConnectError("at version 2", Code.OutOfRange);
    const { asked } = await heard([[at(9n)], [ahead], [at(2n)]], 3);
    expect(asked).toEqual([undefined, 9n, undefined]);
  });

  test("nothing that had come already is told once somebody else is followed", async () => {
    async function* watch() {
      for (const version of [1n, 2n, 3n]) yield create(WatchProgressResponseSchema, at(version));
    }
    const abort = new AbortController();
    const told: bigint[] = [];
    const listener = {
      progress: ({ version }: Progress) => {
        told.push(version);
        abort.abort();
      },
      problem: () => undefined,
    };
    await watchProgress({ watchProgress: watch } as unknown as Progression, "ada", listener, abort.signal);
    expect(told).toEqual([1n]);
  });

  test("who may not watch is told so, once", async () => {
    const { client, asked } = served([[new ConnectError("not yours", Code.PermissionDenied)]]);
    const problems: string[] = [];
    const listener = { progress: () => undefined, problem: (text: string) => problems.push(text) };
    await watchProgress(client, "ada", listener, new AbortController().signal);
    expect(problems).toEqual(["not yours"]);
    expect(asked).toEqual([undefined]);
  });
});

describe("gains", () => {
  const titles = new Map([["combat", "Combat"]]);

  test("levels are told when they rose, the most important last", () => {
    const event = create(HistoryEventSchema, {
      what: {
        case: "experienceAwarded",
        value: {
          source: "combat.session_ended",
          experience: "12345",
          baseLevel: { from: 1n, to: 3n },
          paragonLevel: { from: 0n, to: 0n },
          mastery: [{ type: "combat", experience: "10", level: { from: 1n, to: 2n }, rewardIds: ["mastery.combat.2"] }],
        },
      },
    });
    expect(gains(event, titles)).toEqual([
      { text: "+12,345 · session ended", level: false },
      { text: "Combat 2 · unlocked mastery.combat.2", level: true },
      { text: "Level 3", level: true },
    ]);
  });

  test("what gives nothing is not told", () => {
    expect(gains(create(HistoryEventSchema, { what: { case: "pointsDistributed", value: {} } }), titles)).toEqual([]);
  });
});

test("a share of a level of any size", () => {
  expect(share("25", "100")).toBe(0.25);
  expect(share("0", "")).toBe(1);
  expect(share("50000000000000000000000000000000", "100000000000000000000000000000000")).toBe(0.5);
});

test("amounts of any length can be read", () => {
  expect(amount("1234567")).toBe("1,234,567");
  expect(amount("123456789012345678901234567890")).toBe("1.23E29");
});
