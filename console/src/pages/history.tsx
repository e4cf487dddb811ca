/** What happened to a workload, event by event. */
import { useMemo, useState } from "preact/hooks";
import type { ApiError } from "../api";
import { capitalized, moment, plural } from "../format";
import type { AuditEvent } from "../types";
import { Empty, Problem, Search, Select, Skeleton } from "../ui/parts";

const LOOKS: Record<string, string> = {
  "workload.completed": "good",
  "workload.failed": "bad",
  "workload.redistributed": "mark",
  "workload.paused": "mark",
  "workload.resumed": "mark",
};

const KNOWN = new Set(["from", "to", "attempt", "version", "worker_id", "checkpoint_sequence"]);

export function History({ events, error }: { events: AuditEvent[] | undefined; error: ApiError | undefined }) {
  const [wanted, setWanted] = useState("");
  const [kind, setKind] = useState("");
  const words = wanted.toLowerCase();
  // While nothing new is in it, the list isn't drawn anew: it may have thousands of events.
  const rows = useMemo(() => {
    const shown = events?.filter((event) => (!kind || event.event_type === kind) && textOf(event).toLowerCase().includes(words));
    return shown?.map((event) => <Event key={event.event_id} event={event} />) ?? [];
  }, [events, kind, words]);
  if (!events) return error ? <Problem error={error} /> : <Skeleton lines={6} />;
  const kinds = [...new Set(events.map((event) => event.event_type))];
  return (
    <>
      <div class="card-head" role="search" aria-label="Filter the history">
        <Search label="Search the history" hint="Worker, key, cause …" value={wanted} onSearch={setWanted} />
        <Select label="Event" value={kind} options={[["", "Every event"], ...kinds.map((name) => [name, nameOf(name)] as const)]} onChange={setKind} />
        <span class="faint small" role="status">
          {plural(rows.length, "event")}
        </span>
      </div>
      {rows.length ? (
        <ol class="history" aria-label="History">
          {rows}
        </ol>
      ) : (
        <Empty icon="search" title="No event fits" />
      )}
    </>
  );
}

function Event({ event }: { event: AuditEvent }) {
  return (
    <li class={LOOKS[event.event_type] ?? ""}>
      <time dateTime={event.timestamp}>{moment(event.timestamp)}</time>
      <div>
        <b>{nameOf(event.event_type)}</b> <span class="soft">{told(event)}</span>
        <div class="faint small breaks">
          by {event.actor_type} {event.actor_id}
          {extra(event)}
        </div>
      </div>
    </li>
  );
}

const nameOf = (kind: string) => capitalized(kind.replace(/^workload\./, "").replaceAll("_", " "));
const textOf = (event: AuditEvent) => `${nameOf(event.event_type)} ${told(event)} ${event.actor_type} ${event.actor_id}${extra(event)}`;

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
