/** A workload's log, as it grows. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, get } from "../api";
import { clock, moment, plural } from "../format";
import { backOff, pause } from "../live";
import type { LogLine, Pagination } from "../types";
import { foundIn } from "../ui/find";
import { Button, Empty, Problem, say, Select, Skeleton } from "../ui/parts";

interface Answer {
  logs: LogLine[];
  pagination: Pagination;
}

const TAIL = 500;
const MOST_LINES = 5000;
/** Answers to one search, until the reader asks for more. */
const MOST_SEARCHES = 20;
const TYPING_MS = 300;
const EVERY_MS = 1000;
/** Where lines come faster than they are read so. */
const BEHIND_MS = 100;
const LEVELS = [["", "Every level"], ["INFO", "Info and above"], ["WARN", "Warnings and errors"], ["ERROR", "Errors"]] as const;

const keyOf = (line: LogLine) => `${line.attempt}.${line.sequence}`;

/** The last lines, and those that come; a log isn't read on once the workload has ended. */
function useLog(id: string, level: string, over: boolean) {
  const key = `${id} ${level}`;
  const [state, setState] = useState<{ key: string; lines?: LogLine[]; before?: string | null; error?: ApiError | undefined }>({ key });
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      let newest: string | undefined;
      for (let failures = 0; !stop.signal.aborted; ) {
        let wait = EVERY_MS;
        try {
          const query = newest === undefined ? { tail: TAIL, level } : { since: newest, limit: TAIL, level };
          const answer = await get<Answer>(`/workloads/${id}/logs`, query, stop.signal);
          if (stop.signal.aborted) return;
          const isFirst = newest === undefined;
          setState((old) => {
            if (!isFirst && !answer.logs.length && old.key === key && !old.error) return old;
            const kept = isFirst || old.key !== key ? [] : (old.lines ?? []);
            const known = new Set(kept.slice(-2 * TAIL).map(keyOf));
            const fresh = answer.logs.filter((line) => !known.has(keyOf(line)));
            const before = isFirst ? answer.pagination.next_cursor : (old.before ?? null);
            return { key, lines: fresh.length ? [...kept, ...fresh].slice(-MOST_LINES) : kept, before };
          });
          newest = answer.logs.at(-1)?.timestamp ?? newest;
          failures = 0;
          const isBehind = answer.pagination.has_more && !isFirst;
          if (over && !isBehind) return;
          if (isBehind) wait = BEHIND_MS;
        } catch (error) {
          if (stop.signal.aborted) return;
          const failure = error as ApiError;
          setState((old) => ({ ...(old.key === key ? old : {}), key, error: failure }));
          wait = backOff(failures++, failure);
        }
        await pause(wait, stop.signal);
      }
    })();
    return () => stop.abort();
  }, [key, over]);
  const mine = state.key === key ? state : { lines: undefined, before: undefined, error: undefined };
  const earlier = async () => {
    const answer = await get<Answer>(`/workloads/${id}/logs`, { cursor: mine.before });
    setState((old) => (old.key === key ? { ...old, lines: [...answer.logs, ...(old.lines ?? [])], before: answer.pagination.has_more ? answer.pagination.next_cursor : null } : old));
  };
  return { lines: mine.lines, error: mine.error, earlier: mine.before ? earlier : undefined };
}

/**
 * What the service finds in the lines before those that are loaded: it looks at some thousands in each answer, and is
 * asked again until it has found something or there is nothing more.
 */
function useFound(id: string, level: string, words: string, first: LogLine | undefined) {
  const wanted = words && first ? `${id} ${level} ${words}` : "";
  const [state, setState] = useState<{ wanted: string; lines: LogLine[]; next: string | null; busy: boolean }>({ wanted: "", lines: [], next: null, busy: false });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!wanted || !first) return;
    const stop = new AbortController();
    const goesOn = state.wanted === wanted;
    void (async () => {
      // A line's time is told in milliseconds: what is loaded may come once more, and is left out.
      const until = new Date(Date.parse(first.timestamp) + 1).toISOString();
      let [lines, next] = goesOn ? [state.lines, state.next] : [[] as LogLine[], null];
      setState({ wanted, lines, next, busy: true });
      try {
        if (!goesOn) await pause(TYPING_MS, stop.signal);
        for (let rounds = 0, before = lines.length; rounds < MOST_SEARCHES && lines.length === before && (rounds === 0 || next); rounds++) {
          const answer: Answer = await get(`/workloads/${id}/logs`, { q: words, level, tail: TAIL, until, cursor: next }, stop.signal);
          lines = [...answer.logs, ...lines];
          next = answer.pagination.has_more ? answer.pagination.next_cursor : null;
        }
      } catch (error) {
        if (!stop.signal.aborted) say((error as ApiError).message, true);
      }
      if (!stop.signal.aborted) setState({ wanted, lines, next, busy: false });
    })();
    return () => stop.abort();
  }, [wanted, round]);
  const mine = state.wanted === wanted ? state : undefined;
  return { lines: mine?.lines ?? [], busy: Boolean(wanted) && (mine?.busy ?? true), more: mine?.next && !mine.busy ? () => setRound((before) => before + 1) : undefined };
}

export function Log({ id, over }: { id: string; over: boolean }) {
  const [level, setLevel] = useState("");
  const [wanted, setWanted] = useState("");
  const [follow, setFollow] = useState(true);
  const { lines, error, earlier } = useLog(id, level, over);
  const box = useRef<HTMLDivElement>(null);
  const words = wanted.trim();
  const found = useFound(id, level, words, earlier && lines?.[0]);
  // While nothing new is in it, the list isn't drawn anew: it may have thousands of lines.
  const [shown, rows] = useMemo(() => {
    const fitting = words ? lines?.filter((line) => foundIn(line.message, words) || foundIn(JSON.stringify(line.details), words)) : lines;
    const known = new Set(lines?.map(keyOf));
    const shown = words && fitting ? [...found.lines.filter((line) => !known.has(keyOf(line))), ...fitting] : fitting;
    return [shown, shown?.map((line) => <Line key={keyOf(line)} line={line} words={words} />)];
  }, [lines, words, found.lines.length]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown?.length, follow]);
  const scrolled = () => {
    const element = box.current!;
    setFollow(element.scrollHeight - element.scrollTop - element.clientHeight < 40);
  };
  const back = words ? found.more : earlier;
  return (
    <div>
      <div class="card-head">
        <input class="grow" type="search" aria-label="Search the log" placeholder="Search the log" maxLength={200} value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
        <Select label="Level" value={level} onChange={setLevel} options={LEVELS} />
        {!follow && (
          <Button look="plain" onClick={() => setFollow(true)}>
            Follow
          </Button>
        )}
        <span class="faint small" role="status">
          {found.busy ? "Searching …" : shown ? plural(shown.length, "line") : ""}
        </span>
      </div>
      {error && <Problem error={error} />}
      {!shown ? (
        !error && <Skeleton lines={6} />
      ) : shown.length || back ? (
        <div class="log" ref={box} tabIndex={0} role="region" aria-label="Log lines" onScroll={scrolled}>
          {back && (
            <div class="log-line">
              <Button look="plain" onClick={() => void back()}>
                {words ? "Search earlier lines" : "Earlier lines"}
              </Button>
            </div>
          )}
          {rows}
        </div>
      ) : (
        !found.busy && <Empty icon="workloads" title={words || level ? "No line fits" : "Its log is empty"} />
      )}
    </div>
  );
}

function Line({ line, words }: { line: LogLine; words: string }) {
  const details = Object.keys(line.details).length ? JSON.stringify(line.details) : "";
  return (
    <div class="log-line">
      <time dateTime={line.timestamp} title={moment(line.timestamp)}>
        {clock(line.timestamp)}
      </time>
      <span class={`level ${line.level}`}>{line.level}</span>
      <span class="attempt" title={`Attempt ${line.attempt}`}>
        #{line.attempt}
      </span>
      <span>
        <Marked text={line.message} words={words} />
        {details && <span class="details">{details}</span>}
      </span>
    </div>
  );
}

function Marked({ text, words }: { text: string; words: string }) {
  const found = foundIn(text, words);
  if (!found) return <>{text}</>;
  const [from, to] = found;
  return (
    <>
      {text.slice(0, from)}
      <mark>{text.slice(from, to)}</mark>
      {text.slice(to)}
    </>
  );
}
