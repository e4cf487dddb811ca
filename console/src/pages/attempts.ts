/** A workload's attempts, read from its history. */
import type { AuditEvent } from "../types";

export type Ending = "completed" | "failed" | "cancelled" | "paused" | "moved" | "running" | "starting";

export interface Attempt {
  number: number;
  workerId: string;
  from: number;
  /** Undefined while it goes on. */
  to: number | undefined;
  ending: Ending;
  /** Why it ended, when that was no success. */
  cause: string;
  checkpoints: { sequence: number; at: number }[];
}

const ENDINGS: Record<string, Ending> = {
  "workload.completed": "completed",
  "workload.failed": "failed",
  "workload.cancelled": "cancelled",
  "workload.paused": "paused",
  "workload.redistributed": "moved",
  "workload.unscheduled": "moved",
};

export function attemptsOf(events: AuditEvent[]): Attempt[] {
  const attempts: Attempt[] = [];
  for (const event of events) {
    const at = Date.parse(event.timestamp);
    const open = attempts.at(-1)?.to === undefined ? attempts.at(-1) : undefined;
    const ending = ENDINGS[event.event_type];
    if (event.event_type === "workload.scheduled") {
      attempts.push({ number: event.details.attempt ?? attempts.length + 1, workerId: event.details.worker_id ?? "", from: at, to: undefined, ending: "starting", cause: "", checkpoints: [] });
    } else if (!open) {
      continue;
    } else if (event.event_type === "workload.started") {
      open.ending = "running";
    } else if (event.event_type === "workload.checkpoint_created") {
      open.checkpoints.push({ sequence: event.details.checkpoint_sequence ?? 0, at });
    } else if (ending) {
      const sequence = event.details.checkpoint_sequence ?? 0;
      const last = open.checkpoints.at(-1)?.sequence ?? 0;
      if (ending === "paused" && sequence > last) open.checkpoints.push({ sequence, at });
      Object.assign(open, { to: at, ending, cause: String(event.details["cause"] ?? event.details["reason"] ?? "").replaceAll("_", " ") });
    }
  }
  return attempts;
}
