// The way to the mesh: gRPC-Web on the page's own origin, with a bearer token.
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { CombatService } from "./gen/arenamesh/combat/v1/service_pb.js";
import { ProgressionService } from "./gen/arenamesh/progression/v1/service_pb.js";

export type Combat = Client<typeof CombatService>;
export type Progression = Client<typeof ProgressionService>;

/** Metadata that every call about one session carries, for routing. */
export function about(sessionId: string): { headers: HeadersInit } {
  return { headers: { "x-session-id": sessionId } };
}

/** The combat service behind `origin`, as any player sees it. */
export function connectCombat(origin: string): Combat {
  return connect(CombatService, origin, developmentToken(origin, "player"));
}

/** The progression service behind `origin`, as an operator sees it: a player may watch only themselves. */
export function connectProgression(origin: string): Progression {
  return connect(ProgressionService, origin, developmentToken(origin, "operator"));
}

/** `token` is asked before each call. */
function connect<S extends DescService>(service: S, origin: string, token: () => Promise<string>): Client<S> {
  const authorize: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await token()}`);
    return next(request);
  };
  return createClient(service, createGrpcWebTransport({ baseUrl: origin, interceptors: [authorize] }));
}

/** Development tokens of a viewer, fetched anew a minute before they run out. */
function developmentToken(origin: string, role: "player" | "operator"): () => Promise<string> {
  const subject = `viewer-${crypto.randomUUID().slice(0, 8)}`;
  let held: { token: string; renewAt: number } | undefined;
  return async () => {
    if (!held || Date.now() > held.renewAt) {
      const answer = await fetch(`${origin}/dev/token?role=${role}&subject=${subject}`);
      if (!answer.ok) throw new Error("This mesh gives no development tokens.");
      const { token } = (await answer.json()) as { token: string };
      held = { token, renewAt: expiry(token) - 60_000 };
    }
    return held.token;
  };
}

/** The `exp` claim of a JWT, in milliseconds. */
function expiry(token: string): number {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  const claims = JSON.parse(atob(payload)) as { exp?: number };
  return (claims.exp ?? 0) * 1000;
}
