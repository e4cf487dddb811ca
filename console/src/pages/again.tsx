/** A new workload made of another: a replay of one that has ended, or a fork from a checkpoint of any. */
import { useState } from "preact/hooks";
import { ApiError, newKey, post } from "../api";
import { useLoaded } from "../live";
import { address, go } from "../router";
import type { Workload } from "../types";
import { InputFields, InputModes, isSame, useInput } from "../ui/input";
import { Field, FormDialog, Options } from "../ui/parts";
import { useCheckpoints } from "./checkpoints";
import { inputProblems } from "./submit";
import { loadTypes } from "./type-names";

const WORDS = {
  replay: { title: "Replay this workload", verb: "Replay it", text: "A new workload is made of it, with the same type and time-out. This one stays as it is." },
  fork: { title: "Fork this workload", verb: "Fork it", text: "A new workload begins with what a checkpoint of this one holds. This one goes on as if nothing had happened." },
};

interface Props {
  workload: Workload;
  how: keyof typeof WORDS;
  /** The checkpoint that is proposed. */
  at?: number;
  onClose: () => void;
}

export function Again({ workload, how, at, onClose }: Props) {
  const { title, verb, text } = WORDS[how];
  const id = workload.workload_id;
  const types = useLoaded("types", loadTypes);
  const schema = types.data?.types.find((one) => one.name === workload.workload_type)?.schema ?? null;
  const input = useInput(id, schema, workload.input_params);
  const points = useCheckpoints(id).data?.filter((point) => !point.in_object_store) ?? [];
  const [from, setFrom] = useState(at ? String(at) : "");
  const [priority, setPriority] = useState(String(workload.priority));
  const [key] = useState(newKey);
  const begin = async () => {
    const given = input.read();
    if (given === undefined) throw new Error("The input isn't what it should be.");
    const body = {
      ...(isSame(given, workload.input_params) ? {} : { input_params: given }),
      ...(Number(priority) === workload.priority ? {} : { priority: Number(priority) }),
      ...(from ? { from_checkpoint: Number(from) } : {}),
    };
    try {
      const made = await post<{ workload_id: string }>(`/workloads/${id}/${how}`, body, { "Idempotency-Key": key });
      go(address(`/workloads/${made.workload_id}`));
    } catch (failure) {
      if (failure instanceof ApiError) input.blame(inputProblems(failure));
      throw failure;
    }
  };
  const first = how === "fork" ? "At its newest checkpoint" : "At the start";
  return (
    <FormDialog title={title} verb={verb} wide work={begin} done="Submitted, as a new workload" onClose={onClose}>
      <p class="soft">{text}</p>
      <div class="fields">
        <Field label="Begin" hint={points.length ? undefined : "None of its checkpoints can be begun at."}>
          {(attributes) => (
            <select {...attributes} value={from} onChange={(event) => setFrom(event.currentTarget.value)}>
              <Options value={from} options={[["", first], ...points.map((point) => [String(point.sequence), `At checkpoint ${point.sequence} (${point.progress_percent} %)`] as const)]} />
            </select>
          )}
        </Field>
        <Field label="Priority" hint="0 to 1,000, higher goes first.">
          {(attributes) => <input {...attributes} type="number" required min={0} max={1000} value={priority} onInput={(event) => setPriority(event.currentTarget.value)} />}
        </Field>
      </div>
      <div class="state-line">
        <h3 class="grow">Input</h3>
        <InputModes input={input} />
      </div>
      <InputFields input={input} />
    </FormDialog>
  );
}
