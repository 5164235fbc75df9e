import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Gamification } from "../src/api.js";
import { amounts, Earning, type Earned, type Paid } from "../src/earned.js";
import { AchievementService } from "../src/gen/arenamesh/gamification/v1/achievement_service_pb.js";
import { NotificationService, SubscribeResponseSchema } from "../src/gen/arenamesh/gamification/v1/notification_service_pb.js";
import { QuestService } from "../src/gen/arenamesh/gamification/v1/quest_service_pb.js";
import { AmountSchema } from "../src/gen/arenamesh/gamification/v1/reward_pb.js";
import { RewardService } from "../src/gen/arenamesh/gamification/v1/reward_service_pb.js";
import { subscribe } from "../src/notifications.js";

type Answer = MessageInitShape<typeof SubscribeResponseSchema>;

const opened = (newest: bigint): Answer => ({ newest });
const at = (sequence: bigint): Answer => ({ newest: sequence, event: { sequence, title: `told ${sequence}` } });
const gone = new ConnectError("gone", Code.Unavailable);

/** A service whose streams are these, one after the other; remembers what it was asked. */
function served(streams: (Answer | ConnectError)[][]) {
  const asked: (bigint | undefined)[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(NotificationService, {
      async *subscribe({ afterSequence }) {
        asked.push(afterSequence);
        for (const answer of streams[asked.length - 1] ?? []) {
          if (answer instanceof ConnectError) throw answer;
          yield create(SubscribeResponseSchema, answer);
        }
      },
    });
  });
  return { notifications: createClient(NotificationService, transport), asked };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Listens until `count` notifications or problems were heard. */
async function heard(streams: (Answer | ConnectError)[][], count: number) {
  const { notifications, asked } = served(streams);
  const told: (bigint | string)[] = [];
  const abort = new AbortController();
  const note = (what: bigint | string): void => {
    if (what !== "") told.push(what);
    if (told.length === count) abort.abort();
  };
  const listening = subscribe(notifications, "ada", { told: ({ sequence }) => note(sequence), problem: note }, abort.signal);
  while (!abort.signal.aborted) await vi.advanceTimersByTimeAsync(100);
  await vi.advanceTimersByTimeAsync(2000);
  await listening;
  return { told, asked };
}

describe("subscribe", () => {
  test("begins with the newest few", async () => {
    const { asked } = await heard([[opened(40n)], [opened(40n), at(33n)]], 1);
    expect(asked).toEqual([undefined, 32n]);
  });

  test("begins with all of few", async () => {
    const { told, asked } = await heard([[opened(3n)], [opened(3n), at(1n), at(2n), at(3n)]], 3);
    expect(told).toEqual([1n, 2n, 3n]);
    expect(asked).toEqual([undefined, 0n]);
  });

  test("goes on after the last one when the stream breaks", async () => {
    const { told, asked } = await heard([[opened(0n)], [opened(0n), at(1n), gone], [opened(2n), at(2n)]], 2);
    expect(told).toEqual([1n, 2n]);
    expect(asked).toEqual([undefined, 0n, 1n]);
  });

  test("begins anew when those that follow are no longer kept", async () => {
    const old = new ConnectError("the oldest that is kept is 90", Code.OutOfRange);
    const { told, asked } = await heard([[opened(0n)], [at(1n)], [old], [opened(99n)], [at(92n)]], 3);
    expect(told).toEqual([1n, "the oldest that is kept is 90", 92n]);
    expect(asked).toEqual([undefined, 0n, 1n, undefined, 91n]);
  });

  test("begins with what is kept when that is fewer than the newest few", async () => {
    const old = new ConnectError("the oldest that is kept is 98", Code.OutOfRange);
    const { told, asked } = await heard([[opened(99n)], [old], [opened(99n), at(98n), at(99n)]], 3);
    expect(told).toEqual(["the oldest that is kept is 98", 98n, 99n]);
    expect(asked).toEqual([undefined, 91n, 0n]);
  });

  test("says what is wrong, and asks no more who may not ask", async () => {
    const { notifications, asked } = served([[new ConnectError("not yours", Code.PermissionDenied)]]);
    const problems: string[] = [];
    const listener = { told: () => undefined, problem: (text: string) => problems.push(text) };
    await subscribe(notifications, "ada", listener, new AbortController().signal);
    expect(problems).toEqual(["not yours"]);
    expect(asked).toEqual([undefined]);
  });
});

/** A service where one grant waits, until it is claimed. */
function economy() {
  let claimed = false;
  const asked: string[] = [];
  const transport = createRouterTransport((router) => {
    router.service(NotificationService, {
      async *subscribe(_request, { signal }) {
        yield create(SubscribeResponseSchema, opened(0n));
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
    router.service(AchievementService, {
      listAchievementProgress: ({ pageToken }) => ({
        progress: [pageToken ? { achievementId: "veteran", progress: 5 } : { achievementId: "first-blood", progress: 100 }],
        ...{ completed: 1n, points: 10n, nextPageToken: pageToken ? "" : "more" },
      }),
      listAchievements: ({ pageToken }) =>
        pageToken
          ? { achievements: [{ id: "veteran", title: "Veteran" }] }
          : { achievements: [{ id: "first-blood", title: "First Blood" }], nextPageToken: "more" },
    });
    router.service(QuestService, { listActiveQuests: () => ({ quests: [{ quest: { id: "welcome" } }] }) });
    router.service(RewardService, {
      listPendingRewards: () => ({ distributions: claimed ? [] : [{ id: "g-1" }] }),
      getWallet: () => ({ balances: claimed ? [{ currency: "gold", amount: 50n }] : [] }),
      getInventory: () => ({}),
      claimReward: ({ id, requestId }) => {
        asked.push(requestId);
        if (id !== "g-1") throw new ConnectError("There is no grant.", Code.NotFound);
        claimed = true;
        return { distribution: { id }, receipt: "a.b.c" };
      },
      verifyReceipt: ({ receipt }) => ({ valid: receipt === "a.b.c", kid: "k1" }),
    });
  });
  const services: Gamification = {
    achievements: createClient(AchievementService, transport),
    quests: createClient(QuestService, transport),
    rewards: createClient(RewardService, transport),
    notifications: createClient(NotificationService, transport),
  };
  return { services, asked };
}

describe("Earning", () => {
  function watching(userId: string) {
    const { services, asked } = economy();
    const seen: { earned: Earned[]; paid: Paid[]; problems: string[] } = { earned: [], paid: [], problems: [] };
    const abort = new AbortController();
    const listener = {
      told: () => undefined,
      problem: (text: string) => void (text && seen.problems.push(text)),
      earned: (earned: Earned) => seen.earned.push(earned),
      paid: (paid: Paid) => seen.paid.push(paid),
    };
    const earning = new Earning(services, userId, listener, abort.signal);
    const watched = earning.watch();
    return { earning, seen, asked, abort, watched };
  }

  test("looks at once and again, and knows what achievements are called", async () => {
    const { seen, abort, watched } = watching("ada");
    await vi.advanceTimersByTimeAsync(7000);
    abort.abort();
    await vi.advanceTimersByTimeAsync(2000);
    await watched;
    const looks = seen.earned.length;
    expect(looks).toBeGreaterThanOrEqual(3);
    expect(seen.earned[0]?.titles.get("first-blood")).toBe("First Blood");
    expect(seen.earned[0]?.points).toBe(10n);
    expect(seen.earned[0]?.achievements.map(({ achievementId }) => achievementId)).toEqual(["first-blood", "veteran"]);
    expect(seen.earned[0]?.titles.get("veteran")).toBe("Veteran");
    await vi.advanceTimersByTimeAsync(9000);
    expect(seen.earned.length).toBe(looks);
  });

  test("a claim is paid, verified and looked at; its key is the grant's", async () => {
    const { earning, seen, asked, abort } = watching("ada");
    await vi.advanceTimersByTimeAsync(10);
    expect(seen.earned.at(-1)?.pending.map(({ id }) => id)).toEqual(["g-1"]);
    await earning.claim("g-1");
    expect(seen.paid.map(({ claim, verified }) => [claim.distribution?.id, verified.valid, verified.kid])).toEqual([["g-1", true, "k1"]]);
    expect(seen.earned.at(-1)?.pending).toEqual([]);
    expect(seen.earned.at(-1)?.balances[0]?.amount).toBe(50n);
    expect(asked).toEqual(["page-g-1"]);
    abort.abort();
  });

  test("a claim that is refused says why", async () => {
    const { earning, seen, abort } = watching("ada");
    await earning.claim("g-2");
    expect(seen.problems).toEqual(["There is no grant."]);
    expect(seen.paid).toEqual([]);
    abort.abort();
  });
});

test("amounts can be read", () => {
  const contents = [
    create(AmountSchema, { currency: "gold", quantity: 1500n }),
    create(AmountSchema, { item: "medkit", quantity: 3n }),
    create(AmountSchema, { item: "title.hunter", quantity: 1n }),
  ];
  expect(amounts(contents)).toBe("1,500 gold, 3 × medkit, title.hunter");
});
