// Figures of the stream: tick, frame rate, spacing of frames, round trip.

/** The newest samples of a figure. */
export class Samples {
  readonly #values: number[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.#most) this.#values.shift();
  }

  /** The value that a share 0..1 of the samples do not exceed; NaN without samples. */
  quantile(share: number): number {
    const sorted = [...this.#values].sort((a, b) => a - b);
    return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? Number.NaN;
  }
}

export class Meters {
  readonly #spacing = new Samples(300);
  readonly #roundTrip = new Samples(20);
  #lastMs: number | undefined;
  #tick = 0;
  #players = 0;

  frame(tick: number, players: number, receivedMs: number): void {
    if (this.#lastMs !== undefined) this.#spacing.add(receivedMs - this.#lastMs);
    this.#lastMs = receivedMs;
    this.#tick = tick;
    this.#players = players;
  }

  roundTrip(ms: number): void {
    this.#roundTrip.add(ms);
  }

  show(list: HTMLDListElement): void {
    const figures: [string, string][] = [
      ["Players", String(this.#players)],
      ["Tick", String(this.#tick)],
      ["Frames", `${shown(1000 / this.#spacing.quantile(0.5), 0)} /s`],
      ["Spacing p99", `${shown(this.#spacing.quantile(0.99), 0)} ms`],
      ["Round trip", `${shown(this.#roundTrip.quantile(0.5), 1)} ms`],
    ];
    list.replaceChildren(
      ...figures.map(([name, value]) => {
        const group = document.createElement("div");
        const term = document.createElement("dt");
        const figure = document.createElement("dd");
        term.textContent = name;
        figure.textContent = value;
        figure.dataset["figure"] = name.toLowerCase().replaceAll(" ", "-");
        group.append(term, figure);
        return group;
      }),
    );
  }
}

function shown(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "…";
}
