/** Hooks that fetch, keep fresh and let go. */
import { signal } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  /** The last try's failure; what was loaded before stays. */
  error: ApiError | undefined;
  reload: () => void;
}

const MOST_WAIT_MS = 30_000;

function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, "UNEXPECTED", String(error));
}

/** How long to wait after a failure, longer with each. */
export function backOff(failures: number, error: ApiError): number {
  return Math.max((error.retryAfter ?? 0) * 1000, Math.min(MOST_WAIT_MS, 1000 * 2 ** failures));
}

/** Resolves after so long, or when the page is looked at again if it wasn't; never once aborted. */
export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const clear = () => clearTimeout(timer);
    const timer = setTimeout(() => {
      // A page that is open for days pauses very often, and each pause would leave its listener behind.
      stop.removeEventListener("abort", clear);
      void whenVisible(stop).then(done);
    }, ms);
    stop.addEventListener("abort", clear, { once: true });
  });
}

function whenVisible(stop: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", () => done(), { once: true, signal: stop }));
}

/**
 * Load something, and again every so often while the page is looked at.
 *
 * @param key Names what is loaded; undefined loads nothing. With another key what was loaded is forgotten.
 * @param every Milliseconds between loads; 0 loads once.
 */
export function useLoaded<T>(key: string | undefined, load: (stop: AbortSignal) => Promise<T>, every = 0): Loaded<T> {
  const [state, setState] = useState<{ key: string | undefined; data?: T; error?: ApiError | undefined }>({ key });
  const loader = useRef(load);
  loader.current = load;
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (key === undefined) return;
    const stop = new AbortController();
    void (async () => {
      for (let failures = 0; !stop.signal.aborted; ) {
        let wait = every;
        try {
          const data = await loader.current(stop.signal);
          if (stop.signal.aborted) return;
          failures = 0;
          // What hasn't changed isn't drawn anew.
          setState((before) => (before.key === key && before.data === data && !before.error ? before : { key, data }));
        } catch (error) {
          if (stop.signal.aborted) return;
          const failure = asApiError(error);
          setState((before) => ({ ...(before.key === key ? before : {}), key, error: failure }));
          if (failure.status >= 400 && failure.status < 500 && failure.status !== 429 && !every) return;
          if ([401, 403, 404].includes(failure.status)) return;
          wait = backOff(failures++, failure);
        }
        if (!wait) return;
        await pause(wait, stop.signal);
      }
    })();
    return () => stop.abort();
  }, [key, every, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const current = state.key === key ? state : undefined;
  return { data: current?.data, error: current?.error, reload };
}

export interface Part<T> {
  rows: T[];
  next: string | null | undefined;
}

/**
 * Load the first part of a list, and more of it when that is wanted.
 *
 * @returns The rows so far, undefined before the first ones; `more` is undefined when that is all.
 */
export function useParts<T>(key: string, load: (cursor: string | undefined, stop: AbortSignal) => Promise<Part<T>>) {
  const first = useLoaded(key, (stop) => load(undefined, stop));
  const [later, setLater] = useState<Part<T> & { after?: T[] }>({ rows: [], next: undefined });
  const [busy, setBusy] = useState(false);
  const mine = first.data !== undefined && later.after === first.data.rows ? later : undefined;
  const next = mine ? mine.next : first.data?.next;
  const more = async (): Promise<void> => {
    const after = first.data!.rows;
    setBusy(true);
    try {
      const part = await load(next!, new AbortController().signal);
      setLater({ after, rows: [...(mine?.rows ?? []), ...part.rows], next: part.next });
    } finally {
      setBusy(false);
    }
  };
  const rows = first.data && [...first.data.rows, ...(mine?.rows ?? [])];
  return { rows, error: first.error, reload: first.reload, more: next ? more : undefined, busy };
}

const now = signal(Date.now());
let clocks = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, once a second, shared by all that show an age. */
export function useNow(): number {
  useEffect(() => {
    if (clocks++ === 0) timer = setInterval(() => (now.value = Date.now()), 1000);
    return () => {
      if (--clocks === 0) clearInterval(timer);
    };
  }, []);
  return now.value;
}
