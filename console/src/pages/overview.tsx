import { get } from "../api";
import { between, compact, daysAgo, duration, number, plural } from "../format";
import { useLoaded, useNow } from "../live";
import { address } from "../router";
import { may } from "../session";
import type { Account, Pagination, Statistics, WorkloadRow } from "../types";
import { Bars, dailyBars, Legend, OUTCOMES, outcomes } from "../ui/chart";
import { Age, Card, Empty, Link, Meter, Page, Problem, Progress, Skeleton, StatusBadge, WorkloadLink } from "../ui/parts";

interface Listed {
  workloads: WorkloadRow[];
  pagination: Pagination;
}

interface Overview {
  account: Account;
  byDay: Statistics;
  byHour: Statistics;
  running: WorkloadRow[];
  failed: WorkloadRow[];
  oldest: WorkloadRow | undefined;
}

const DAYS = 14;
const HOUR = 3_600_000;

async function load(stop: AbortSignal): Promise<Overview> {
  const list = (query: Record<string, string | number>) => get<Listed>("/workloads", query, stop);
  const [account, byDay, byHour, running, failed, waiting] = await Promise.all([
    get<Account>("/customer", undefined, stop),
    get<Statistics>("/customer/stats", { start_date: daysAgo(DAYS - 1), end_date: daysAgo(0), group_by: "day" }, stop),
    get<Statistics>("/customer/stats", { start_date: daysAgo(1), end_date: daysAgo(0), group_by: "hour" }, stop),
    list({ status: "RUNNING", limit: 6 }),
    list({ status: "FAILED", limit: 6 }),
    list({ status: "PENDING", order_by: "created_at", order: "asc", limit: 1 }),
  ]);
  return { account, byDay, byHour, running: running.workloads, failed: failed.workloads, oldest: waiting.workloads[0] };
}

export function OverviewPage() {
  const { data, error, reload } = useLoaded("overview", load, 5000);
  return (
    <Page
      title="Overview"
      lead={data && `${data.account.name} · ${data.account.tier} tier`}
      actions={
        may("workloads:write") && (
          <Link class="button main" href={address("/submit")}>
            Submit a workload
          </Link>
        )
      }
    >
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {data ? <Figures {...data} /> : !error && <Card flush><Skeleton lines={3} /></Card>}
        {data && (
          <div class="columns">
            <Card title="Last 24 hours" tools={<Legend parts={OUTCOMES} />}>
              <Bars label="Workloads by hour of their submission" bars={hours(data.byHour)} parts={OUTCOMES} />
            </Card>
            <Card title={`Last ${DAYS} days`} tools={<Legend parts={OUTCOMES} />}>
              <Bars label="Workloads by day of their submission" bars={dailyBars(data.byDay, DAYS, outcomes)} parts={OUTCOMES} />
            </Card>
          </div>
        )}
        {data && (
          <div class="columns">
            <Card title="Running now" flush tools={<Link class="small" href={address("/workloads", { status: "RUNNING" })}>All running</Link>}>
              {data.running.length ? <Running rows={data.running} /> : <Empty icon="workloads" title="Nothing runs">What is submitted starts as soon as a worker has a slot for it.</Empty>}
            </Card>
            <Card title="Failed lately" flush tools={<Link class="small" href={address("/failures")}>By their errors</Link>}>
              {data.failed.length ? <Failed rows={data.failed} /> : <Empty icon="failures" title="Nothing has failed" />}
            </Card>
          </div>
        )}
      </div>
    </Page>
  );
}

function Figures({ account, byDay, oldest }: Overview) {
  const now = useNow();
  const { usage, limits } = account;
  const today = byDay.by_day?.find((one) => one.start.slice(0, 10) === daysAgo(0));
  return (
    <div class="figures">
      <Link class="card figure" href={address("/workloads", { status: "RUNNING" })}>
        <div class="name">Running</div>
        <div class="value">{compact(usage.current_running_workloads)}</div>
        <div class="more">of {number(limits.max_concurrent_workloads)} at once</div>
        <Meter label="Running, of the limit" value={usage.current_running_workloads} most={limits.max_concurrent_workloads} />
      </Link>
      <Link class="card figure" href={address("/workloads", { status: "PENDING" })}>
        <div class="name">Waiting</div>
        <div class="value">{compact(usage.current_queue_depth)}</div>
        <div class="more">of {number(limits.max_queue_depth)} in the queue</div>
        <Meter label="Waiting, of the limit" value={usage.current_queue_depth} most={limits.max_queue_depth} />
      </Link>
      {oldest ? (
        <Link class="card figure" href={address(`/workloads/${oldest.workload_id}`)}>
          <div class="name">Oldest waiting</div>
          <div class="value">{duration(Math.floor(between(oldest.created_at, now)))}</div>
          <div class="more">{oldest.workload_type}</div>
        </Link>
      ) : (
        <div class="card figure">
          <div class="name">Oldest waiting</div>
          <div class="value">–</div>
          <div class="more">nothing waits</div>
        </div>
      )}
      <div class="card figure">
        <div class="name">Today</div>
        <div class="value">{compact(usage.workloads_today)}</div>
        <div class="more">{today ? `${plural(today.completed, "completed", "completed")}, UTC` : "since midnight, UTC"}</div>
      </div>
      <Link class="card figure" href={address("/workloads", { status: "FAILED" })}>
        <div class="name">Failed today</div>
        <div class={`value ${today?.failed ? "bad" : ""}`}>{compact(today?.failed ?? 0)}</div>
        <div class="more">{today && today.completed + today.failed ? `${((100 * today.failed) / (today.completed + today.failed)).toFixed(1)} % of those that ended` : "none ended yet"}</div>
      </Link>
    </div>
  );
}

function Running({ rows }: { rows: WorkloadRow[] }) {
  return (
    <ul class="list">
      {rows.map((row) => (
        <li key={row.workload_id}>
          <div>
            <span class="grow">
              <WorkloadLink id={row.workload_id} /> <span class="soft small">{row.workload_type}</span>
            </span>
            <span style={{ width: "140px" }}>
              <Progress value={row.progress_percent} status={row.status} />
            </span>
          </div>
        </li>
      ))}
    </ul>
  );
}

function Failed({ rows }: { rows: WorkloadRow[] }) {
  return (
    <ul class="list">
      {rows.map((row) => (
        <li key={row.workload_id}>
          <div>
            <span class="grow">
              <WorkloadLink id={row.workload_id} /> <span class="soft small">{row.workload_type}</span>
            </span>
            <span class="faint small">
              <Age at={row.completed_at} />
            </span>
            <StatusBadge status={row.status} />
          </div>
        </li>
      ))}
    </ul>
  );
}

function hours(found: Statistics) {
  const by = new Map((found.by_hour ?? []).map((one) => [Date.parse(one.start), one]));
  const last = Math.floor(Date.now() / HOUR) * HOUR;
  return Array.from({ length: 24 }, (_, index) => {
    const at = last - (23 - index) * HOUR;
    const name = new Date(at).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
    const one = by.get(at);
    return { label: name, tick: index % 6 === 0 ? name : undefined, parts: one ? outcomes(one) : [0, 0, 0] };
  });
}
