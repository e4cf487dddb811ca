import { get } from "../api";
import { number, plural } from "../format";
import { useLoaded } from "../live";
import { address } from "../router";
import { Card, Empty, Link, Page, Plain, Problem, Skeleton } from "../ui/parts";

interface Share {
  customer_id: string;
  name: string;
  tier: string;
  weight: number;
  running: number;
  queued: number;
  max_concurrent_workloads: number;
  deserved: number;
}

interface Fairness {
  slots: number;
  customers: Share[];
}

export function FairnessPage() {
  const { data, error, reload } = useLoaded("fairness", (stop) => get<Fairness>("/admin/fairness", undefined, stop), 5000);
  return (
    <Page title="Fairness" lead="What each customer has of the slots, against what it deserves at this moment. Turns go by run-seconds, so over time they even out.">
      {error && <Problem error={error} retry={reload} />}
      {!data ? (
        !error && <Card flush><Skeleton /></Card>
      ) : (
        <Card title={`${plural(data.slots, "slot")} to share`} flush>
          {data.customers.length ? <Shares found={data} /> : <Empty icon="fairness" title="Nobody wants a slot" />}
        </Card>
      )}
    </Page>
  );
}

function Shares({ found }: { found: Fairness }) {
  const most = Math.max(1, ...found.customers.map((one) => Math.max(one.running, one.deserved)));
  return (
    <Plain label="Shares" heads={[["Customer"], ["Tier"], ["Share"], ["Runs", "end"], ["Deserves", "end"], ["Waiting", "end"]]}>
      {found.customers.map((one) => (
        <tr key={one.customer_id}>
          <td>
            <Link href={address(`/operate/customers/${one.customer_id}`)}>{one.name}</Link>
            <div class="faint small mono">{one.customer_id}</div>
          </td>
          <td>
            {one.tier} <span class="faint small">× {one.weight}</span>
          </td>
          <td class="share">
            <div class="bar thick" role="img" aria-label={`Has ${one.running}, deserves ${one.deserved} of ${found.slots} slots`}>
              <i class={one.queued && one.running < one.deserved - 1 ? "warn" : ""} style={{ width: `${(100 * one.running) / most}%` }} />
              <b style={{ left: `calc(${(100 * one.deserved) / most}% - 1px)` }} />
            </div>
          </td>
          <td class="end">
            {number(one.running)} <span class="faint">of {number(one.max_concurrent_workloads)}</span>
          </td>
          <td class="end">{one.deserved.toFixed(1)}</td>
          <td class="end">{number(one.queued)}</td>
        </tr>
      ))}
    </Plain>
  );
}
