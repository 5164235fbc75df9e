// The panel of who has most kills today, as it changes.
import { ConnectError } from "@connectrpc/connect";

import type { Leaderboard } from "./api.js";
import type { Entry } from "./gen/arenamesh/liveops/v1/board_pb.js";
import type { WatchLeaderboardResponse } from "./gen/arenamesh/liveops/v1/leaderboard_service_pb.js";

const QUERY = { board: "kills", window: "daily", limit: 10 };
const RETRY_MS = 1000;
const GROUPED = new Intl.NumberFormat("en");

export class Ranking {
  readonly #box: HTMLElement;
  readonly #heading = document.createElement("h2");
  readonly #problem = document.createElement("p");
  readonly #entries = document.createElement("ol");

  /** Fills `box`, which stays hidden while there is nobody to show. */
  constructor(box: HTMLElement) {
    this.#box = box;
    this.#problem.role = "status";
    this.#problem.hidden = true;
    this.#entries.ariaLabel = "Most kills today";
    box.replaceChildren(this.#heading, this.#problem, this.#entries);
  }

  /** Until aborted, over breaks: each stream begins with how it stands. */
  async watch(leaderboard: Leaderboard, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let heard = false;
      try {
        for await (const answer of leaderboard.watchLeaderboard(QUERY, { signal })) {
          heard = true;
          this.#say("");
          this.#show(answer);
        }
      } catch (problem) {
        // What worked until now is tried once more before a person hears of it.
        if (!heard && !signal.aborted) this.#say(ConnectError.from(problem).rawMessage);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #show({ entries, players }: WatchLeaderboardResponse): void {
    this.#box.hidden = entries.length === 0;
    this.#heading.textContent = `Most kills today, of ${GROUPED.format(players)}`;
    this.#entries.replaceChildren(...entries.map(row));
  }

  #say(text: string): void {
    this.#problem.textContent = text;
    this.#problem.hidden = text === "";
    if (text) this.#box.hidden = false;
  }
}

function row({ rank, playerId, score }: Entry): HTMLLIElement {
  const item = document.createElement("li");
  item.value = Number(rank);
  item.dataset["player"] = playerId;
  item.dataset["score"] = String(score);
  const name = document.createElement("span");
  name.textContent = playerId;
  const kills = document.createElement("span");
  kills.textContent = GROUPED.format(score);
  item.append(name, kills);
  return item;
}
