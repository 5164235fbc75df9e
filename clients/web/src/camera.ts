// From metres to pixels: the whole map fits the canvas, north (+y) up.
export interface Bounds {
  low: [number, number, number];
  high: [number, number, number];
}

export class Camera {
  #scale = 1;
  #left = 0;
  #top = 0;

  /** Fits the bounds into width x height CSS pixels. */
  fit(bounds: Bounds, width: number, height: number): void {
    const spanX = bounds.high[0] - bounds.low[0];
    const spanY = bounds.high[1] - bounds.low[1];
    this.#scale = Math.min(width / spanX, height / spanY) * 0.96;
    this.#left = width / 2 - ((bounds.low[0] + bounds.high[0]) / 2) * this.#scale;
    this.#top = height / 2 + ((bounds.low[1] + bounds.high[1]) / 2) * this.#scale;
  }

  /** Keeps what is drawn next inside the bounds, until `context.restore()`. */
  clip(bounds: Bounds, context: CanvasRenderingContext2D): void {
    context.save();
    context.beginPath();
    const [left, top] = [this.x(bounds.low[0]), this.y(bounds.high[1])];
    context.rect(left, top, this.x(bounds.high[0]) - left, this.y(bounds.low[1]) - top);
    context.clip();
  }

  /** Pixels a length in metres takes. */
  length(metres: number): number {
    return metres * this.#scale;
  }

  x(metres: number): number {
    return this.#left + metres * this.#scale;
  }

  y(metres: number): number {
    return this.#top - metres * this.#scale;
  }
}
