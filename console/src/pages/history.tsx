/** What happened to a workload, event by event. */
import { capitalized, moment } from "../format";
import type { AuditEvent } from "../types";
import { Skeleton } from "../ui/parts";

const LOOKS: Record<string, string> = {
  "workload.completed": "good",
  "workload.failed": "bad",
  "workload.redistributed": "mark",
  "workload.paused": "mark",
  "workload.resumed": "mark",
};

const KNOWN = new Set(["from", "to", "attempt", "version", "worker_id", "checkpoint_sequence"]);

export function History({ events }: { events: AuditEvent[] | undefined }) {
  if (!events) return <Skeleton lines={6} />;
  return (
    <ol class="history" aria-label="History">
      {events.map((event) => (
        <li key={event.event_id} class={LOOKS[event.event_type] ?? ""}>
          <time dateTime={event.timestamp}>{moment(event.timestamp)}</time>
          <div>
            <b>{capitalized(event.event_type.replace(/^workload\./, "").replaceAll("_", " "))}</b>{" "}
            <span class="soft">{told(event)}</span>
            <div class="faint small breaks">
              by {event.actor_type} {event.actor_id}
              {extra(event)}
            </div>
          </div>
        </li>
      ))}
    </ol>
  );
}

function told({ details }: AuditEvent): string {
  const words = [
    details.from && details.to && details.from !== details.to && `${details.from} → ${details.to}`,
    details.attempt && `attempt ${details.attempt}`,
    details.worker_id && `on ${details.worker_id}`,
    details.checkpoint_sequence && `checkpoint ${details.checkpoint_sequence}`,
  ];
  return words.filter(Boolean).join(" · ");
}

function extra({ details }: AuditEvent): string {
  const rest = Object.entries(details).filter(([name, value]) => !KNOWN.has(name) && value !== null);
  return rest.map(([name, value]) => ` · ${name.replaceAll("_", " ")}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join("");
}
