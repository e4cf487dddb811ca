/** A live feed: server-sent events, read with `fetch`, as a feed wants the console's header. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, send } from "./api";
import { backOff, pause } from "./live";
import type { Status } from "./types";

export interface FeedEvent {
  type: "ready" | "workload" | "missed" | "fleet" | "customer";
  workload_id: string;
  workload_type: string;
  status: Status;
  version: number;
  progress_percent: number;
  worker_id: string | null;
}

/** The events of one connection, until it ends. */
async function* eventsOf(response: Response): AsyncGenerator<FeedEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield JSON.parse(data.join("\n")) as FeedEvent;
    }
  }
}

/**
 * Follow a feed while the page is looked at: a page in the background would hold one of the few connections that a
 * browser opens to a server.
 *
 * @param path Below `/v1`.
 * @param onEvents Gets what came together. A `ready` or `missed` among it: read anew what is shown.
 * @returns Whether the feed is open.
 */
export function useFeed(path: string, onEvents: (events: FeedEvent[]) => void): boolean {
  const [open, setOpen] = useState(false);
  const handler = useRef(onEvents);
  handler.current = onEvents;
  useEffect(() => {
    const stop = new AbortController();
    const waiting: FeedEvent[] = [];
    const flush = setInterval(() => waiting.length && handler.current(waiting.splice(0)), 200);
    void (async () => {
      for (let failures = 0; !stop.signal.aborted; ) {
        await pause(0, stop.signal);
        const connection = new AbortController();
        const leave = () => connection.abort();
        stop.signal.addEventListener("abort", leave);
        document.addEventListener("visibilitychange", () => document.hidden && leave(), { signal: connection.signal });
        let wait = 1000;
        try {
          const response = await send("GET", `/v1${path}`, { signal: connection.signal });
          setOpen(true);
          failures = 0;
          for await (const event of eventsOf(response)) waiting.push(event);
        } catch (error) {
          if (!connection.signal.aborted) {
            wait = backOff(failures++, error instanceof ApiError ? error : new ApiError(0, "ENDED", String(error)));
          }
        }
        stop.signal.removeEventListener("abort", leave);
        leave(); // with it goes what listens for the page's being hidden
        if (stop.signal.aborted) return;
        setOpen(false);
        await pause(wait, stop.signal);
      }
    })();
    return () => {
      stop.abort();
      clearInterval(flush);
    };
  }, [path]);
  return open;
}
