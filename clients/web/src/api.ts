// The way to the mesh: gRPC-Web on the page's own origin, with a bearer token.
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { CombatService } from "./gen/arenamesh/combat/v1/service_pb.js";
import { AchievementService } from "./gen/arenamesh/gamification/v1/achievement_service_pb.js";
import { NotificationService } from "./gen/arenamesh/gamification/v1/notification_service_pb.js";
import { QuestService } from "./gen/arenamesh/gamification/v1/quest_service_pb.js";
import { RewardService } from "./gen/arenamesh/gamification/v1/reward_service_pb.js";
import { LeaderboardService } from "./gen/arenamesh/liveops/v1/leaderboard_service_pb.js";
import { ProgressionService } from "./gen/arenamesh/progression/v1/service_pb.js";

export type Combat = Client<typeof CombatService>;
export type Progression = Client<typeof ProgressionService>;
export type Leaderboard = Client<typeof LeaderboardService>;
export type Notifications = Client<typeof NotificationService>;
/** The services of gamification that the page speaks with. */
export interface Gamification {
  achievements: Client<typeof AchievementService>;
  quests: Client<typeof QuestService>;
  rewards: Client<typeof RewardService>;
  notifications: Notifications;
}

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

/** The gamification services behind `origin`, as an operator sees them. */
export function connectGamification(origin: string): Gamification {
  const token = developmentToken(origin, "operator");
  return {
    achievements: connect(AchievementService, origin, token),
    quests: connect(QuestService, origin, token),
    rewards: connect(RewardService, origin, token),
    notifications: connect(NotificationService, origin, token),
  };
}

/** The leaderboard service behind `origin`, as anybody sees it. */
export function connectLeaderboard(origin: string): Leaderboard {
  return connect(LeaderboardService, origin);
}

/** `token` is asked before each call; what is anybody's to read needs none. */
function connect<S extends DescService>(service: S, origin: string, token?: () => Promise<string>): Client<S> {
  const authorize: Interceptor = (next) => async (request) => {
    if (token) request.header.set("authorization", `Bearer ${await token()}`);
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
