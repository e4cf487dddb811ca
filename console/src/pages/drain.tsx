/** A worker's drain: how it is asked for, and how far it has come. */
import { useState } from "preact/hooks";
import { get, post } from "../api";
import { duration, plural, shortId } from "../format";
import { useLoaded } from "../live";
import type { DrainMode, Status, Worker } from "../types";
import { Badge, FormDialog, Meter, Problem } from "../ui/parts";

type Outcome = "running" | "moving" | "waiting" | "moved" | "paused" | "finished";

interface Drained {
  customer_id: string;
  workload_id: string;
  workload_type: string;
  outcome: Outcome;
  reason: string | null;
  status: Status;
  moved_to: string | null;
  checkpoint_sequence: number | null;
  seconds_lost: number;
}

interface Report {
  mode: DrainMode;
  given_by: string;
  remaining: number;
  workloads: Drained[];
}

const WAYS: [DrainMode, string, string][] = [
  ["move", "Move what it runs", "Each workload goes on elsewhere from its next checkpoint, so that nothing is done again."],
  ["finish", "Let it finish what it runs", "What it runs ends there, however long that takes."],
];
const TONES: Record<Outcome, "" | "run" | "move" | "good" | "warn"> = { running: "run", moving: "move", waiting: "warn", moved: "good", paused: "warn", finished: "good" };
const MOVING_MS = 1500;
const STILL_MS = 15_000;

const pathOf = (worker: Worker) => `/admin/workers/${encodeURIComponent(worker.worker_id)}/drain`;

export function Drain({ worker, onDone, onClose }: { worker: Worker; onDone: () => void; onClose: () => void }) {
  const [mode, setMode] = useState<DrainMode>("move");
  return (
    <FormDialog title={`Drain ${worker.worker_id}?`} verb="Drain it" work={() => post(pathOf(worker), { mode }).then(onDone)} done={`${worker.worker_id} gets nothing new`} onClose={onClose}>
      <p class="soft">It gets nothing new, also after a restart, until it is let work again.</p>
      <fieldset class="field">
        <legend>What it runs</legend>
        {WAYS.map(([way, words, hint]) => (
          <label class="check" key={way}>
            <input type="radio" name="mode" value={way} checked={mode === way} onChange={() => setMode(way)} />
            <span>
              {words}
              <span class="hint block">{hint}</span>
            </span>
          </label>
        ))}
      </fieldset>
    </FormDialog>
  );
}

/** What became of each workload that the worker had, as it happens. */
export function DrainReport({ worker }: { worker: Worker }) {
  const [over, setOver] = useState(false);
  const { data, error, reload } = useLoaded(
    `${pathOf(worker)} ${worker.standing_order!.mode}`,
    async (stop) => {
      const report = await get<Report>(pathOf(worker), undefined, stop);
      setOver(!report.remaining);
      return report;
    },
    over ? STILL_MS : MOVING_MS,
  );
  if (error && !data) return <Problem error={error} retry={reload} />;
  if (!data) return null;
  const { remaining, workloads, mode } = data;
  const lost = workloads.reduce((sum, one) => sum + one.seconds_lost, 0);
  return (
    <div class="drain">
      <div class="small" role="status">
        <b>{remaining ? `${plural(remaining, "workload")} still here` : "Nothing is left: the machine can go"}</b>
        <span class="soft">
          {" "}
          · {mode === "move" ? "by moving" : "by finishing"}
          {workloads.length > 0 && ` · ${lostOf(lost)} lost`}
        </span>
      </div>
      {workloads.length > 0 && <Meter label="Left, of what it had" value={workloads.length - remaining} most={workloads.length} quiet />}
      {workloads.length > 0 && (
        <ul class="list small" aria-label={`What ${worker.worker_id} had`}>
          {workloads.map((one) => (
            <li key={one.workload_id}>
              <div>
                <span class="mono grow" title={`${one.workload_id} of ${one.customer_id}, ${one.workload_type}`}>
                  {shortId(one.workload_id)}
                </span>
                <Badge tone={TONES[one.outcome]}>{one.moved_to ? `moved to ${one.moved_to}` : one.outcome}</Badge>
                <span class="faint wide-line">{told(one)}</span>
              </div>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const lostOf = (seconds: number) => (seconds > 0 ? `${duration(seconds)} of work` : "no work");

function told(one: Drained): string {
  const words = [
    one.workload_type,
    one.checkpoint_sequence && `checkpoint ${one.checkpoint_sequence}`,
    (one.outcome === "moved" || one.outcome === "waiting") && `${lostOf(one.seconds_lost)} lost`,
    one.reason,
  ];
  return words.filter(Boolean).join(" · ");
}
