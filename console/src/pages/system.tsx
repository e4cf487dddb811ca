import { get } from "../api";
import { duration, number, plural } from "../format";
import { useLoaded } from "../live";
import { Age, Badge, Card, Empty, Meter, Page, Plain, Problem, Skeleton } from "../ui/parts";

interface System {
  coordinator_id: string;
  version: string;
  watchers: number;
  leader: { coordinator_id: string | null; epoch: number; lanes: number | null; upkeep_at: string | null };
  database: { is_connected: boolean; failures: number; pools: { name: string; in_use: number; open: number; most: number }[] };
  broker: { is_connected: boolean; interruptions: number };
  workers: Record<string, number>;
  slots: number;
  queues: { tier: string; queued: number; running: number; oldest_seconds: number }[];
  partitions: { table: string; ahead_seconds: number }[];
}

export function SystemPage() {
  const { data, error, reload } = useLoaded("system", (stop) => get<System>("/admin/system", undefined, stop), 5000);
  return (
    <Page title="System" lead={data && `As ${data.coordinator_id} sees it, version ${data.version}`}>
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {data ? <Shown found={data} /> : !error && <Card flush><Skeleton lines={6} /></Card>}
      </div>
    </Page>
  );
}

function Shown({ found }: { found: System }) {
  const { leader, database, broker } = found;
  return (
    <>
      <div class="figures">
        <div class="card figure">
          <div class="name">Leader</div>
          <div class="value">{leader.coordinator_id ? `epoch ${number(leader.epoch)}` : "none"}</div>
          <div class="more breaks">{leader.coordinator_id ?? "nobody leads: nothing new starts until somebody does"}</div>
        </div>
        <Engine name="PostgreSQL" isConnected={database.is_connected} more={plural(database.failures, "failure")} />
        <Engine name="NATS" isConnected={broker.is_connected} more={plural(broker.interruptions, "interruption")} />
        <div class="card figure">
          <div class="name">Workers</div>
          <div class="value">{number(found.workers["HEALTHY"] ?? 0)}</div>
          <div class="more">
            {plural(found.slots, "slot")} · {number(found.workers["DRAINING"] ?? 0)} draining
          </div>
        </div>
        <div class="card figure">
          <div class="name">Lanes of the queue</div>
          <div class="value">{leader.lanes === null ? "–" : number(leader.lanes)}</div>
          <div class="more">{leader.lanes === null ? "the leader knows" : <>upkeep <Age at={leader.upkeep_at} /></>}</div>
        </div>
      </div>
      <div class="columns">
        <Card title="Queues by tier" flush>
          {found.queues.length ? (
            <Plain label="Queues by tier" heads={[["Tier"], ["Waiting", "end"], ["Running", "end"], ["Oldest waits", "end"]]}>
              {found.queues.map((queue) => (
                <tr key={queue.tier}>
                  <td>{queue.tier}</td>
                  <td class="end">{number(queue.queued)}</td>
                  <td class="end">{number(queue.running)}</td>
                  <td class="end">{queue.queued ? duration(queue.oldest_seconds) : "–"}</td>
                </tr>
              ))}
            </Plain>
          ) : (
            <Empty icon="system" title="There is no customer yet" />
          )}
        </Card>
        <Card title="Connections to the database" flush>
          <Plain label="Connections to the database" heads={[["Pool"], ["In use"], ["Open", "end"], ["Most", "end"]]}>
            {database.pools.map((pool) => (
              <tr key={pool.name}>
                <td>{pool.name}</td>
                <td>
                  <span class="progress">
                    <Meter label={`${pool.name}: in use`} value={pool.in_use} most={pool.most} />
                    <span>{pool.in_use}</span>
                  </span>
                </td>
                <td class="end">{pool.open}</td>
                <td class="end">{pool.most}</td>
              </tr>
            ))}
          </Plain>
        </Card>
      </div>
      <Card title="Partitions" flush>
        <Plain label="Partitions" heads={[["Table"], ["Ready for", "end"]]}>
          {found.partitions.map((one) => (
            <tr key={one.table}>
              <td class="mono small">{one.table}</td>
              <td class="end">
                {one.ahead_seconds < 86_400 ? <Badge tone="bad">{duration(one.ahead_seconds)}</Badge> : duration(one.ahead_seconds)}
              </td>
            </tr>
          ))}
        </Plain>
      </Card>
    </>
  );
}

function Engine({ name, isConnected, more }: { name: string; isConnected: boolean; more: string }) {
  return (
    <div class="card figure">
      <div class="name">{name}</div>
      <div class={`value ${isConnected ? "" : "bad"}`}>{isConnected ? "up" : "away"}</div>
      <div class="more">{more} since the coordinator's start</div>
    </div>
  );
}
