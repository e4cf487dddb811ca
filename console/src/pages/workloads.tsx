import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, get } from "../api";
import { type FeedEvent, useFeed } from "../feed";
import { compact, number, plural } from "../format";
import { backOff, pause } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import type { Pagination, Status, WorkloadRow } from "../types";
import { isTerminal, STATUSES } from "../types";
import { Age, Button, Empty, Link, Page, Problem, Progress, say, Select, Skeleton, STATUS_WORDS, StatusBadge, WorkloadLink } from "../ui/parts";
import { type Column, Table } from "../ui/table";
import { BulkDialog, cancelFitting, cancelPicked, replayFitting, replayPicked } from "./bulk";
import { useTypes } from "./type-names";

interface Answer {
  workloads: WorkloadRow[];
  pagination: Pagination;
}

const PAGE = 100;
const FRESHEN_MS = 2000;
/** While a feed tells what changes. */
const SELDOM_MS = 20_000;
const LEAST_MS = 700;
/** What a list, and what is done to all of it, may be narrowed by; and how it stands. */
const FIELDS = ["status", "workload_type"] as const;
const FILTERS = [...FIELDS, "order_by", "order"] as const;
/** As one call takes. */
const MOST_PICKED = 1000;

interface List {
  rows: WorkloadRow[];
  pagination: Pagination | undefined;
  error: ApiError | undefined;
  more: () => void;
}

interface ListState {
  key: string;
  rows: WorkloadRow[];
  pagination?: Pagination;
  error?: ApiError | undefined;
}

/** The rows that a filter means: they change as the feed says, and more of them come as one scrolls. */
function useList(filter: Record<string, string>): List {
  const key = JSON.stringify(filter);
  const [state, setState] = useState<ListState>({ key, rows: [] });
  const asking = useRef(false);
  const freshen = useRef<() => void>(() => undefined);
  const isLive = useFeed("/workloads/events", (events) => {
    const told = new Map(events.filter((event) => event.type === "workload").map((event) => [event.workload_id, event]));
    const isNew = events.some((event) => event.type !== "workload") || [...told.values()].some((event) => !state.rows.some((row) => row.workload_id === event.workload_id) && fits(event, filter));
    setState((before) => ({ ...before, rows: changed(before.rows, told, filter) }));
    if (isNew) freshen.current();
  });
  useEffect(() => {
    const stop = new AbortController();
    asking.current = false;
    let wanted = false;
    let wake = () => undefined as void;
    freshen.current = () => {
      wanted = true;
      wake();
    };
    void (async () => {
      for (let failures = 0; !stop.signal.aborted; ) {
        wanted = false;
        let wait = isLive ? SELDOM_MS : FRESHEN_MS;
        try {
          const answer = await get<Answer>("/workloads", { ...filter, limit: PAGE }, stop.signal);
          if (stop.signal.aborted) return;
          failures = 0;
          setState((before) => merged(before.key === key ? before.rows : [], answer, key, before.key === key ? before.pagination : undefined));
        } catch (error) {
          if (stop.signal.aborted) return;
          const failure = error as ApiError;
          setState((before) => ({ ...(before.key === key ? before : { rows: [] }), key, error: failure }));
          wait = backOff(failures++, failure);
        }
        await pause(LEAST_MS, stop.signal);
        if (!wanted) await Promise.race([pause(wait, stop.signal), new Promise<void>((done) => (wake = done))]);
      }
    })();
    return () => stop.abort();
  }, [key, isLive]);
  const mine: ListState = state.key === key ? state : { key, rows: [] };
  const cursor = mine.pagination?.next_cursor;
  const more = useCallback(() => {
    if (!cursor || asking.current) return;
    asking.current = true;
    get<Answer>("/workloads", { ...filter, limit: PAGE, cursor })
      .then((answer) =>
        setState((before) => {
          if (before.key !== key || before.pagination?.next_cursor !== cursor) return before;
          const known = new Set(before.rows.map((row) => row.workload_id));
          const rows = [...before.rows, ...answer.workloads.filter((row) => !known.has(row.workload_id))];
          return { ...before, rows, pagination: { ...before.pagination, ...answer.pagination } };
        }),
      )
      .catch((error: ApiError) => say(error.message, true))
      .finally(() => (asking.current = false));
  }, [key, cursor]);
  return { rows: mine.rows, pagination: mine.pagination, error: mine.error, more };
}

/** Whether a list with this filter shows it. */
function fits(event: FeedEvent, filter: Record<string, string>): boolean {
  return (!filter["status"] || filter["status"] === event.status) && (!filter["workload_type"] || filter["workload_type"] === event.workload_type);
}

/** The rows as the feed says that they are now; those that don't fit the filter any more are gone. */
function changed(rows: WorkloadRow[], told: ReadonlyMap<string, FeedEvent>, filter: Record<string, string>): WorkloadRow[] {
  if (!told.size) return rows;
  return rows.flatMap((row) => {
    const event = told.get(row.workload_id);
    if (!event || event.version <= row.version) return [row];
    const { status, version, progress_percent, worker_id } = event;
    return fits(event, filter) ? [{ ...row, status, version, progress_percent, worker_id }] : [];
  });
}

/** The first page anew, with what was loaded after it. */
function merged(before: WorkloadRow[], answer: Answer, key: string, pagination: Pagination | undefined) {
  const deeper = before.length > PAGE && pagination !== undefined;
  const fresh = new Set(answer.workloads.map((row) => row.workload_id));
  const rest = deeper ? before.slice(PAGE).filter((row) => !fresh.has(row.workload_id)) : [];
  const kept = deeper ? { ...answer.pagination, next_cursor: pagination.next_cursor, has_more: pagination.has_more } : answer.pagination;
  return { key, rows: [...answer.workloads, ...rest], pagination: kept };
}

type Asked = Omit<Parameters<typeof BulkDialog>[0], "onClose">;

export function WorkloadsPage() {
  const query = place.value.query;
  const filter = useMemo(
    () => Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value)) as Record<string, string>,
    [query],
  );
  const { rows, pagination, error, more } = useList(filter);
  const types = useTypes();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<Asked>();
  const pick = (id: string, on: boolean) => {
    const next = new Set(picked);
    if (on) next.add(id);
    else next.delete(id);
    setPicked(next);
  };
  const write = may("workloads:write");
  const columns = useColumns(write, picked, pick, rows, setPicked);
  const isFiltered = FIELDS.some((name) => filter[name]);
  return (
    <Page
      title="Workloads"
      lead={pagination?.total === undefined ? undefined : `${totalOf(pagination)} ${isFiltered ? "fit the filter" : "in all"}`}
      actions={
        write && (
          <Link class="button main" href={address("/submit")}>
            Submit a workload
          </Link>
        )
      }
    >
      <div class="toolbar" role="search" aria-label="Filter">
        <Select label="Status" value={filter["status"]} onChange={(status) => setQuery({ status })} options={[["", "Every status"], ...STATUSES.map((status) => [status, STATUS_WORDS[status]] as const)]} />
        <Select label="Type" value={filter["workload_type"]} onChange={(workload_type) => setQuery({ workload_type })} options={[["", "Every type"], ...types.map((name) => [name, name] as const)]} />
        <Select
          label="Order"
          value={`${filter["order_by"] ?? ""} ${filter["order"] ?? ""}`.trim()}
          onChange={(order) => setQuery({ order_by: order.split(" ")[0], order: order.split(" ")[1] })}
          options={[["", "Newest first"], ["created_at asc", "Oldest first"], ["priority desc", "Highest priority first"], ["progress_percent desc", "Furthest first"]]}
        />
        {write && rows.length > 0 && <Bulk filter={filter} rows={rows} pagination={pagination} picked={picked} onAsk={setAsked} />}
      </div>
      {error && <Problem error={error} />}
      <div class="card">
        {!pagination ? (
          !error && <Skeleton lines={8} />
        ) : rows.length ? (
          <Table label="Workloads" columns={columns} rows={rows} keyOf={(row) => row.workload_id} total={pagination.total} onNearEnd={more} picked={picked} />
        ) : (
          <Empty icon="workloads" title={isFiltered ? "Nothing fits the filter" : "There is no workload yet"}>
            {isFiltered ? (
              <Button onClick={() => setQuery(Object.fromEntries(FIELDS.map((name) => [name, undefined])))}>Show all</Button>
            ) : (
              <p>
                <Link href={address("/submit")}>Submit one</Link>, or use the API.
              </p>
            )}
          </Empty>
        )}
      </div>
      {asked && (
        <BulkDialog
          {...asked}
          onClose={() => {
            setAsked(undefined);
            setPicked(new Set());
          }}
        />
      )}
    </Page>
  );
}

const totalOf = ({ total = 0, total_is_estimate }: Pagination) => (total_is_estimate ? `about ${compact(total)}` : number(total));

interface BulkProps {
  filter: Record<string, string>;
  rows: WorkloadRow[];
  pagination: Pagination | undefined;
  picked: ReadonlySet<string>;
  onAsk: (asked: Asked) => void;
}

/** What can be done to those that are picked, or else to all that fit the filter. */
function Bulk({ filter, rows, pagination, picked, onAsk }: BulkProps) {
  const status = filter["status"] as Status | undefined;
  const ended = new Set(rows.filter((row) => isTerminal(row.status)).map((row) => row.workload_id));
  const toReplay = [...picked].filter((id) => ended.has(id));
  const toCancel = [...picked].filter((id) => !ended.has(id));
  const fitting = Object.fromEntries(FIELDS.flatMap((name) => (filter[name] ? [[name, filter[name]]] : [])));
  const all = () => ({ ...fitting, created_before: new Date().toISOString() });
  const how = pagination?.total === undefined ? "All" : totalOf(pagination);
  const isOne = (ids: string[]) => ids.length === 1;
  if (picked.size) {
    return (
      <>
        <span class="soft small">{plural(picked.size, "workload")} picked</span>
        {toCancel.length > 0 && (
          <Button look="danger" icon="cancel" onClick={() => onAsk({ title: `Cancel ${plural(toCancel.length, "workload")}?`, text: CANCELS, verb: isOne(toCancel) ? "Cancel it" : "Cancel them", past: "cancelled", danger: true, steps: cancelPicked(toCancel) })}>
            {isOne(toCancel) ? "Cancel it" : "Cancel them"}
          </Button>
        )}
        {toReplay.length > 0 && (
          <Button icon="replay" onClick={() => onAsk({ title: `Replay ${plural(toReplay.length, "workload")}?`, text: REPLAYS, verb: isOne(toReplay) ? "Replay it" : "Replay them", past: "replayed", steps: replayPicked(toReplay) })}>
            {isOne(toReplay) ? "Replay it" : "Replay them"}
          </Button>
        )}
      </>
    );
  }
  if (status && isTerminal(status)) {
    return (
      <Button icon="replay" onClick={() => onAsk({ title: "Replay all that fit the filter?", text: `${how} with the status ${STATUS_WORDS[status]}${ofType(filter)}. ${REPLAYS}`, verb: "Replay them", past: "replayed", steps: replayFitting(all()) })}>
        Replay all
      </Button>
    );
  }
  return (
    <Button look="danger" icon="cancel" onClick={() => onAsk({ title: status ? "Cancel all that fit the filter?" : "Cancel all that haven't ended?", text: `${status ? `${how} with the status ${STATUS_WORDS[status]}` : "All that haven't ended"}${ofType(filter)}. ${CANCELS}`, verb: "Cancel them", past: "cancelled", danger: true, steps: cancelFitting(all()) })}>
      Cancel all
    </Button>
  );
}

const CANCELS = "They end at once and for good; their processes are stopped. A cancelled workload can't be resumed.";
const REPLAYS = "A new workload is made of each, with the same input and priority; they begin at the start.";
const ofType = (filter: Record<string, string>) => (filter["workload_type"] ? `, of type ${filter["workload_type"]}` : "");

function useColumns(write: boolean, picked: ReadonlySet<string>, pick: (id: string, on: boolean) => void, rows: WorkloadRow[], setPicked: (ids: ReadonlySet<string>) => void): Column<WorkloadRow>[] {
  const all = rows.length > 0 && rows.every((row) => picked.has(row.workload_id));
  const boxes: Column<WorkloadRow> = {
    name: "pick",
    title: <input type="checkbox" aria-label="Pick all that are loaded" checked={all} onChange={() => setPicked(all ? new Set() : new Set(rows.slice(0, MOST_PICKED).map((row) => row.workload_id)))} />,
    width: "18px",
    wideOnly: true,
    show: (row) => <input type="checkbox" aria-label={`Pick ${row.workload_id}`} checked={picked.has(row.workload_id)} onChange={(event) => pick(row.workload_id, event.currentTarget.checked)} />,
  };
  const columns: Column<WorkloadRow>[] = [
    { name: "id", title: "Workload", width: "minmax(104px, 1.1fr)", show: (row) => <WorkloadLink id={row.workload_id} /> },
    { name: "type", title: "Type", width: "minmax(110px, 1.3fr)", wideOnly: true, show: (row) => row.workload_type },
    { name: "status", title: "Status", width: "104px", show: (row) => <StatusBadge status={row.status} /> },
    { name: "progress", title: "Progress", width: "minmax(86px, 1fr)", show: (row) => <Progress value={row.progress_percent} status={row.status} /> },
    { name: "worker", title: "Worker", width: "minmax(100px, 1fr)", wideOnly: true, show: (row) => <span class="mono small soft">{row.worker_id ?? "–"}</span> },
    { name: "retries", title: "Retries", width: "54px", end: true, wideOnly: true, show: (row) => row.retry_count || <span class="faint">0</span> },
    { name: "created", title: "Submitted", width: "110px", end: true, wideOnly: true, show: (row) => <Age at={row.created_at} /> },
  ];
  return write ? [boxes, ...columns] : columns;
}
