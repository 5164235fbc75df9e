// The progress of one character: followed over breaks, and what is worth telling of each event.
import { Code, ConnectError } from "@connectrpc/connect";

import type { Progression } from "./api.js";
import type { ExperienceAwarded, HistoryEvent, Progress } from "./gen/arenamesh/progression/v1/history_pb.js";

const RETRY_MS = 1000;
// What trying again would not mend.
const FINAL = new Set([Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented]);

/** A line about something gained. `level`: a level, not only experience. */
export interface Gain {
  text: string;
  level: boolean;
}

/** Who hears how a character fares. */
export interface Listener {
  /** How it stands, and what brought it there when that is new. */
  progress(progress: Progress, event: HistoryEvent | undefined): void;
  /** Why there is nothing to show. Empty: there is. */
  problem(text: string): void;
}

/** Watches until aborted. After a break it goes on with the event that follows the last one that was heard. */
export async function watchProgress(
  progression: Progression,
  characterId: string,
  listener: Listener,
  signal: AbortSignal,
): Promise<void> {
  let version: bigint | undefined;
  while (!signal.aborted) {
    let heard = false;
    try {
      const asked = version === undefined ? { characterId } : { characterId, afterVersion: version };
      for await (const { event, progress } of progression.watchProgress(asked, { signal })) {
        if (signal.aborted) return; // what had come already is of somebody else by now
        if (!progress) continue;
        heard = true;
        version = event?.version ?? progress.version;
        listener.problem("");
        listener.progress(progress, event);
      }
    } catch (problem) {
      if (signal.aborted) return;
      const { code, rawMessage } = ConnectError.from(problem);
      // Whoever has no experience begins with the first event; whoever is not as far as before begins anew.
      if (code === Code.NotFound) version = 0n;
      if (code === Code.OutOfRange) version = undefined;
      // What worked until now is tried once more before a person hears of it.
      if (!heard) listener.problem(code === Code.NotFound ? "No experience yet." : rawMessage);
      if (FINAL.has(code)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** What a person should read of an event, the most important last. */
export function gains(event: HistoryEvent, titles: ReadonlyMap<string, string>): Gain[] {
  if (event.what.case === "prestigeReset") return [{ text: `Prestige ${event.what.value.number}`, level: true }];
  return event.what.case === "experienceAwarded" ? awarded(event.what.value, titles) : [];
}

function awarded(award: ExperienceAwarded, titles: ReadonlyMap<string, string>): Gain[] {
  const found: Gain[] = [{ text: `+${amount(award.experience)} · ${award.source.replace(/^.*\./, "").replaceAll("_", " ")}`, level: false }];
  const rise = (name: string, change: { from: bigint; to: bigint } | undefined, more = ""): void => {
    if (change && change.to > change.from) found.push({ text: `${name} ${change.to}${more}`, level: true });
  };
  for (const gain of award.mastery) {
    const unlocked = gain.rewardIds.length > 0 ? ` · unlocked ${gain.rewardIds.join(", ")}` : "";
    rise(titles.get(gain.type) ?? gain.type, gain.level, unlocked);
  }
  rise("Paragon", award.paragonLevel);
  rise("Level", award.baseLevel);
  return found;
}

/** The share 0..1 of a level that is done; 1 where there is no next one. Totals may have any length. */
export function share(inLevel: string, ofLevel: string): number {
  if (ofLevel === "" || BigInt(ofLevel) === 0n) return 1;
  return Number((BigInt(inLevel) * 10_000n) / BigInt(ofLevel)) / 10_000;
}

const GROUPED = new Intl.NumberFormat("en");
const SCIENTIFIC = new Intl.NumberFormat("en", { notation: "scientific", maximumFractionDigits: 2 });

/** A decimal integer of any length, to read. */
export function amount(digits: string): string {
  return (digits.length <= 12 ? GROUPED : SCIENTIFIC).format(BigInt(digits));
}
