// The panel of the player who is followed: levels, experience, mastery, prestige, what was gained just now.
import type { HistoryEvent, Progress } from "./gen/arenamesh/progression/v1/history_pb.js";
import type { MasteryLevel } from "./gen/arenamesh/progression/v1/mastery_pb.js";
import { amount, gains, share, type Listener } from "./progress.js";

const GAINS_SHOWN = 6;
const MICRO = 1_000_000;

export class Panel implements Listener {
  readonly #box: HTMLElement;
  readonly #follow = document.createElement("select");
  readonly #problem = document.createElement("p");
  readonly #levels = document.createElement("dl");
  readonly #bar = document.createElement("progress");
  readonly #experience = document.createElement("p");
  readonly #mastery = document.createElement("ul");
  readonly #gains = document.createElement("ol");
  #followed = "";

  /** Fills `box`. `onFollow` is called when a person chooses somebody. */
  constructor(box: HTMLElement, onFollow: (name: string) => void) {
    this.#box = box;
    this.#follow.ariaLabel = "Progress of";
    this.#follow.addEventListener("change", () => onFollow(this.#follow.value));
    this.#problem.role = "status";
    this.#bar.ariaLabel = "Experience in the level";
    this.#mastery.ariaLabel = "Mastery";
    this.#gains.ariaLabel = "Gains, newest first";
    this.#gains.ariaLive = "polite";
    this.#experience.className = "experience";
    this.#mastery.className = "mastery";
    this.#gains.className = "gains";
    const heading = document.createElement("h2");
    heading.append("Progress of ", this.#follow);
    box.replaceChildren(heading, this.#problem, this.#levels, this.#bar, this.#experience, this.#gains, this.#mastery);
    this.#clear();
  }

  /** Who can be followed, beside who is. */
  players(names: readonly string[]): void {
    const all = [...new Set([...names, this.#followed])].filter(Boolean).sort();
    const shown = [...this.#follow.options].map((option) => option.value);
    if (all.length === shown.length && all.every((name, index) => name === shown[index])) return;
    this.#follow.replaceChildren(...all.map((name) => new Option(name, name)));
    this.#follow.value = this.#followed;
  }

  /** Begins with somebody else. */
  begin(name: string): void {
    this.#followed = name;
    this.players([...this.#follow.options].map((option) => option.value));
    this.#follow.value = name;
    this.#box.hidden = false;
    this.#clear();
  }

  problem(text: string): void {
    this.#problem.textContent = text;
    this.#problem.hidden = text === "";
  }

  progress(progress: Progress, event: HistoryEvent | undefined): void {
    const { base, paragon, prestige, mastery } = progress;
    if (!base || !paragon) return;
    for (const part of [this.#levels, this.#bar, this.#experience, this.#mastery]) part.hidden = false;
    const bonus = (Number(prestige?.bonuses?.xpMicro ?? MICRO) / MICRO).toFixed(2);
    this.#levels.replaceChildren(
      figure("Level", `${base.level} / ${base.cap}`),
      figure("Paragon", String(paragon.level)),
      figure("Prestige", `${prestige?.resets ?? 0} · ×${bonus}`),
      figure("Points", String(paragon.pointsUnspent)),
    );
    const level = base.level < base.cap ? base : paragon;
    this.#bar.value = share(level.experienceInLevel, level.experienceOfLevel);
    const of = level.experienceOfLevel === "" ? "" : ` / ${amount(level.experienceOfLevel)}`;
    this.#experience.textContent = `${amount(level.experienceInLevel)}${of} XP`;
    this.#box.dataset["character"] = progress.characterId;
    this.#box.dataset["version"] = String(progress.version);
    this.#box.dataset["experience"] = String(BigInt(base.experience) + BigInt(paragon.experience));
    this.#mastery.replaceChildren(...mastery.filter((each) => each.experience !== "0").map(entry));
    if (event) this.#gained(event, mastery);
  }

  #gained(event: HistoryEvent, mastery: MasteryLevel[]): void {
    const titles = new Map(mastery.map((each) => [each.type, each.title]));
    for (const { text, level } of gains(event, titles)) {
      const item = document.createElement("li");
      item.textContent = text;
      item.classList.toggle("level", level);
      this.#gains.prepend(item);
    }
    while (this.#gains.children.length > GAINS_SHOWN) this.#gains.lastElementChild?.remove();
  }

  #clear(): void {
    for (const part of [this.#levels, this.#bar, this.#experience, this.#mastery]) part.hidden = true;
    this.#gains.replaceChildren();
    for (const name of ["character", "version", "experience"]) delete this.#box.dataset[name];
    this.problem("");
  }
}

function figure(name: string, value: string): HTMLDivElement {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const shown = document.createElement("dd");
  term.textContent = name;
  shown.textContent = value;
  shown.dataset["progress"] = name.toLowerCase();
  group.append(term, shown);
  return group;
}

function entry(mastery: MasteryLevel): HTMLLIElement {
  const item = document.createElement("li");
  const bar = document.createElement("progress");
  bar.value = share(mastery.experienceInLevel, mastery.experienceOfLevel);
  bar.ariaLabel = `${mastery.title}, level ${mastery.level}`;
  item.append(`${mastery.title} ${mastery.level}`, bar);
  return item;
}
