// What one player is told: the newest at first, then each as it comes, over breaks.
import { Code, ConnectError } from "@connectrpc/connect";

import type { Notifications } from "./api.js";
import type { GameEvent } from "./gen/arenamesh/gamification/v1/notification_pb.js";

/** How many old ones a page begins with. */
const RECENT = 8n;
const RETRY_MS = 1000;
// What trying again would not mend.
const FINAL = new Set([Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented]);

/** Who hears what a player is told. */
export interface Told {
  told(event: GameEvent): void;
  /** Why there is nothing to hear. Empty: there is. */
  problem(text: string): void;
}

/** Until aborted. After a break it goes on with what follows the last one that was heard. */
export async function subscribe(
  notifications: Notifications,
  userId: string,
  listener: Told,
  signal: AbortSignal,
): Promise<void> {
  let after: bigint | undefined;
  while (!signal.aborted) {
    let heard = false;
    const begins = after === undefined;
    try {
      after ??= await recent(notifications, userId, signal);
      for await (const { event } of notifications.subscribe({ userId, afterSequence: after }, { signal })) {
        if (signal.aborted) return; // what had come already is of somebody else by now
        heard = true;
        listener.problem("");
        if (!event) continue;
        after = event.sequence;
        listener.told(event);
      }
    } catch (problem) {
      if (signal.aborted) return;
      const { code, rawMessage } = ConnectError.from(problem);
      // What is no longer kept, or not there yet, cannot be gone on after: it begins anew. Of the newest few
      // not all may be kept: then with what is.
      if (code === Code.OutOfRange) after = begins ? 0n : undefined;
      // What worked until now is tried once more before a person hears of it.
      if (!heard) listener.problem(rawMessage);
      if (FINAL.has(code)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** The sequence after which there are only a few. */
async function recent(notifications: Notifications, userId: string, signal: AbortSignal): Promise<bigint> {
  const asked = new AbortController();
  try {
    const options = { signal: AbortSignal.any([signal, asked.signal]) };
    for await (const { newest } of notifications.subscribe({ userId }, options)) {
      return newest > RECENT ? newest - RECENT : 0n;
    }
  } finally {
    asked.abort();
  }
  return 0n;
}
