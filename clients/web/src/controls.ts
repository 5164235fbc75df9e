// The bar under a match that is played again: play, seek, speed, whom to follow.
import { SPEEDS, type Playback } from "./playback.js";

export class Controls {
  readonly #bar: HTMLFormElement;
  readonly #playback: Playback;
  readonly #play = document.createElement("button");
  readonly #seek = document.createElement("input");
  readonly #time = document.createElement("output");
  readonly #follow = document.createElement("select");
  readonly #tickRateHz: number;
  #seeking = false;

  /** Fills the bar. `onSeek` is called after each jump. */
  constructor(bar: HTMLFormElement, playback: Playback, tickRateHz: number, onSeek: () => void) {
    this.#bar = bar;
    this.#playback = playback;
    this.#tickRateHz = tickRateHz;
    this.#play.type = "button";
    this.#play.addEventListener("click", () => {
      if (playback.ended) onSeek();
      playback.toggle();
    });
    this.#seek.type = "range";
    this.#seek.min = "1";
    this.#seek.max = String(playback.lastTick);
    this.#seek.ariaLabel = "Tick";
    this.#seek.addEventListener("input", () => (this.#seeking = true));
    this.#seek.addEventListener("change", () => {
      this.#seeking = false;
      playback.seek(Number(this.#seek.value));
      onSeek();
    });
    this.#follow.ariaLabel = "Follow";
    this.#follow.append(new Option("everybody", ""));
    this.#follow.addEventListener("change", () => {
      playback.follow(this.#follow.value);
      onSeek();
    });
    bar.replaceChildren(this.#play, this.#seek, this.#time, this.#speeds(), this.#follow);
    bar.hidden = false;
  }

  /** Shows where the match is. */
  show(): void {
    const { tick, lastTick, paused, ended, names, following } = this.#playback;
    this.#play.textContent = paused || ended ? "Play" : "Pause";
    if (!this.#seeking) this.#seek.value = String(tick);
    this.#time.value = `${clock(tick / this.#tickRateHz)} / ${clock(lastTick / this.#tickRateHz)}`;
    const known = new Set([...this.#follow.options].map((option) => option.value));
    for (const name of names.values()) if (!known.has(name)) this.#follow.append(new Option(name, name));
    this.#follow.value = following;
    this.#bar.dataset["tick"] = String(tick);
  }

  #speeds(): HTMLSelectElement {
    const speeds = document.createElement("select");
    speeds.ariaLabel = "Speed";
    speeds.append(...SPEEDS.map((speed) => new Option(`${speed}x`, String(speed), speed === 1, speed === 1)));
    speeds.addEventListener("change", () => (this.#playback.speed = Number(speeds.value)));
    return speeds;
  }
}

/** Seconds as 3:07. */
export function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}
