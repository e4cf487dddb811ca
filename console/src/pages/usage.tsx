import { get } from "../api";
import { daysAgo, duration, number, percent } from "../format";
import { useLoaded } from "../live";
import { place, setQuery } from "../router";
import type { Statistics } from "../types";
import { Bars, dailyBars, Legend, OUTCOMES, outcomes } from "../ui/chart";
import { Card, Empty, Page, Plain, Problem, Skeleton, Switch } from "../ui/parts";

const SPANS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]] as const;
type Span = (typeof SPANS)[number][0];

async function load(span: number, stop: AbortSignal) {
  const period = { start_date: daysAgo(span - 1), end_date: daysAgo(0) };
  const [byDay, byType] = await Promise.all([
    get<Statistics>("/customer/stats", { ...period, group_by: "day" }, stop),
    get<Statistics>("/customer/stats", { ...period, group_by: "workload_type" }, stop),
  ]);
  return { byDay, byType };
}

export function UsagePage() {
  const span = (place.value.query.get("days") ?? "30") as Span;
  const { data, error, reload } = useLoaded(`usage ${span}`, (stop) => load(Number(span), stop), 60_000);
  const summary = data?.byDay.summary;
  return (
    <Page title="Usage" lead="By the day of submission, UTC." actions={<Switch label="Period" options={SPANS} value={span} onChange={(days) => setQuery({ days })} />}>
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {!data || !summary ? (
          !error && <Card flush><Skeleton lines={6} /></Card>
        ) : (
          <>
            <div class="figures">
              {(
                [
                  ["Submitted", number(summary.total_workloads)],
                  ["Completed", number(summary.completed_workloads)],
                  ["Failed", number(summary.failed_workloads)],
                  ["Cancelled", number(summary.cancelled_workloads)],
                  ["Ran for", duration(Math.round(summary.run_seconds.used))],
                  ["Done again", duration(Math.round(summary.run_seconds.redone))],
                  ["Came to nothing", duration(Math.round(summary.run_seconds.lost))],
                ] as const
              ).map(([name, value]) => (
                <div class="card figure" key={name}>
                  <div class="name">{name}</div>
                  <div class="value">{value}</div>
                </div>
              ))}
            </div>
            <Card title="By day" tools={<Legend parts={OUTCOMES} />}>
              <Bars label="Workloads by day of their submission" bars={dailyBars(data.byDay, Number(span), outcomes)} parts={OUTCOMES} />
            </Card>
            <Card title="By type" flush>
              <ByType found={data.byType} />
            </Card>
          </>
        )}
      </div>
    </Page>
  );
}

function ByType({ found }: { found: Statistics }) {
  const types = found.by_workload_type ?? [];
  if (!types.length) return <Empty icon="usage" title="Nothing was submitted in this period" />;
  return (
    <Plain label="By type" heads={[["Type"], ["Workloads", "end"], ["Takes", "end"], ["Fails", "end"], ["Ran for", "end"], ["Done again", "end"], ["Came to nothing", "end"]]}>
      {types.map((one) => (
        <tr key={one.workload_type}>
          <td>{one.workload_type}</td>
          <td class="end">{number(one.count)}</td>
          <td class="end">{one.avg_duration_seconds === null ? "–" : duration(one.avg_duration_seconds)}</td>
          <td class="end">{one.failure_rate === null ? "–" : percent(one.failure_rate, 1)}</td>
          {[one.run_seconds.used, one.run_seconds.redone, one.run_seconds.lost].map((seconds, which) => (
            <td class="end" key={which}>
              {duration(Math.round(seconds))}
            </td>
          ))}
        </tr>
      ))}
    </Plain>
  );
}
