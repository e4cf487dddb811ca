/** What is done to many workloads, call after call, with how far it is. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, newKey, post } from "../api";
import { number, plural } from "../format";
import { backOff, pause } from "../live";
import type { Json } from "../types";
import { Button, Dialog, Note } from "../ui/parts";

/** What one call did. */
interface Step {
  done: number;
  refused: number;
  /** In the service's words, of one that was refused. */
  problem?: string | undefined;
}

/** Calls until all is done; `ask` says what the service says until it takes the call. */
type Ask = <T>(path: string, body: unknown) => Promise<T>;
export type Steps = (ask: Ask) => AsyncGenerator<Step>;

interface ItemResult {
  error?: { message: string };
}

/** Cancel all that fit a filter. */
export const cancelFitting = (filter: Json): Steps =>
  async function* (ask) {
    for (let more = true; more; ) {
      const found = await ask<{ cancelled: number; failed: number; has_more: boolean; results: ItemResult[] }>("/workloads/batch/cancel", { filter, reason: "cancelled in the console" });
      yield { done: found.cancelled, refused: found.failed, problem: problemOf(found.results) };
      more = found.has_more && found.cancelled > 0;
    }
  };

export const cancelPicked = (ids: string[]): Steps =>
  async function* (ask) {
    const found = await ask<{ cancelled: number; failed: number; results: ItemResult[] }>("/workloads/batch/cancel", { workload_ids: ids, reason: "cancelled in the console" });
    yield { done: found.cancelled, refused: found.failed, problem: problemOf(found.results) };
  };

/** Replay all that fit a filter, which bounds when they were submitted: else replays that end meanwhile would be replayed. */
export const replayFitting = (filter: Json): Steps =>
  async function* (ask) {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const found: { accepted: number; rejected: number; next_cursor: string | null; results: ItemResult[] } = await ask("/workloads/replay", { filter, ...(cursor ? { cursor } : {}) });
      yield { done: found.accepted, refused: found.rejected, problem: problemOf(found.results) };
      cursor = found.next_cursor;
    }
  };

export const replayPicked = (ids: string[]): Steps =>
  async function* (ask) {
    for (const id of ids) {
      await ask(`/workloads/${id}/replay`, {});
      yield { done: 1, refused: 0 };
    }
  };

const problemOf = (results: ItemResult[]) => results.find((one) => one.error)?.error!.message;

interface Props {
  title: string;
  text: string;
  verb: string;
  /** "cancelled", "replayed". */
  past: string;
  danger?: boolean;
  steps: Steps;
  onClose: () => void;
}

/** Asks, does it, and tells how far it is; closing it stops after the call that is under way. */
export function BulkDialog({ title, text, verb, past, danger = false, steps, onClose }: Props) {
  const [phase, setPhase] = useState<"asked" | "running" | "over">("asked");
  const [sum, setSum] = useState({ done: 0, refused: 0, problem: "" });
  const [waiting, setWaiting] = useState("");
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);
  const run = async () => {
    setPhase("running");
    try {
      for await (const step of steps((path, body) => insist(path, body, stop.current.signal, setWaiting))) {
        setSum((before) => ({ done: before.done + step.done, refused: before.refused + step.refused, problem: before.problem || (step.problem ?? "") }));
        if (stop.current.signal.aborted) break;
      }
    } catch (error) {
      setSum((before) => ({ ...before, problem: (error as Error).message }));
    }
    setPhase("over");
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        {phase === "asked" ? (
          <p class="soft">{text}</p>
        ) : (
          <p role="status">
            <b>{plural(sum.done, "workload")}</b> {past}
            {sum.refused > 0 && `, ${number(sum.refused)} refused`}
            {phase === "running" && " …"}
          </p>
        )}
        {waiting && phase === "running" && <Note>{waiting}</Note>}
        {sum.problem && <Note kind="bad">{sum.problem}</Note>}
        <div class="actions">
          {phase === "asked" && <Button onClick={onClose}>Back</Button>}
          {phase === "asked" && (
            <Button type="submit" look={danger ? "danger" : "main"}>
              {verb}
            </Button>
          )}
          {phase === "running" && <Button onClick={() => stop.current.abort()}>Stop</Button>}
          {phase === "over" && (
            <Button look="main" onClick={onClose}>
              Close
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

/** A call that is sent again, with its key, until an answer comes that isn't "later". */
async function insist<T>(path: string, body: unknown, stop: AbortSignal, tell: (what: string) => void): Promise<T> {
  const key = newKey();
  for (let failures = 0; ; failures++) {
    try {
      const answer = await post<T>(path, body, path.endsWith("/replay") ? { "Idempotency-Key": key } : {});
      tell("");
      return answer;
    } catch (error) {
      if (!(error instanceof ApiError) || ![0, 429, 503].includes(error.status) || stop.aborted) throw error;
      tell(error.message);
      await Promise.race([pause(backOff(failures, error), stop), new Promise((done) => stop.addEventListener("abort", done, { once: true }))]);
      if (stop.aborted) throw error;
    }
  }
}
