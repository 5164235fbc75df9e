// The arena's static geometry, seen from above.
import type { Bounds, Camera } from "./camera.js";

type Point = [number, number, number];

export interface ArenaMap {
  map_id: string;
  name: string;
  bounds: Bounds;
  boxes: { low: Point; high: Point }[];
  triangles: [Point, Point, Point][];
}

export async function loadMap(origin: string, mapId: string): Promise<ArenaMap> {
  const answer = await fetch(`${origin}/maps/${encodeURIComponent(mapId)}.json`);
  if (!answer.ok) throw new Error(`The map ${mapId} is not served here.`);
  return (await answer.json()) as ArenaMap;
}

/** Draws the map once; the picture is laid under every frame. Low surfaces first, higher is lighter. */
export function paintMap(map: ArenaMap, camera: Camera, context: CanvasRenderingContext2D): void {
  const surfaces: { top: number; outline: Point[] }[] = [
    ...map.boxes.map(({ low, high }) => ({ top: high[2], outline: corners(low, high) })),
    ...map.triangles.map((triangle) => ({ top: Math.max(...triangle.map((point) => point[2])), outline: [...triangle] })),
  ];
  surfaces.sort((a, b) => a.top - b.top);
  for (const { top, outline } of surfaces) {
    context.beginPath();
    for (const [x, y] of outline) context.lineTo(camera.x(x), camera.y(y));
    context.closePath();
    context.fillStyle = shade(top);
    context.fill();
    if (top > 0.1) {
      context.strokeStyle = "rgb(255 255 255 / 10%)";
      context.lineWidth = 1;
      context.stroke();
    }
  }
}

function corners(low: Point, high: Point): Point[] {
  return [
    [low[0], low[1], high[2]],
    [high[0], low[1], high[2]],
    [high[0], high[1], high[2]],
    [low[0], high[1], high[2]],
  ];
}

/** Ground is dark, four metres up is as light as it gets. */
function shade(top: number): string {
  const lightness = 14 + Math.min(Math.max(top, 0), 4) * 6;
  return `hsl(222 18% ${lightness}%)`;
}
