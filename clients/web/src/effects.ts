// What flashes up and fades: shots, blasts, deaths. Times are of the session clock, milliseconds.
import type { Camera } from "./camera.js";
import type { Event } from "./gen/arenamesh/combat/v1/event_pb.js";

type Effect = { startMs: number; lastsMs: number } & (
  | { kind: "shot"; from: [number, number]; to: [number, number]; hit: boolean }
  | { kind: "blast"; at: [number, number]; radius: number }
);

const EFFECTS_HELD = 400;

export class Effects {
  #live: Effect[] = [];

  add(event: Event, startMs: number): void {
    if (event.kind.case === "shot") {
      const { fromXMm, fromYMm, toXMm, toYMm, hit } = event.kind.value;
      const from: [number, number] = [fromXMm / 1000, fromYMm / 1000];
      this.#live.push({ kind: "shot", startMs, lastsMs: 140, from, to: [toXMm / 1000, toYMm / 1000], hit });
    } else if (event.kind.case === "blast") {
      const { xMm, yMm, radiusMm } = event.kind.value;
      this.#live.push({ kind: "blast", startMs, lastsMs: 450, at: [xMm / 1000, yMm / 1000], radius: radiusMm / 1000 });
    }
    if (this.#live.length > EFFECTS_HELD) this.#live.splice(0, this.#live.length - EFFECTS_HELD);
  }

  draw(context: CanvasRenderingContext2D, camera: Camera, nowMs: number): void {
    this.#live = this.#live.filter((effect) => nowMs < effect.startMs + effect.lastsMs);
    for (const effect of this.#live) {
      const age = (nowMs - effect.startMs) / effect.lastsMs;
      if (age < 0) continue;
      context.globalAlpha = 1 - age;
      if (effect.kind === "shot") drawShot(context, camera, effect.from, effect.to, effect.hit);
      else drawBlast(context, camera, effect.at, effect.radius * (0.3 + 0.7 * age));
    }
    context.globalAlpha = 1;
  }
}

function drawShot(
  context: CanvasRenderingContext2D,
  camera: Camera,
  from: [number, number],
  to: [number, number],
  hit: boolean,
): void {
  context.strokeStyle = hit ? "#ffd166" : "#7d8597";
  context.lineWidth = hit ? 1.8 : 1;
  context.beginPath();
  context.moveTo(camera.x(from[0]), camera.y(from[1]));
  context.lineTo(camera.x(to[0]), camera.y(to[1]));
  context.stroke();
  if (!hit) return;
  context.fillStyle = "#ffd166";
  context.beginPath();
  context.arc(camera.x(to[0]), camera.y(to[1]), 3, 0, 2 * Math.PI);
  context.fill();
}

function drawBlast(context: CanvasRenderingContext2D, camera: Camera, at: [number, number], radius: number): void {
  context.fillStyle = "rgb(255 140 66 / 45%)";
  context.beginPath();
  context.arc(camera.x(at[0]), camera.y(at[1]), camera.length(radius), 0, 2 * Math.PI);
  context.fill();
}
