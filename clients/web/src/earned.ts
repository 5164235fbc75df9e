// What one player has earned, is about to earn and is owed: looked up when something was told, and now and then.
import { ConnectError } from "@connectrpc/connect";

import type { Gamification } from "./api.js";
import type { AchievementProgress } from "./gen/arenamesh/gamification/v1/achievement_pb.js";
import type { GameEvent } from "./gen/arenamesh/gamification/v1/notification_pb.js";
import type { ActiveQuest } from "./gen/arenamesh/gamification/v1/quest_service_pb.js";
import type { Amount, Balance, InventoryItem, RewardDistribution } from "./gen/arenamesh/gamification/v1/reward_pb.js";
import type { ClaimRewardResponse, VerifyReceiptResponse } from "./gen/arenamesh/gamification/v1/reward_service_pb.js";
import { subscribe, type Told } from "./notifications.js";

const REFRESH_MS = 3000;
const MOST = 1000;

export interface Earned {
  achievements: AchievementProgress[];
  /** By achievement. */
  titles: ReadonlyMap<string, string>;
  completed: bigint;
  points: bigint;
  quests: ActiveQuest[];
  pending: RewardDistribution[];
  balances: Balance[];
  items: InventoryItem[];
}

/** A claim that was paid, and what the service says of its receipt. */
export interface Paid {
  claim: ClaimRewardResponse;
  verified: VerifyReceiptResponse;
}

/** Who hears what a player earns. */
export interface EarnedListener extends Told {
  earned(earned: Earned): void;
  paid(paid: Paid): void;
}

export class Earning {
  readonly #services: Gamification;
  readonly #userId: string;
  readonly #listener: EarnedListener;
  readonly #signal: AbortSignal;
  #titles: ReadonlyMap<string, string> = new Map();
  #looking = false;
  #again = false;

  /** Nothing happens until `watch`; `listener` hears nothing once it is aborted. */
  constructor(services: Gamification, userId: string, listener: EarnedListener, signal: AbortSignal) {
    this.#services = services;
    this.#userId = userId;
    this.#listener = listener;
    this.#signal = signal;
  }

  async watch(): Promise<void> {
    const timer = setInterval(() => void this.look(), REFRESH_MS);
    this.#signal.addEventListener("abort", () => clearInterval(timer));
    void this.look();
    const told = (event: GameEvent): void => {
      this.#listener.told(event);
      void this.look();
    };
    const problem = (text: string): void => this.#listener.problem(text);
    await subscribe(this.#services.notifications, this.#userId, { told, problem }, this.#signal);
    clearInterval(timer);
  }

  /** Claims a grant, and asks whether the receipt is a good one. A second time it is not paid again. */
  async claim(grantId: string): Promise<void> {
    const { rewards } = this.#services;
    try {
      const claim = await rewards.claimReward({ id: grantId, requestId: `page-${grantId}` });
      const verified = await rewards.verifyReceipt({ receipt: claim.receipt });
      if (!this.#signal.aborted) this.#listener.paid({ claim, verified });
    } catch (problem) {
      if (!this.#signal.aborted) this.#listener.problem(ConnectError.from(problem).rawMessage);
    }
    await this.look();
  }

  /** One look at a time: what is told meanwhile is looked up once more at the end. */
  async look(): Promise<void> {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#again && !this.#signal.aborted) {
      this.#again = false;
      try {
        const earned = await this.#fetch();
        if (!this.#signal.aborted) this.#listener.earned(earned);
      } catch {
        // The stream of notifications reports what is wrong; the next look may find it mended.
      }
    }
    this.#looking = false;
  }

  async #fetch(): Promise<Earned> {
    const { achievements, quests, rewards } = this.#services;
    const about = { userId: this.#userId };
    const options = { signal: this.#signal };
    const [progress, active, pending, wallet, inventory] = await Promise.all([
      all((pageToken) => achievements.listAchievementProgress({ ...about, pageSize: MOST, pageToken }, options)),
      quests.listActiveQuests(about, options),
      rewards.listPendingRewards({ ...about, pageSize: MOST }, options),
      rewards.getWallet(about, options),
      rewards.getInventory(about, options),
    ]);
    const begun = progress.flatMap((page) => page.progress);
    if (begun.some(({ achievementId }) => !this.#titles.has(achievementId))) {
      const known = await all((pageToken) => achievements.listAchievements({ includeDisabled: true, pageSize: MOST, pageToken }, options));
      this.#titles = new Map(known.flatMap((page) => page.achievements).map(({ id, title }) => [id, title]));
    }
    return {
      achievements: begun,
      titles: this.#titles,
      completed: progress[0]?.completed ?? 0n,
      points: progress[0]?.points ?? 0n,
      quests: active.quests,
      pending: pending.distributions,
      balances: wallet.balances,
      items: inventory.items,
    };
  }
}

/** Every page of a list: the service gives as many at once as it likes. */
async function all<P extends { nextPageToken: string }>(list: (pageToken: string) => Promise<P>): Promise<P[]> {
  const pages: P[] = [];
  let token = "";
  do {
    const page = await list(token);
    pages.push(page);
    token = page.nextPageToken;
  } while (token);
  return pages;
}

const GROUPED = new Intl.NumberFormat("en");

/** What something pays, to read: `50 gold, 3 × medkit`. */
export function amounts(contents: readonly Amount[]): string {
  return contents
    .map(({ item, currency, quantity }) =>
      currency ? `${GROUPED.format(quantity)} ${currency}` : quantity === 1n ? item : `${GROUPED.format(quantity)} × ${item}`,
    )
    .join(", ");
}
