// The panel of what the player who is followed earns: notifications, achievements, quests, rewards to claim.
import type { AchievementProgress } from "./gen/arenamesh/gamification/v1/achievement_pb.js";
import type { GameEvent } from "./gen/arenamesh/gamification/v1/notification_pb.js";
import type { ActiveQuest } from "./gen/arenamesh/gamification/v1/quest_service_pb.js";
import type { RewardDistribution } from "./gen/arenamesh/gamification/v1/reward_pb.js";
import { amounts, type Earned, type EarnedListener, type Paid } from "./earned.js";

const NOTICES_SHOWN = 30;
const OPEN_SHOWN = 6;
const FULL = 100;

export class Earnings implements EarnedListener {
  readonly #box: HTMLElement;
  readonly #claim: (grantId: string) => void;
  readonly #heading = document.createElement("h2");
  readonly #problem = document.createElement("p");
  readonly #notices = list("ol", "Notifications, newest first", "notices");
  readonly #achievements = list("ul", "Achievements", "achievements");
  readonly #quests = list("ul", "Active quests", "quests");
  readonly #pending = list("ul", "Rewards to claim", "pending");
  readonly #wallet = list("ul", "Wallet and inventory", "wallet");
  readonly #receipt = document.createElement("figure");
  #name = "";

  /** Fills `box`. `claim` is called when a person claims a grant. */
  constructor(box: HTMLElement, claim: (grantId: string) => void) {
    this.#box = box;
    this.#claim = claim;
    this.#problem.role = "status";
    this.#notices.ariaLive = "polite";
    this.#receipt.ariaLabel = "Receipt";
    box.replaceChildren(
      ...[this.#heading, this.#problem, this.#notices, this.#pending, this.#receipt],
      ...[this.#achievements, this.#quests, this.#wallet],
    );
    this.#pending.addEventListener("click", (click) => {
      const grant = (click.target as Element).closest("button")?.dataset["grant"];
      if (grant) this.#claim(grant);
    });
  }

  /** Begins with somebody else. */
  begin(name: string): void {
    this.#name = name;
    this.#box.dataset["user"] = name;
    this.#box.hidden = false;
    this.#heading.textContent = `Earned by ${name}`;
    for (const part of [this.#notices, this.#achievements, this.#quests, this.#pending, this.#wallet]) part.replaceChildren();
    delete this.#pending.dataset["grants"];
    this.#receipt.hidden = true;
    this.problem("");
  }

  problem(text: string): void {
    this.#problem.textContent = text;
    this.#problem.hidden = text === "";
  }

  told(event: GameEvent): void {
    const item = document.createElement("li");
    item.textContent = event.title;
    item.classList.toggle("great", /_COMPLETED$/.test(event.type));
    item.dataset["sequence"] = String(event.sequence);
    item.dataset["type"] = event.type;
    item.dataset["cause"] = event.cause;
    for (const name of ["achievement", "quest", "grant"]) {
      const id = event.data?.[`${name}_id`];
      if (typeof id === "string") item.dataset[name] = id;
    }
    this.#notices.prepend(item);
    while (this.#notices.children.length > NOTICES_SHOWN) this.#notices.lastElementChild?.remove();
  }

  earned(earned: Earned): void {
    this.#heading.textContent = `Earned by ${this.#name}: ${earned.completed} · ${earned.points} points`;
    const open = earned.achievements.filter((each) => !each.isCompleted).sort((a, b) => b.progress - a.progress);
    const shown = [...earned.achievements.filter((each) => each.isCompleted), ...open.slice(0, OPEN_SHOWN)];
    this.#achievements.replaceChildren(...shown.map((each) => achievement(each, earned.titles)));
    this.#quests.replaceChildren(...earned.quests.map(quest));
    this.#owed(earned.pending);
    this.#wallet.replaceChildren(
      ...earned.balances.map(({ currency, amount }) => possession(currency, amount)),
      ...earned.items.map(({ id, quantity }) => possession(id, quantity)),
    );
  }

  paid({ claim, verified }: Paid): void {
    const caption = document.createElement("figcaption");
    const code = document.createElement("code");
    const { distribution } = claim;
    const verdict = verified.valid ? `verified, key ${verified.kid}` : `refused: ${verified.problem}`;
    caption.textContent = `Paid: ${amounts(distribution?.contents ?? [])}. Receipt ${verdict}.`;
    code.textContent = claim.receipt;
    this.#receipt.replaceChildren(caption, code);
    this.#receipt.hidden = false;
    this.#receipt.dataset["grant"] = distribution?.id ?? "";
    this.#receipt.dataset["valid"] = String(verified.valid);
    this.#receipt.dataset["jti"] = verified.claims?.grantId ?? "";
    this.#receipt.dataset["cause"] = verified.claims?.cause ?? "";
    this.#receipt.dataset["transfers"] = claim.transfers.map(({ id }) => id).join(" ");
  }

  /** Only when they are others: a button that is made anew loses its focus, and half of a click. */
  #owed(grants: readonly RewardDistribution[]): void {
    const ids = grants.map(({ id }) => id).join(" ");
    if (this.#pending.dataset["grants"] === ids) return;
    this.#pending.dataset["grants"] = ids;
    this.#pending.replaceChildren(...grants.map(pending));
  }
}

function achievement(progress: AchievementProgress, titles: ReadonlyMap<string, string>): HTMLLIElement {
  const title = titles.get(progress.achievementId) ?? progress.achievementId;
  const times = progress.completions > 1n ? ` ×${progress.completions}` : "";
  const item = bar(`${title}${times}`, progress.progress);
  item.dataset["achievement"] = progress.achievementId;
  item.classList.toggle("done", progress.isCompleted);
  return item;
}

function quest({ quest: definition, progress }: ActiveQuest): HTMLLIElement {
  const open = definition?.steps.filter(
    (step) => step.order === progress?.currentStep && (progress.stepProgress[step.id] ?? 0) < FULL,
  );
  const item = bar(definition?.title ?? progress?.questId ?? "", progress?.progress ?? 0);
  item.title = open?.map((step) => step.title).join("; ") ?? "";
  item.dataset["quest"] = definition?.id ?? "";
  return item;
}

function pending(grant: RewardDistribution): HTMLLIElement {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.textContent = "Claim";
  button.dataset["grant"] = grant.id;
  button.ariaLabel = `Claim ${grant.title}`;
  const text = document.createElement("span");
  text.textContent = grant.title;
  text.title = amounts(grant.contents);
  item.dataset["cause"] = grant.cause;
  item.append(text, button);
  return item;
}

function possession(name: string, quantity: bigint): HTMLLIElement {
  const item = document.createElement("li");
  item.dataset["asset"] = name;
  item.dataset["quantity"] = String(quantity);
  item.textContent = `${quantity} ${name}`;
  return item;
}

function bar(text: string, percent: number): HTMLLIElement {
  const item = document.createElement("li");
  const shown = document.createElement("progress");
  shown.max = FULL;
  shown.value = percent;
  shown.ariaLabel = `${text}: ${percent} %`;
  item.append(text, shown);
  return item;
}

function list<K extends "ol" | "ul">(kind: K, label: string, name: string): HTMLElementTagNameMap[K] {
  const found = document.createElement(kind);
  found.ariaLabel = label;
  found.className = name;
  return found;
}
