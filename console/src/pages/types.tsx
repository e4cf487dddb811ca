import { get } from "../api";
import { duration, number, percent, plural } from "../format";
import { useLoaded } from "../live";
import { address } from "../router";
import { may } from "../session";
import type { Statistics, TypeFigures } from "../types";
import { JsonView } from "../ui/json";
import { Badge, Card, Empty, Link, Page, Problem, Skeleton } from "../ui/parts";
import { type KnownType, loadTypes } from "./type-names";

const dateOf = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);

async function load(stop: AbortSignal) {
  const [{ types }, used] = await Promise.all([
    loadTypes(stop),
    get<Statistics>("/customer/stats", { start_date: dateOf(29), end_date: dateOf(0), group_by: "workload_type" }, stop),
  ]);
  return { types, figures: new Map((used.by_workload_type ?? []).map((one) => [one.workload_type, one])) };
}

export function TypesPage() {
  const { data, error, reload } = useLoaded("types and figures", load);
  return (
    <Page title="Types" lead="What can be submitted, and how it went in the last 30 days.">
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {!data ? (
          !error && <Card flush><Skeleton lines={6} /></Card>
        ) : data.types.length ? (
          data.types.map((type) => <TypeCard key={type.name} type={type} figures={data.figures.get(type.name)} />)
        ) : (
          <Card flush>
            <Empty icon="types" title="There is no type yet">
              <p>A type is there as soon as a worker serves it.</p>
            </Empty>
          </Card>
        )}
      </div>
    </Page>
  );
}

function TypeCard({ type, figures }: { type: KnownType; figures: TypeFigures | undefined }) {
  const { config } = type;
  return (
    <Card
      title={type.name}
      tools={
        <>
          {!type.isServed && <Badge tone="warn">no worker serves it</Badge>}
          <Link class="small" href={address("/workloads", { workload_type: type.name })}>
            Its workloads
          </Link>
          {may("workloads:write") && (
            <Link class="button" href={address("/submit", { type: type.name })}>
              Submit
            </Link>
          )}
        </>
      }
    >
      <div class="stack">
        {config?.description && <p class="soft">{config.description}</p>}
        <dl class="facts">
          <Fact name="Workloads" value={number(figures?.count ?? 0)} />
          <Fact name="Takes on average" value={figures?.avg_duration_seconds == null ? "–" : duration(figures.avg_duration_seconds)} />
          <Fact name="Fails" value={figures?.failure_rate == null ? "–" : percent(figures.failure_rate, 1)} />
          {config && <Fact name="Checkpoint every" value={duration(config.checkpoint_interval_sec)} />}
          {config && <Fact name="Tried again" value={plural(config.max_retries, "time")} />}
          {config && <Fact name="Time-out" value={config.timeout_seconds ? duration(config.timeout_seconds) : "none"} />}
          {config && <Fact name="May use" value={`${config.resource_limits.cpu_cores} cores, ${number(config.resource_limits.memory_mb)} MB`} />}
        </dl>
        {type.schema !== null && (
          <details>
            <summary class="small">Schema of its input</summary>
            <JsonView value={type.schema} label={`Input schema of ${type.name}`} />
          </details>
        )}
      </div>
    </Card>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
