// Draws a match on the canvas, between two snapshots so that motion is smooth.
import { Camera } from "./camera.js";
import { Effects } from "./effects.js";
import type { Event } from "./gen/arenamesh/combat/v1/event_pb.js";
import { paintMap, type ArenaMap } from "./map.js";
import type { Shown } from "./match.js";
import { between, FLAG_ALIVE, FLAG_PROTECTED, FLAG_SHIELDED, type Player } from "./snapshots.js";

const TEAM_COLOURS = ["#4cc9f0", "#f72585", "#80ed99", "#ffb703", "#b388eb", "#ff7f51"];

/** Colour of a player: its team's, or its own in a free-for-all. */
export function colour(player: Player): string {
  if (player.team > 0) return TEAM_COLOURS[(player.team - 1) % TEAM_COLOURS.length] ?? "#ffffff";
  return `hsl(${(player.slot * 137.5) % 360} 75% 62%)`;
}

export class Scene {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #camera = new Camera();
  readonly #ground = document.createElement("canvas");
  #effects = new Effects();
  #map: ArenaMap | undefined;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#context = context2d(canvas);
    new ResizeObserver(() => this.#layOut()).observe(canvas);
  }

  show(map: ArenaMap): void {
    this.#map = map;
    this.#effects = new Effects();
    this.#layOut();
  }

  /** Drops what still flashes, when the match jumps to another time. */
  forget(): void {
    this.#effects = new Effects();
  }

  event(event: Event, timeMs: number): void {
    this.#effects.add(event, timeMs);
  }

  /** The match at an instant of its session clock; `marked` is the name of a player to point out. */
  draw(match: Shown, nowMs: number, marked = ""): void {
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#ground, 0, 0);
    context.scale(devicePixelRatio, devicePixelRatio);
    const around = match.timeline.around(nowMs);
    if (!around) return;
    const { older, newer, share } = around;
    for (const projectile of newer.projectiles) this.#dot(projectile.xMm / 1000, projectile.yMm / 1000);
    this.#drawEffects(nowMs);
    for (const player of newer.players.values()) {
      const name = match.name(player.slot);
      this.#player(between(older.players.get(player.slot), player, share), name, name === marked);
    }
  }

  #drawEffects(nowMs: number): void {
    if (!this.#map) return;
    // A shot over the wall would cross the whole page.
    this.#camera.clip(this.#map.bounds, this.#context);
    this.#effects.draw(this.#context, this.#camera, nowMs);
    this.#context.restore();
  }

  #player(player: Player, name: string, marked: boolean): void {
    const context = this.#context;
    const [x, y] = [this.#camera.x(player.x), this.#camera.y(player.y)];
    const radius = Math.max(this.#camera.length(0.45), 5);
    if ((player.flags & FLAG_ALIVE) === 0) {
      cross(context, x, y, radius * 0.7);
      return;
    }
    context.fillStyle = colour(player);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "#0b0d12";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + Math.cos(player.yaw) * radius * 1.6, y - Math.sin(player.yaw) * radius * 1.6);
    context.stroke();
    if (marked) ring(context, x, y, radius + 8, 1, "#ffd166");
    if (player.flags & (FLAG_PROTECTED | FLAG_SHIELDED)) ring(context, x, y, radius + 3, 1, "#e0fbfc");
    ring(context, x, y, radius + 1.5, Math.min(player.health / 100, 1), player.health > 35 ? "#80ed99" : "#ef476f");
    context.fillStyle = "rgb(237 242 244 / 75%)";
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(name, x, y - radius - 6);
  }

  #dot(x: number, y: number): void {
    this.#context.fillStyle = "#ff9f1c";
    this.#context.beginPath();
    this.#context.arc(this.#camera.x(x), this.#camera.y(y), 3, 0, 2 * Math.PI);
    this.#context.fill();
  }

  #layOut(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    for (const canvas of [this.#canvas, this.#ground]) {
      canvas.width = Math.max(Math.round(clientWidth * devicePixelRatio), 1);
      canvas.height = Math.max(Math.round(clientHeight * devicePixelRatio), 1);
    }
    const ground = context2d(this.#ground);
    ground.fillStyle = "#0b0d12";
    ground.fillRect(0, 0, this.#ground.width, this.#ground.height);
    if (!this.#map) return;
    this.#camera.fit(this.#map.bounds, clientWidth, clientHeight);
    ground.scale(devicePixelRatio, devicePixelRatio);
    paintMap(this.#map, this.#camera, ground);
  }
}

function context2d(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser has no 2-D canvas.");
  return context;
}

/** An arc about a player that shows a share 0..1. */
function ring(context: CanvasRenderingContext2D, x: number, y: number, radius: number, share: number, stroke: string): void {
  context.strokeStyle = stroke;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + share * 2 * Math.PI);
  context.stroke();
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, size: number): void {
  context.strokeStyle = "rgb(239 71 111 / 60%)";
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x + size, y - size);
  context.lineTo(x - size, y + size);
  context.stroke();
}
