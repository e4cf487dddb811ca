import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, get } from "../api";
import { type FeedEvent, useFeed } from "../feed";
import { compact, moment, number, plural } from "../format";
import { backOff, pause } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import type { Json, Pagination, Status, WorkloadRow } from "../types";
import { isTerminal, STATUSES } from "../types";
import { Age, Button, Empty, Link, Page, Problem, Progress, say, Search, Select, Skeleton, STATUS_WORDS, StatusBadge, WorkloadLink } from "../ui/parts";
import { type Column, Table } from "../ui/table";
import { BulkDialog, cancelFitting, cancelPicked, replayFitting, replayPicked } from "./bulk";
import { SPANS, sinceOf } from "./spans";
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
/** Of a search by labels: pages that aren't full and follow each other by themselves, and once the reader says so. */
const MOST_LOOKS = 10;
const MOST_LOOKS_MORE = 100;
/** Between them. */
const REST_MS = 100;
/** What the address narrows a list by; and how it stands. */
const FIELDS = ["status", "workload_type", "labels", "hours", "q", "fingerprint"] as const;
const ORDERS = [["", "Newest first"], ["created_at asc", "Oldest first"], ["priority desc", "Highest priority first"], ["progress_percent desc", "Furthest first"]] as const;
/** As one call takes. */
const MOST_PICKED = 1000;

/** As the API takes it. */
type Filter = { status?: Status; workload_type?: string; label?: string[]; created_after?: string; q?: string; fingerprint?: string; order_by?: string; order?: string };

/** What an address means. Labels stand in it as `team:video,release:7`, times as the hours from now. */
function filterOf(query: URLSearchParams): Filter {
  const [labels, created_after] = [query.get("labels"), sinceOf(query.get("hours") ?? "")];
  const texts = ["status", "workload_type", "q", "fingerprint", "order_by", "order"].flatMap((name) => (query.get(name) ? [[name, query.get(name)]] : []));
  return { ...Object.fromEntries(texts), ...(labels ? { label: labels.split(",") } : {}), ...(created_after ? { created_after } : {}) } as Filter;
}

/** The fields that a filter of many has, and that nothing submitted later fits. */
function fitting({ status, workload_type, label, created_after, fingerprint }: Filter) {
  const labels = label && Object.fromEntries(label.map((one) => one.split(":")));
  const given = { status, workload_type, labels, created_after, fingerprint, created_before: new Date().toISOString() };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value)) as Json;
}

interface List {
  rows: WorkloadRow[];
  pagination: Pagination | undefined;
  error: ApiError | undefined;
  /** Load the next page; of a search that has found little for long, only if that is insisted on. */
  more: (insist?: boolean) => void;
  /** It goes on when the reader says so: a search that has found little, or a list of which a page couldn't be had. */
  rests: boolean;
  /** A search that finds little is under way, or rests. */
  searches: boolean;
}

interface ListState {
  key: string;
  rows: WorkloadRow[];
  /** How many are loaded; one by labels may be empty though others follow. */
  pages: number;
  /** How many more of them, that aren't full, follow each other by themselves. */
  looks: number;
  pagination?: Pagination;
  error?: ApiError | undefined;
}

/** The rows that a filter means: they change as the feed says, and more of them come as one scrolls. */
function useList(filter: Filter): List {
  const key = JSON.stringify(filter);
  const [state, setState] = useState<ListState>(begun(key));
  const asking = useRef<AbortController>();
  /** Of pages: whoever was told that one was under way may ask again. */
  const [round, setRound] = useState(0);
  const freshen = useRef<() => void>(() => undefined);
  const isLive = useFeed("/workloads/events", (events) => {
    const told = new Map(events.filter((event) => event.type === "workload").map((event) => [event.workload_id, event]));
    const isNew = events.some((event) => event.type !== "workload") || [...told.values()].some((event) => !state.rows.some((row) => row.workload_id === event.workload_id) && fits(event, filter));
    setState((before) => ({ ...before, rows: changed(before.rows, told, filter) }));
    if (isNew) freshen.current();
  });
  const seldom = useRef(isLive);
  seldom.current = isLive;
  useEffect(() => {
    // A feed that has begun has the list read anew by its first event; one that has ended, here.
    if (!isLive) freshen.current();
  }, [isLive]);
  useEffect(() => {
    const stop = new AbortController();
    asking.current = undefined;
    let wanted = false;
    let wake = () => undefined as void;
    freshen.current = () => {
      wanted = true;
      wake();
    };
    void (async () => {
      for (let failures = 0; !stop.signal.aborted; ) {
        wanted = false;
        let wait = seldom.current ? SELDOM_MS : FRESHEN_MS;
        try {
          const answer = await get<Answer>("/workloads", { ...filter, limit: PAGE }, stop.signal);
          if (stop.signal.aborted) return;
          failures = 0;
          setState((before) => merged(before.key === key ? before : begun(key), answer));
        } catch (error) {
          if (stop.signal.aborted) return;
          const failure = error as ApiError;
          setState((before) => ({ ...(before.key === key ? before : begun(key)), error: failure }));
          wait = backOff(failures++, failure);
        }
        await pause(LEAST_MS, stop.signal);
        if (wanted) continue;
        const rest = new AbortController();
        const leave = () => rest.abort();
        stop.signal.addEventListener("abort", leave);
        await Promise.race([pause(wait, rest.signal), new Promise<void>((done) => (wake = done))]);
        stop.signal.removeEventListener("abort", leave);
        leave();
      }
    })();
    return () => {
      stop.abort();
      asking.current?.abort();
    };
  }, [key]);
  const mine: ListState = state.key === key ? state : begun(key);
  const cursor = mine.pagination?.next_cursor;
  const rests = Boolean(cursor) && mine.looks <= 0;
  const more = useCallback(
    (insist = false) => {
      if (!cursor || asking.current || (rests && !insist)) return;
      const stop = new AbortController();
      asking.current = stop;
      const looks = insist ? MOST_LOOKS_MORE : mine.looks;
      setState((before) => (before.key === key ? { ...before, looks } : before));
      void (async () => {
        try {
          if (looks !== MOST_LOOKS) await pause(REST_MS, stop.signal);
          const answer = await get<Answer>("/workloads", { ...filter, limit: PAGE, cursor }, stop.signal);
          setState((before) => (before.key === key && before.pagination?.next_cursor === cursor ? followed(before, answer, looks) : before));
        } catch (error) {
          if (stop.signal.aborted) return;
          say((error as ApiError).message, true);
          setState((before) => (before.key === key ? { ...before, looks: 0 } : before));
        } finally {
          if (asking.current === stop) {
            asking.current = undefined;
            setRound((before) => before + 1);
          }
        }
      })();
    },
    [key, cursor, rests, round],
  );
  return { rows: mine.rows, pagination: mine.pagination, error: mine.error, more, rests, searches: Boolean(cursor) && mine.looks !== MOST_LOOKS };
}

const begun = (key: string): ListState => ({ key, rows: [], pages: 0, looks: MOST_LOOKS });

/** With the page that follows. */
function followed(before: ListState, { workloads, pagination }: Answer, looks: number): ListState {
  const known = new Set(before.rows.map((row) => row.workload_id));
  const rows = [...before.rows, ...workloads.filter((row) => !known.has(row.workload_id))];
  const { next_cursor, has_more, reached_at } = pagination;
  const next = { ...before.pagination, next_cursor: next_cursor ?? null, has_more, reached_at };
  return { ...before, rows, pages: before.pages + 1, looks: workloads.length < PAGE ? looks - 1 : MOST_LOOKS, pagination: next as Pagination };
}

/** Whether a list with this filter may show it; of labels and the like a feed says nothing. */
function fits(event: FeedEvent, filter: Filter): boolean {
  return (!filter.status || filter.status === event.status) && (!filter.workload_type || filter.workload_type === event.workload_type);
}

/** The rows as the feed says that they are now; those that don't fit the filter any more are gone. */
function changed(rows: WorkloadRow[], told: ReadonlyMap<string, FeedEvent>, filter: Filter): WorkloadRow[] {
  if (!told.size) return rows;
  return rows.flatMap((row) => {
    const event = told.get(row.workload_id);
    if (!event || event.version <= row.version) return [row];
    const { status, version, progress_percent, worker_id } = event;
    return fits(event, filter) ? [{ ...row, status, version, progress_percent, worker_id }] : [];
  });
}

/** The first page anew, with what was loaded after it: what stood below its last row. */
function merged(before: ListState, { workloads, pagination }: Answer): ListState {
  const { key, rows, pages, looks } = before;
  if (pages < 2) return { key, rows: workloads, pages: 1, looks, pagination };
  const fresh = new Set(workloads.map((row) => row.workload_id));
  const last = workloads.at(-1)?.workload_id;
  const at = rows.findIndex((row) => row.workload_id === last);
  const rest = rows.slice(last === undefined ? 0 : at < 0 ? PAGE : at + 1).filter((row) => !fresh.has(row.workload_id));
  const { next_cursor, has_more, reached_at } = before.pagination!;
  return { key, rows: [...workloads, ...rest], pages, looks, pagination: { ...pagination, next_cursor, has_more, reached_at } as Pagination };
}

type Asked = Omit<Parameters<typeof BulkDialog>[0], "onClose">;

export function WorkloadsPage() {
  const query = place.value.query;
  const filter = useMemo(() => filterOf(query), [query]);
  const { rows, pagination, error, more, rests, searches } = useList(filter);
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
  const isFiltered = FIELDS.some((name) => query.get(name));
  const byPlace = FIELDS.slice(2).some((name) => query.get(name));
  const isEmpty = !rows.length && !pagination?.has_more;
  useEffect(() => {
    if (!rows.length) more();
  }, [rows.length, more]);
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
        <Select label="Status" value={filter.status} onChange={(status) => setQuery({ status })} options={[["", "Every status"], ...STATUSES.map((status) => [status, STATUS_WORDS[status]] as const)]} />
        <Select label="Type" value={filter.workload_type} onChange={(workload_type) => setQuery({ workload_type })} options={[["", "Every type"], ...types.map((name) => [name, name] as const)]} />
        <Select label="Submitted" value={query.get("hours") ?? ""} onChange={(hours) => narrow({ hours })} options={SPANS} />
        <Search label="Labels" hint="Labels, as team:video" value={query.get("labels") ?? ""} onSearch={(labels) => narrow({ labels: labelsOf(labels) })} />
        <Search label="Id" hint="Id begins with" value={query.get("q") ?? ""} onSearch={(q) => narrow({ q })} />
        <Select
          label="Order"
          value={`${filter.order_by ?? ""} ${filter.order ?? ""}`.trim()}
          onChange={(order) => setQuery({ order_by: order.split(" ")[0], order: order.split(" ")[1] })}
          options={byPlace ? ORDERS.slice(0, 2) : ORDERS}
        />
        {filter.fingerprint && (
          <Button icon="cancel" onClick={() => setQuery({ fingerprint: undefined })}>
            Failures alike
          </Button>
        )}
        {write && rows.length > 0 && <Bulk filter={filter} rows={rows} pagination={pagination} picked={picked} onAsk={setAsked} />}
      </div>
      {error && <Problem error={error} />}
      <div class="card">
        {!pagination || (!rows.length && !isEmpty && !rests) ? (
          !error && <Skeleton lines={8} />
        ) : rows.length ? (
          <Table label="Workloads" columns={columns} rows={rows} keyOf={(row) => row.workload_id} total={pagination.total} onNearEnd={more} picked={picked} />
        ) : isEmpty ? (
          <Empty icon="workloads" title={isFiltered ? "Nothing fits the filter" : "There is no workload yet"}>
            {isFiltered ? (
              <Button onClick={() => setQuery(Object.fromEntries(FIELDS.map((name) => [name, undefined])))}>Show all</Button>
            ) : (
              <p>
                <Link href={address("/submit")}>Submit one</Link>, or use the API.
              </p>
            )}
          </Empty>
        ) : null}
        {searches && <Reached at={pagination?.reached_at} rests={rests} oldestFirst={filter.order === "asc"} found={rows.length} onGoOn={() => more(true)} />}
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

/** How far a search by labels has looked that few workloads fit. */
function Reached({ at, rests, oldestFirst, found, onGoOn }: { at: string | undefined; rests: boolean; oldestFirst: boolean; found: number; onGoOn: () => void }) {
  const those = at ? `those submitted ${oldestFirst ? "until" : "since"} ${moment(at)}` : "a part of the list";
  return (
    <div class="table-foot">
      <span role={rests ? "status" : undefined}>
        Looked at {those}: {found ? plural(found, "fits", "fit") : "none fits"}
        {rests ? "" : " …"}
      </span>
      {rests && (
        <Button look="plain" onClick={onGoOn}>
          Look further
        </Button>
      )}
    </div>
  );
}

/** Narrow by what goes with the order of submission alone. */
const narrow = (changes: Record<string, string | undefined>) => setQuery({ ...changes, ...(place.value.query.get("order_by") === "created_at" ? {} : { order_by: undefined, order: undefined }) });

/** `team:video, release=7` as the address has it. */
const labelsOf = (text: string) => text.split(/[\s,]+/).filter(Boolean).map((one) => one.replace("=", ":")).join(",");

/** Of a search by labels an estimate is how many the rarest of its filters lets through. */
const totalOf = ({ total = 0, total_is_estimate, reached_at }: Pagination) => (total_is_estimate ? `${reached_at ? "at most" : "about"} ${compact(total)}` : number(total));

interface BulkProps {
  filter: Filter;
  rows: WorkloadRow[];
  pagination: Pagination | undefined;
  picked: ReadonlySet<string>;
  onAsk: (asked: Asked) => void;
}

/** What can be done to those that are picked, or else to all that fit the filter. */
function Bulk({ filter, rows, pagination, picked, onAsk }: BulkProps) {
  const { status, q } = filter;
  const ended = new Set(rows.filter((row) => isTerminal(row.status)).map((row) => row.workload_id));
  const toReplay = [...picked].filter((id) => ended.has(id));
  const toCancel = [...picked].filter((id) => !ended.has(id));
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
  if (q) return null;
  if (status && isTerminal(status)) {
    return (
      <Button icon="replay" onClick={() => onAsk({ title: "Replay all that fit the filter?", text: `${how} with the status ${STATUS_WORDS[status]}${besides(filter)}. ${REPLAYS}`, verb: "Replay them", past: "replayed", steps: replayFitting(fitting(filter)) })}>
        Replay all
      </Button>
    );
  }
  return (
    <Button look="danger" icon="cancel" onClick={() => onAsk({ title: status ? "Cancel all that fit the filter?" : "Cancel all that haven't ended?", text: `${status ? `${how} with the status ${STATUS_WORDS[status]}` : "All that haven't ended"}${besides(filter)}. ${CANCELS}`, verb: "Cancel them", past: "cancelled", danger: true, steps: cancelFitting(fitting(filter)) })}>
      Cancel all
    </Button>
  );
}

const CANCELS = "They end at once and for good; their processes are stopped. A cancelled workload can't be resumed.";
const REPLAYS = "A new workload is made of each, with the same input and priority; they begin at the start.";
const besides = ({ workload_type, label, created_after, fingerprint }: Filter) =>
  [workload_type && `, of type ${workload_type}`, label && `, labelled ${label.join(" and ")}`, created_after && `, submitted since ${moment(created_after)}`, fingerprint && ", with errors alike"].filter(Boolean).join("");

/** A row's type, with its labels where there is room. */
function Named({ row }: { row: WorkloadRow }) {
  const labels = Object.entries(row.labels).map(([key, value]) => `${key}:${value}`);
  return (
    <span title={labels.join(", ")}>
      {row.workload_type} <span class="faint small">{labels.join(" ")}</span>
    </span>
  );
}

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
    { name: "type", title: "Type", width: "minmax(150px, 1.8fr)", wideOnly: true, show: (row) => <Named row={row} /> },
    { name: "status", title: "Status", width: "104px", show: (row) => <StatusBadge status={row.status} /> },
    { name: "progress", title: "Progress", width: "minmax(86px, 1fr)", show: (row) => <Progress value={row.progress_percent} status={row.status} /> },
    { name: "worker", title: "Worker", width: "minmax(100px, 1fr)", wideOnly: true, show: (row) => <span class="mono small soft">{row.worker_id ?? "–"}</span> },
    { name: "retries", title: "Retries", width: "54px", end: true, wideOnly: true, show: (row) => row.retry_count || <span class="faint">0</span> },
    { name: "created", title: "Submitted", width: "110px", end: true, wideOnly: true, show: (row) => <Age at={row.created_at} /> },
  ];
  return write ? [boxes, ...columns] : columns;
}
