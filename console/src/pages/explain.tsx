/** Why a workload waits, and what would start it. */
import { get } from "../api";
import { ago, moment, number, plural } from "../format";
import { useLoaded, useNow } from "../live";
import type { Explanation, TimeEstimate } from "../types";
import { Card, Note, Problem, Skeleton } from "../ui/parts";

export function Explain({ id, status }: { id: string; status: string }) {
  const { data, error, reload } = useLoaded(`explain ${id} ${status}`, (stop) => get<Explanation>(`/workloads/${id}/explain`, undefined, stop), 2500);
  return (
    <Card title="Why it waits">
      {error && !data && <Problem error={error} retry={reload} />}
      {data ? <Told found={data} /> : !error && <Skeleton lines={3} />}
    </Card>
  );
}

function Told({ found }: { found: Explanation }) {
  const { position, accuracy } = found;
  return (
    <div class="stack">
      <ol class="reasons">
        {found.reasons.map((reason) => (
          <li key={reason.code}>{reason.message}</li>
        ))}
      </ol>
      {found.smallest_change && (
        <Note>
          <b>What would start it:</b> {found.smallest_change}
        </Note>
      )}
      <dl class="facts">
        {position && (
          <div>
            <dt>Before it</dt>
            <dd>
              {number(position.ahead)}
              {position.is_bounded ? " or more" : ""}
            </dd>
          </div>
        )}
        <Estimate name="Starts" at={found.estimated_start} />
        <Estimate name="Ends" at={found.estimated_completion} />
        {accuracy && (
          <div>
            <dt>Such estimates of late</dt>
            <dd title={`of ${plural(accuracy.samples, "workload")}`}>
              took {accuracy.p50.toFixed(1)} times as long, 1 in 10 over {accuracy.p90.toFixed(1)} times
            </dd>
          </div>
        )}
      </dl>
    </div>
  );
}

function Estimate({ name, at }: { name: string; at: TimeEstimate | null }) {
  const now = useNow();
  if (!at?.p50) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd title={moment(at.p50)}>
        {ago(at.p50, now)}
        {at.p90 && <span class="faint"> · 9 of 10 {ago(at.p90, now)}</span>}
      </dd>
    </div>
  );
}
