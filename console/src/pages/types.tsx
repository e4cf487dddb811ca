import { get } from "../api";
import { daysAgo, duration, number, percent } from "../format";
import { useLoaded } from "../live";
import { address } from "../router";
import { may } from "../session";
import type { Statistics, TypeFigures } from "../types";
import { Badge, Card, Empty, Facts, Link, Page, Problem, Skeleton } from "../ui/parts";
import { type KnownType, loadTypes } from "./type-names";

async function load(stop: AbortSignal) {
  const [{ types }, used] = await Promise.all([
    loadTypes(stop),
    get<Statistics>("/customer/stats", { start_date: daysAgo(29), end_date: daysAgo(0), group_by: "workload_type" }, stop),
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
          <div class="workers">
            {data.types.map((type) => (
              <TypeCard key={type.name} type={type} figures={data.figures.get(type.name)} />
            ))}
          </div>
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
  const { config, name } = type;
  return (
    <section class="card type" aria-label={name}>
      <div class="state-line">
        <h2 class="grow">
          <Link href={address(`/types/${name}`)}>{name}</Link>
        </h2>
        {!type.isServed && <Badge tone="warn">no worker serves it</Badge>}
        {may("workloads:write") && (
          <Link class="button" href={address("/submit", { type: name })} aria-label={`Submit ${name}`}>
            Submit
          </Link>
        )}
      </div>
      {config?.description && <p class="soft">{config.description}</p>}
      <Facts
        of={[
          ["Workloads", <Link href={address("/workloads", { workload_type: name })}>{number(figures?.count ?? 0)}</Link>],
          ["Takes", figures?.avg_duration_seconds == null ? "–" : duration(figures.avg_duration_seconds)],
          ["Fails", figures?.failure_rate == null ? "–" : percent(figures.failure_rate, 1)],
        ]}
      />
    </section>
  );
}
