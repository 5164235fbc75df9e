// The way to the mesh: gRPC-Web on the page's own origin, with a bearer token.
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { CombatService } from "./gen/arenamesh/combat/v1/service_pb.js";

export type Combat = Client<typeof CombatService>;

/** Metadata that every call about one session carries, for routing. */
export function about(sessionId: string): { headers: HeadersInit } {
  return { headers: { "x-session-id": sessionId } };
}

/** A client of the combat service behind `origin`; `token` is asked before each call. */
export function connectCombat(origin: string, token: () => Promise<string>): Combat {
  const authorize: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await token()}`);
    return next(request);
  };
  return createClient(CombatService, createGrpcWebTransport({ baseUrl: origin, interceptors: [authorize] }));
}

/** Development tokens of a viewer, fetched anew a minute before they run out. */
export function developmentToken(origin: string): () => Promise<string> {
  const subject = `viewer-${crypto.randomUUID().slice(0, 8)}`;
  let held: { token: string; renewAt: number } | undefined;
  return async () => {
    if (!held || Date.now() > held.renewAt) {
      const answer = await fetch(`${origin}/dev/token?role=player&subject=${subject}`);
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
