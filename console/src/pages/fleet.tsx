import { useState } from "preact/hooks";
import { call, get, post } from "../api";
import { between, duration, number, plural } from "../format";
import { useLoaded, useNow } from "../live";
import { place, setQuery } from "../router";
import type { Pagination, Worker } from "../types";
import { Age, Badge, Button, Card, Confirm, Empty, Meter, Page, Problem, Search, Select, Skeleton, useAction } from "../ui/parts";
import { Drain, DrainReport } from "./drain";

const TONES: Record<string, "good" | "warn" | "bad"> = { HEALTHY: "good", DRAINING: "warn", DEAD: "bad" };
const MOST_WORKERS = 1000;
/** Each look is recorded as what an operator did. */
const FRESHEN_MS = 5000;
const STATUSES = [["", "All that live"], ["HEALTHY", "Healthy"], ["DRAINING", "Draining"], ["DEAD", "Dead"]] as const;

async function load(status: string, stop: AbortSignal): Promise<{ workers: Worker[]; total: number }> {
  const workers: Worker[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: { workers: Worker[]; pagination: Pagination } = await get("/admin/workers", { status, limit: 100, cursor }, stop);
    workers.push(...page.workers);
    cursor = page.pagination.next_cursor;
    if (!cursor || workers.length >= MOST_WORKERS) return { workers, total: page.pagination.total ?? workers.length };
  }
}

export function FleetPage() {
  const query = place.value.query;
  const status = query.get("status") ?? "";
  const tag = query.get("tag") ?? "";
  const { data, error, reload } = useLoaded(`fleet ${status}`, (stop) => load(status, stop), FRESHEN_MS);
  const lives = (data?.workers ?? []).filter((worker) => status || worker.status !== "DEAD");
  const shown = lives.filter((worker) => !tag || `${worker.worker_id} ${tagsOf(worker).join(" ")}`.includes(tag));
  const total = shown.reduce((sum, worker) => sum + worker.capacity_total, 0);
  const used = shown.reduce((sum, worker) => sum + worker.capacity_used, 0);
  return (
    <Page title="Fleet" lead={data && `${plural(shown.length, "worker")} · ${number(used)} of ${plural(total, "slot")} in use`}>
      <div class="stack">
        <div class="toolbar" role="search" aria-label="Filter">
          <Select label="Status" value={status} options={STATUSES} onChange={(value) => setQuery({ status: value })} />
          <Search label="Worker or tag" hint="Worker or tag, as region=eu" value={tag} onSearch={(tag) => setQuery({ tag })} />
        </div>
        {error && <Problem error={error} retry={reload} />}
        {!data ? (
          !error && <Card flush><Skeleton lines={6} /></Card>
        ) : shown.length ? (
          <>
            <Meter label="Slots in use" value={used} most={total} />
            <div class="workers">
              {shown.map((worker) => (
                <WorkerCard key={worker.worker_id} worker={worker} onChanged={reload} />
              ))}
            </div>
          </>
        ) : (
          <Card flush>
            <Empty icon="fleet" title="No worker is here">
              <p>Workers come by themselves as soon as they have a join token.</p>
            </Empty>
          </Card>
        )}
      </div>
    </Page>
  );
}

const tagsOf = (worker: Worker) => Object.entries(worker.tags).map(([name, value]) => `${name}=${value}`);

function WorkerCard({ worker, onChanged }: { worker: Worker; onChanged: () => void }) {
  const now = useNow();
  const silent = Math.max(0, between(worker.last_heartbeat, now));
  return (
    <section class="card worker" aria-label={worker.worker_id}>
      <header>
        <h2 title={worker.worker_id}>{worker.worker_id}</h2>
        <Badge tone={TONES[worker.status] ?? ""}>{worker.status.toLowerCase()}</Badge>
      </header>
      <div>
        <div class="soft small">
          {worker.capacity_used} of {plural(worker.capacity_total, "slot")} in use
        </div>
        <Slots used={worker.capacity_used} total={worker.capacity_total} />
      </div>
      <div class="chips">
        {worker.capabilities.map((type) => (
          <span class="chip" key={type}>
            {type}
          </span>
        ))}
        {tagsOf(worker).map((text) => (
          <Badge tone="run" key={text}>
            {text}
          </Badge>
        ))}
        {worker.customers.map((customer) => (
          <Badge tone="move" key={customer}>
            only {customer}
          </Badge>
        ))}
        {worker.missing_walls.map((wall) => (
          <Badge tone="warn" key={wall}>
            no wall: {wall}
          </Badge>
        ))}
      </div>
      {worker.running_workloads.length > 0 && (
        <details>
          <summary class="small">Runs {plural(worker.running_workloads.length, "workload")}</summary>
          <ul class="list small mono">
            {worker.running_workloads.map((id) => (
              <li key={id}>{id}</li>
            ))}
          </ul>
        </details>
      )}
      <div class="faint small">
        heard {silent < 2 ? "just now" : `${duration(Math.round(silent))} ago`} · version {worker.version} · joined <Age at={worker.registered_at} />
        {worker.standing_order?.kind === "remove" && ` · removed by ${worker.standing_order.given_by}`}
      </div>
      {worker.standing_order?.kind === "drain" && <DrainReport worker={worker} />}
      <Orders worker={worker} onChanged={onChanged} />
    </section>
  );
}

function Slots({ used, total }: { used: number; total: number }) {
  if (total > 48) return <Meter label="Slots in use" value={used} most={total} />;
  return (
    <div class="slots" aria-hidden="true">
      {Array.from({ length: total }, (_, slot) => (
        <i key={slot} class={slot < used ? "used" : ""} />
      ))}
    </div>
  );
}

function Orders({ worker, onChanged }: { worker: Worker; onChanged: () => void }) {
  const [busy, act] = useAction();
  const [asked, setAsked] = useState<"drain" | "remove">();
  const path = `/admin/workers/${encodeURIComponent(worker.worker_id)}`;
  return (
    <div class="actions">
      {worker.standing_order ? (
        <Button disabled={busy} onClick={() => void act(() => post(`${path}/undrain`), `${worker.worker_id} may work again`).then(onChanged)}>
          Let it work again
        </Button>
      ) : (
        worker.status !== "DEAD" && (
          <Button disabled={busy} onClick={() => setAsked("drain")}>
            Drain
          </Button>
        )
      )}
      {worker.standing_order?.kind !== "remove" && (
        <Button look="danger" disabled={busy} onClick={() => setAsked("remove")}>
          Remove
        </Button>
      )}
      {asked === "drain" && <Drain worker={worker} onDone={onChanged} onClose={() => setAsked(undefined)} />}
      {asked === "remove" && (
        <Confirm
          title={`Remove ${worker.worker_id}?`}
          text="Everything that it runs is taken from it at once, and goes on elsewhere from the last checkpoints. It may not come back."
          verb="Remove it"
          onConfirm={() => call("DELETE", path).then(onChanged)}
          done={`${worker.worker_id} is removed`}
          onClose={() => setAsked(undefined)}
        />
      )}
    </div>
  );
}
