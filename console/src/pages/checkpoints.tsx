/** The checkpoints that are kept of a workload: what each holds, and what can be done with it. */
import { useState } from "preact/hooks";
import { call, get, post, send } from "../api";
import { number } from "../format";
import { type Loaded, useLoaded } from "../live";
import { may } from "../session";
import type { Workload } from "../types";
import { Age, Badge, Button, Empty, Plain, Problem, Skeleton, useAction } from "../ui/parts";
import { Again } from "./again";

export interface Checkpoint {
  sequence: number;
  attempt: number;
  size_bytes: number;
  encoding: string;
  progress_percent: number;
  worker_id: string | null;
  created_at: string;
  pinned: boolean;
  /** Nothing can begin at it, unless it is the last. */
  in_object_store: boolean;
}

export function useCheckpoints(id: string, every = 0): Loaded<Checkpoint[]> {
  return useLoaded(`checkpoints ${id}`, async (stop) => (await get<{ checkpoints: Checkpoint[] }>(`/workloads/${id}/checkpoints`, undefined, stop)).checkpoints, every);
}

export function Checkpoints({ workload, onChanged }: { workload: Workload; onChanged: () => void }) {
  const id = workload.workload_id;
  const { data, error, reload } = useCheckpoints(id, 3000);
  const [busy, act] = useAction();
  const [forked, setForked] = useState<number>();
  const path = `/workloads/${id}/checkpoints`;
  const write = may("workloads:write");
  const pin = (point: Checkpoint) => act(() => call(point.pinned ? "DELETE" : "PUT", `${path}/${point.sequence}/pin`), point.pinned ? "It may be dropped when others come" : "It is kept, however many come").then(reload);
  const resume = (point: Checkpoint) => act(() => post(`/workloads/${id}/resume`, { from_checkpoint: point.sequence }), `Resumed from checkpoint ${point.sequence}`).then(onChanged);
  if (error && !data) return <Problem error={error} retry={reload} />;
  if (!data) return <Skeleton />;
  if (!data.length) return <Empty icon="pin" title="No checkpoint is kept" />;
  return (
    <>
      <Plain label="Checkpoints" heads={[["Checkpoint"], ["Progress", "end"], ["Size", "end"], ["Saved"], ["By"], ["", "end"]]}>
        {data.map((point) => (
          <tr key={point.sequence}>
            <td>
              {point.sequence} <span class="faint small">attempt {point.attempt}</span> {point.pinned && <Badge tone="run">pinned</Badge>}
            </td>
            <td class="end">{point.progress_percent} %</td>
            <td class="end nowrap">{size(point.size_bytes)}</td>
            <td class="nowrap">
              <Age at={point.created_at} />
            </td>
            <td class="mono small soft">{point.worker_id ?? "–"}</td>
            <td class="end nowrap">
              {write && workload.status === "PAUSED" && (!point.in_object_store || point === data[0]) && (
                <Button disabled={busy} onClick={() => void resume(point)}>
                  Resume from it
                </Button>
              )}
              {write && !point.in_object_store && <Button look="plain" icon="fork" label={`Fork at checkpoint ${point.sequence}`} onClick={() => setForked(point.sequence)} />}
              {write && <Button look="plain" icon="pin" label={point.pinned ? `Unpin checkpoint ${point.sequence}` : `Pin checkpoint ${point.sequence}`} disabled={busy} onClick={() => void pin(point)} />}
              <Button look="plain" icon="download" label={`Download checkpoint ${point.sequence}`} disabled={busy} onClick={() => void act(() => download(`${path}/${point.sequence}`, `${id}.checkpoint-${point.sequence}`))} />
            </td>
          </tr>
        ))}
      </Plain>
      {forked && <Again workload={workload} how="fork" at={forked} onClose={() => setForked(undefined)} />}
    </>
  );
}

function size(bytes: number): string {
  if (bytes < 1024) return `${number(bytes)} B`;
  return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

/** Save what a path answers as a file; a plain link would lack the console's header. */
async function download(path: string, name: string): Promise<void> {
  const url = URL.createObjectURL(await (await send("GET", `/v1${path}`)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
