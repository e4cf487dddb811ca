/** What operators did. */
import { useMemo } from "preact/hooks";
import { get } from "../api";
import { moment } from "../format";
import { useParts } from "../live";
import { place, setQuery } from "../router";
import type { Json, Pagination } from "../types";
import { Badge, Button, Empty, More, Page, Plain, Problem, Search, Select, Skeleton } from "../ui/parts";
import { SPANS, sinceOf } from "./spans";

interface Action {
  action_id: string;
  action: string;
  timestamp: string;
  actor_id: string;
  protocol: string;
  source: string;
  request_id: string;
  target: Record<string, string>;
  outcome: "succeeded" | "refused" | "failed" | "unknown";
  error_code: string | null;
  facts: Record<string, Json>;
}

const OUTCOMES = [["", "Every outcome"], ["succeeded", "Succeeded"], ["refused", "Refused"], ["failed", "Failed"], ["unknown", "Unknown"]] as const;
const KINDS = [["change", "Changes"], ["read", "What was read"]] as const;
const TONES = { succeeded: "good", refused: "warn", failed: "bad", unknown: "warn" } as const;

export function AuditPage() {
  const query = place.value.query;
  const asked = (name: string) => query.get(name) ?? "";
  const filters = { actor_id: asked("actor"), action: asked("action"), target: asked("target"), outcome: asked("outcome"), kind: asked("kind") || "change" };
  const hours = asked("hours");
  const since = useMemo(() => sinceOf(hours), [hours]);
  const { rows, error, reload, more, busy } = useParts<Action>(JSON.stringify([filters, hours]), async (cursor, stop) => {
    const { actions, pagination } = await get<{ actions: Action[]; pagination: Pagination }>("/admin/audit", { ...filters, since, limit: 50, cursor }, stop);
    return { rows: actions, next: pagination.next_cursor };
  });
  const isFiltered = Boolean(hours || filters.actor_id || filters.action || filters.target || filters.outcome);
  return (
    <Page title="Audit" lead="What operators did, over every interface, the newest first. Customers find what happened to a workload in its history." actions={<Button icon="replay" onClick={reload}>Look again</Button>}>
      <div class="toolbar" role="search" aria-label="Filter">
        <Search label="Target" hint="Customer, key, worker …" value={filters.target} onSearch={(target) => setQuery({ target })} />
        <Search label="Action" hint="Action, as drainWorker" value={filters.action} onSearch={(action) => setQuery({ action })} />
        <Search label="Who" hint="Who: a key's id" value={filters.actor_id} onSearch={(actor) => setQuery({ actor })} />
        <Select label="Outcome" value={filters.outcome} options={OUTCOMES} onChange={(outcome) => setQuery({ outcome })} />
        <Select label="Kind" value={filters.kind} options={KINDS} onChange={(kind) => setQuery({ kind: kind === "change" ? undefined : kind })} />
        <Select label="Time" value={hours} options={SPANS} onChange={(hours) => setQuery({ hours })} />
      </div>
      {error && <Problem error={error} retry={reload} />}
      <div class="card">
        {!rows ? !error && <Skeleton lines={8} /> : rows.length ? <Actions rows={rows} /> : <Empty icon="audit" title={isFiltered ? "Nothing fits the filter" : "Nothing was done yet"} />}
        {more && <More busy={busy} onMore={more} />}
      </div>
    </Page>
  );
}

function Actions({ rows }: { rows: Action[] }) {
  return (
    <Plain label="What operators did" heads={[["When"], ["What"], ["To what"], ["Outcome"], ["Who"]]}>
      {rows.map((row) => (
        <tr key={row.action_id}>
          <td class="nowrap soft">{moment(row.timestamp)}</td>
          <td>{row.action}</td>
          <td class="breaks">
            {Object.values(row.target).map((id) => (
              <button type="button" class="chip mono" key={id} title="Show what was done to it" onClick={() => setQuery({ target: id })}>
                {id}
              </button>
            ))}
            {Object.keys(row.facts).length > 0 && <div class="faint small">{factsOf(row.facts)}</div>}
          </td>
          <td>
            <Badge tone={TONES[row.outcome]}>{row.outcome}</Badge> {row.error_code && <span class="faint small">{row.error_code}</span>}
          </td>
          <td>
            <span class="mono small">{row.actor_id}</span>
            <div class="faint small">
              {row.protocol} {row.source}
            </div>
          </td>
        </tr>
      ))}
    </Plain>
  );
}

const factsOf = (facts: Record<string, Json>) => Object.entries(facts).map(([name, value]) => `${name.replaceAll("_", " ")}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
