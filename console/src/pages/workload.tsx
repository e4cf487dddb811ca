import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, get } from "../api";
import { between, clock, duration, moment } from "../format";
import { backOff, pause, useNow } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import type { Workload } from "../types";
import { isQueued, isTerminal } from "../types";
import { CopyJson, JsonView } from "../ui/json";
import { Age, Card, Copy, Empty, Facts, Link, Note, Page, Problem, Progress, Skeleton, StatusBadge, Tabs, WorkloadLink } from "../ui/parts";
import { Checkpoints } from "./checkpoints";
import { Explain } from "./explain";
import { History } from "./history";
import { Log } from "./log";
import { Timeline } from "./timeline";
import { useHistory } from "./whole-history";
import { Actions } from "./workload-actions";

const LONGEST_WAIT_SECONDS = 20;
const LEAST_BETWEEN_MS = 400;

/** The workload as it is now: asked for again whenever it has changed, until it has ended. */
export function useWorkload(id: string) {
  const [state, setState] = useState<{ id: string; workload?: Workload; seenAt?: number; error?: ApiError | undefined }>({ id });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      let version: number | undefined;
      for (let failures = 0; !stop.signal.aborted; ) {
        try {
          const query = version === undefined ? {} : { wait_seconds: LONGEST_WAIT_SECONDS, version };
          const workload = await get<Workload>(`/workloads/${id}`, query, stop.signal);
          if (stop.signal.aborted) return;
          failures = 0;
          setState({ id, workload, seenAt: Date.now() });
          version = workload.version;
          if (isTerminal(workload.status)) return;
          await pause(LEAST_BETWEEN_MS, stop.signal);
        } catch (error) {
          if (stop.signal.aborted) return;
          const failure = error as ApiError;
          setState((before) => ({ ...(before.id === id ? before : {}), id, error: failure }));
          if ([400, 401, 403, 404].includes(failure.status)) return;
          await pause(backOff(failures++, failure), stop.signal);
        }
      }
    })();
    return () => stop.abort();
  }, [id, round]);
  const mine = state.id === id ? state : undefined;
  return { workload: mine?.workload, seenAt: mine?.seenAt ?? 0, error: mine?.error, reload: () => setRound((before) => before + 1) };
}

export function WorkloadPage({ id }: { id: string }) {
  const { workload, seenAt, error, reload } = useWorkload(id);
  const over = workload ? isTerminal(workload.status) : false;
  const history = useHistory(id, workload !== undefined, over);
  const tab = place.value.query.get("tab") ?? "log";
  if (!workload) {
    return (
      <Page title="Workload" back={{ href: address("/workloads"), name: "Workloads" }}>
        {error ? <Problem error={error} retry={reload} /> : <Card flush><Skeleton lines={8} /></Card>}
      </Page>
    );
  }
  return (
    <Page
      title={`${workload.workload_type} ${id}`}
      heading={workload.workload_type}
      back={{ href: address("/workloads"), name: "Workloads" }}
      lead={
        <>
          <span class="id">{id}</span>
          <Copy text={id} label="Copy the id" />
        </>
      }
      actions={may("workloads:write") && <Actions workload={workload} onChanged={reload} />}
    >
      <div class="stack">
        {error && <Problem error={error} />}
        <State workload={workload} seenAt={seenAt} />
        {isQueued(workload.status) && <Explain id={id} status={workload.status} />}
        <Timeline events={history.data ?? []} createdAt={workload.created_at} over={over} />
        <section class="card" aria-label="Details">
          <Tabs
            label="Details"
            tabs={[["log", "Log"], ["checkpoints", "Checkpoints"], ["history", "History"], ["data", "Input and result"]]}
            shown={tab}
            onShow={(name) => setQuery({ tab: name === "log" ? undefined : name })}
          >
            {tab === "checkpoints" ? <Checkpoints workload={workload} onChanged={reload} /> : tab === "history" ? <History events={history.data} error={history.error} /> : tab === "data" ? <Data workload={workload} /> : <Log id={id} over={over} />}
          </Tabs>
        </section>
      </div>
    </Page>
  );
}

function State({ workload, seenAt }: { workload: Workload; seenAt: number }) {
  return (
    <Card>
      <div class="stack">
        <div class="state-line" aria-live="polite">
          <StatusBadge status={workload.status} />
          <span class="soft">{sentence(workload)}</span>
        </div>
        {!isQueued(workload.status) && <Progress value={workload.progress_percent} status={workload.status} />}
        {workload.error_message && (
          <Note kind={workload.status === "FAILED" ? "bad" : "warn"}>
            {workload.status === "FAILED" ? "" : "An attempt ended: "}
            {workload.error_message}{" "}
            {workload.error_fingerprint && (
              <Link class="nowrap" href={address("/workloads", { status: "FAILED", fingerprint: workload.error_fingerprint })}>
                All that failed so
              </Link>
            )}
          </Note>
        )}
        <Labels of={workload.labels} />
        <WorkloadFacts workload={workload} seenAt={seenAt} />
      </div>
    </Card>
  );
}

function sentence(workload: Workload): string {
  if (isQueued(workload.status)) {
    const start = workload.estimated_start_time;
    return `${workload.pending_reason ?? "waiting"}${start ? `; will start at about ${clock(start)}` : ""}`;
  }
  if (workload.status === "RUNNING") return workload.progress_message ?? "at work";
  if (workload.status === "PAUSED") return `paused at checkpoint ${workload.checkpoint_sequence}; nothing is lost`;
  return workload.progress_message ?? "";
}

function Labels({ of }: { of: Record<string, string> }) {
  const labels = Object.entries(of).map(([key, value]) => `${key}:${value}`);
  if (!labels.length) return null;
  return (
    <div class="chips">
      {labels.map((label) => (
        <Link class="chip" key={label} href={address("/workloads", { labels: label })} title="All with this label">
          {label}
        </Link>
      ))}
    </div>
  );
}

function WorkloadFacts({ workload, seenAt }: { workload: Workload; seenAt: number }) {
  const now = useNow();
  const end = workload.completed_at ?? workload.cancelled_at ?? undefined;
  const { seconds_since_checkpoint: unsaved } = workload;
  const origin = workload.forked_from ?? workload.replayed_from;
  const started = workload.started_at;
  const ending = workload.estimated_completion_time;
  const facts: [string, ComponentChildren][] = [["Submitted", <Age at={workload.created_at} />]];
  if (started) facts.push(["Started", <Age at={started} />], [end ? "Took" : "Has taken", duration(Math.max(0, between(started, end ?? now)))]);
  if (ending && !end) facts.push(["Ends at about", <span title={moment(ending)}>{clock(ending)}</span>]);
  if (workload.worker_id) facts.push(["Worker", <span class="mono small">{workload.worker_id}</span>]);
  if (workload.generation) facts.push(["Attempt", workload.generation], ["Retries", workload.retry_count]);
  facts.push(["Checkpoint", workload.checkpoint_sequence || "none yet"], ["Priority", workload.priority], ["Time-out", workload.timeout_seconds ? duration(workload.timeout_seconds) : "as configured"]);
  if (unsaved !== null) facts.push(["Not saved yet", <span title="So much would be done again if its worker were lost now">{duration(Math.floor(unsaved + Math.max(0, now - seenAt) / 1000))}</span>]);
  if (origin) facts.push([workload.forked_from ? "Fork of" : "Replay of", <><WorkloadLink id={origin} />{workload.from_checkpoint ? `, from its checkpoint ${workload.from_checkpoint}` : ""}</>]);
  return <Facts of={facts} />;
}

function Data({ workload }: { workload: Workload }) {
  return (
    <div class="columns data">
      <div>
        <div class="card-head">
          <h2>Input</h2>
          <CopyJson value={workload.input_params} label="Copy the input" />
        </div>
        <JsonView value={workload.input_params} label="Input" />
        {workload.affinity_rules && <JsonView value={workload.affinity_rules} label="Affinity rules" />}
      </div>
      <div>
        <div class="card-head">
          <h2>Result</h2>
          {workload.result_data !== null && <CopyJson value={workload.result_data} label="Copy the result" />}
        </div>
        {workload.result_data !== null ? <JsonView value={workload.result_data} label="Result" /> : <Empty icon="info" title={workload.status === "COMPLETED" ? "It has no result" : "There is no result"} />}
      </div>
    </div>
  );
}
