import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, post } from "../api";
import { between, clock, duration, moment } from "../format";
import { backOff, pause, useLoaded, useNow } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import type { AuditEvent, Json, Pagination, Workload } from "../types";
import { isQueued, isTerminal } from "../types";
import { CopyJson, JsonView } from "../ui/json";
import { Age, Button, Card, Confirm, Copy, Empty, Field, Note, Page, Problem, Progress, Skeleton, StatusBadge, Tabs, useAction } from "../ui/parts";
import { Checkpoints } from "./checkpoints";
import { Explain } from "./explain";
import { History } from "./history";
import { Log } from "./log";
import { Timeline } from "./timeline";

const LONGEST_WAIT_SECONDS = 20;
const LEAST_BETWEEN_MS = 400;

/** The workload as it is now: asked for again whenever it has changed, until it has ended. */
export function useWorkload(id: string) {
  const [state, setState] = useState<{ id: string; workload?: Workload; error?: ApiError | undefined }>({ id });
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
          setState({ id, workload });
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
  return { workload: mine?.workload, error: mine?.error, reload: () => setRound((before) => before + 1) };
}

/** The whole history, page after page. */
async function loadHistory(id: string, stop: AbortSignal): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: { events: AuditEvent[]; pagination: Pagination } = await get(`/workloads/${id}/audit`, { limit: 100, cursor }, stop);
    events.push(...page.events);
    cursor = page.pagination.next_cursor;
    if (!page.pagination.has_more || events.length >= 5000) return events;
  }
}

export function WorkloadPage({ id }: { id: string }) {
  const { workload, error, reload } = useWorkload(id);
  const over = workload ? isTerminal(workload.status) : false;
  const history = useLoaded(workload && `history ${id} ${over}`, (stop) => loadHistory(id, stop), over ? 0 : 1500);
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
        <State workload={workload} />
        {isQueued(workload.status) && <Explain id={id} status={workload.status} />}
        <Timeline events={history.data ?? []} createdAt={workload.created_at} over={over} />
        <section class="card" aria-label="Details">
          <Tabs
            label="Details"
            tabs={[["log", "Log"], ["checkpoints", "Checkpoints"], ["history", "History"], ["data", "Input and result"]]}
            shown={tab}
            onShow={(name) => setQuery({ tab: name === "log" ? undefined : name })}
          >
            {tab === "checkpoints" ? <Checkpoints workload={workload} onChanged={reload} /> : tab === "history" ? <History events={history.data} /> : tab === "data" ? <Data workload={workload} /> : <Log id={id} over={over} />}
          </Tabs>
        </section>
      </div>
    </Page>
  );
}

function State({ workload }: { workload: Workload }) {
  return (
    <Card>
      <div class="stack">
        <div class="state-line" aria-live="polite">
          <StatusBadge status={workload.status} />
          <span class="soft">{sentence(workload)}</span>
        </div>
        {!isQueued(workload.status) && <Progress value={workload.progress_percent} status={workload.status} />}
        {workload.error_message && <Note kind={workload.status === "FAILED" ? "bad" : "warn"}>{`${workload.status === "FAILED" ? "" : "An attempt ended: "}${workload.error_message}`}</Note>}
        <Facts workload={workload} />
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

function Facts({ workload }: { workload: Workload }) {
  const now = useNow();
  const end = workload.completed_at ?? workload.cancelled_at ?? undefined;
  const facts: [string, ComponentChildren][] = [
    ["Submitted", <Age at={workload.created_at} />],
    ["Started", <Age at={workload.started_at} />],
    [end ? "Took" : "Has taken", workload.started_at ? duration(Math.max(0, between(workload.started_at, end ?? now))) : "–"],
    ["Ends at about", workload.estimated_completion_time ? <span title={moment(workload.estimated_completion_time)}>{clock(workload.estimated_completion_time)}</span> : "–"],
    ["Worker", <span class="mono small">{workload.worker_id ?? "–"}</span>],
    ["Attempt", workload.generation || "–"],
    ["Checkpoint", workload.checkpoint_sequence || "none yet"],
    ["Retries", workload.retry_count],
    ["Priority", workload.priority],
    ["Time-out", workload.timeout_seconds ? duration(workload.timeout_seconds) : "as configured"],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Actions({ workload, onChanged }: { workload: Workload; onChanged: () => void }) {
  const [busy, act] = useAction();
  const [asked, setAsked] = useState(false);
  const [reason, setReason] = useState("");
  const path = `/workloads/${workload.workload_id}`;
  const run = (verb: string, done: string, body: Json = {}) => act(() => post(`${path}/${verb}`, body), done).then(onChanged);
  return (
    <>
      {workload.status === "RUNNING" && (
        <Button icon="pause" disabled={busy} onClick={() => void run("pause", "Paused: its checkpoint is safe")}>
          {busy ? "Pausing …" : "Pause"}
        </Button>
      )}
      {workload.status === "PAUSED" && (
        <Button icon="resume" look="main" disabled={busy} onClick={() => void run("resume", "Resumed: it goes on from its checkpoint")}>
          Resume
        </Button>
      )}
      {!isTerminal(workload.status) && (
        <Button icon="cancel" look="danger" disabled={busy} onClick={() => setAsked(true)}>
          Cancel
        </Button>
      )}
      {asked && (
        <Confirm title="Cancel this workload?" text="It ends at once and for good; its processes are stopped." verb="Cancel it" onConfirm={() => void run("cancel", "Cancelled", reason ? { reason } : {})} onClose={() => setAsked(false)}>
          <Field label="Reason" hint="For its history; may be left out.">
            {(attributes) => <input {...attributes} value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />}
          </Field>
        </Confirm>
      )}
    </>
  );
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
