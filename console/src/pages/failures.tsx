/** What failed, by what the errors have in common. */
import { useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { moment, number, plural } from "../format";
import { useLoaded } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import { Age, Button, Card, Empty, Link, Note, Page, Problem, Select, Skeleton, WorkloadLink } from "../ui/parts";
import { BulkDialog, replayFitting } from "./bulk";
import { SPANS, sinceOf } from "./spans";
import { useTypes } from "./type-names";

interface Failure {
  fingerprint: string;
  message: string;
  pattern: string;
  count: number;
  first_seen_at: string;
  last_seen_at: string;
  workload_types: string[];
  workload_ids: string[];
}

interface Answer {
  failures: Failure[];
  has_more: boolean;
  counted_since: string | null;
}

const ORDERS = [["", "Last seen first"], ["count", "Most frequent first"]] as const;

export function FailuresPage() {
  const query = place.value.query;
  const [hours, workload_type, order_by] = ["hours", "workload_type", "order_by"].map((name) => query.get(name) ?? "") as [string, string, string];
  const since = useMemo(() => sinceOf(hours), [hours]);
  const { data, error, reload } = useLoaded(`failures ${since} ${workload_type} ${order_by}`, (stop) => get<Answer>("/failures", { since, workload_type, order_by, limit: 100 }, stop), 10_000);
  const types = useTypes();
  const [replayed, setReplayed] = useState<Failure>();
  return (
    <Page title="Failures" lead="Those together whose errors are the same but for numbers, ids, paths and addresses.">
      <div class="toolbar" role="search" aria-label="Filter">
        <Select label="Failed" value={hours} options={SPANS} onChange={(hours) => setQuery({ hours })} />
        <Select label="Type" value={workload_type} options={[["", "Every type"], ...types.map((name) => [name, name] as const)]} onChange={(workload_type) => setQuery({ workload_type })} />
        <Select label="Order" value={order_by} options={ORDERS} onChange={(order_by) => setQuery({ order_by })} />
      </div>
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {!data ? (
          !error && <Card flush><Skeleton lines={6} /></Card>
        ) : data.failures.length ? (
          data.failures.map((failure) => <Group key={failure.fingerprint} failure={failure} onReplay={() => setReplayed(failure)} />)
        ) : (
          <Card flush>
            <Empty icon="failures" title={hours || workload_type ? "Nothing failed that fits the filter" : "Nothing has failed"} />
          </Card>
        )}
        {data?.has_more && <Note>There are more kinds of failures: choose a shorter time or one type.</Note>}
        {data?.counted_since && <p class="faint small">Counted since {moment(data.counted_since)}.</p>}
      </div>
      {replayed && (
        <BulkDialog
          title="Replay all that failed so?"
          text={`Up to ${number(replayed.count)}, as far as they are still there. A new workload is made of each, with the same input and priority; they begin at the start.`}
          verb="Replay them"
          past="replayed"
          steps={replayFitting({ fingerprint: replayed.fingerprint, created_before: new Date().toISOString() })}
          onClose={() => setReplayed(undefined)}
        />
      )}
    </Page>
  );
}

function Group({ failure, onReplay }: { failure: Failure; onReplay: () => void }) {
  return (
    <section class="card type" aria-label={failure.pattern}>
      <div class="state-line">
        <h2 class="grow message" title={failure.message}>
          {failure.pattern}
        </h2>
        <div class="actions">
          <Link class="button" href={address("/workloads", { status: "FAILED", fingerprint: failure.fingerprint })}>
            {plural(failure.count, "workload")}
          </Link>
          {may("workloads:write") && (
            <Button icon="replay" onClick={onReplay}>
              Replay
            </Button>
          )}
        </div>
      </div>
      <p class="soft small breaks">{failure.message}</p>
      <div class="state-line faint small">
        <span>
          last <Age at={failure.last_seen_at} />, first <Age at={failure.first_seen_at} />
        </span>
        {failure.workload_types.map((type) => (
          <span class="chip" key={type}>
            {type}
          </span>
        ))}
        {failure.workload_ids.map((id) => (
          <WorkloadLink key={id} id={id} />
        ))}
      </div>
    </section>
  );
}
