/** What can be done with a workload in the state that it is in. */
import { useState } from "preact/hooks";
import { ApiError, call, newKey, post } from "../api";
import { useLoaded } from "../live";
import { address, go } from "../router";
import type { Json, Workload } from "../types";
import { isQueued, isTerminal } from "../types";
import { AffinityFields, affinityDraft, affinityOf, NO_AFFINITY } from "../ui/affinity";
import { InputFields, InputModes, isSame, useInput } from "../ui/input";
import { Button, Confirm, Field, FormDialog, Options, say, useAction } from "../ui/parts";
import { useCheckpoints } from "./checkpoints";
import { inputProblems } from "./submit";
import { loadTypes } from "./type-names";

type Asked = "cancel" | "change" | "replay";

interface Props {
  workload: Workload;
  onChanged: () => void;
}

export function Actions({ workload, onChanged }: Props) {
  const [busy, act] = useAction();
  const [asked, setAsked] = useState<Asked>();
  const { status } = workload;
  const path = `/workloads/${workload.workload_id}`;
  const run = (verb: string, done: string) => act(() => post(`${path}/${verb}`), done).then(onChanged);
  const close = () => setAsked(undefined);
  return (
    <>
      {status === "RUNNING" && (
        <Button icon="pause" disabled={busy} onClick={() => void run("pause", "Paused: its checkpoint is safe")}>
          {busy ? "Pausing …" : "Pause"}
        </Button>
      )}
      {status === "PAUSED" && (
        <Button icon="resume" look="main" disabled={busy} onClick={() => void run("resume", "Resumed: it goes on from its checkpoint")}>
          Resume
        </Button>
      )}
      {(isQueued(status) || status === "PAUSED") && (
        <Button icon="edit" onClick={() => setAsked("change")}>
          Change
        </Button>
      )}
      {isTerminal(status) ? (
        <Button icon="replay" look={status === "FAILED" ? "main" : undefined} onClick={() => setAsked("replay")}>
          Replay
        </Button>
      ) : (
        <Button icon="cancel" look="danger" disabled={busy} onClick={() => setAsked("cancel")}>
          Cancel
        </Button>
      )}
      {asked === "cancel" && <Cancel workload={workload} onChanged={onChanged} onClose={close} />}
      {asked === "change" && <Change workload={workload} onChanged={onChanged} onClose={close} />}
      {asked === "replay" && <Replay workload={workload} onClose={close} />}
    </>
  );
}

function Cancel({ workload, onChanged, onClose }: Props & { onClose: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = () => post(`/workloads/${workload.workload_id}/cancel`, reason ? { reason } : {}).then(onChanged);
  return (
    <Confirm title="Cancel this workload?" text="It ends at once and for good; its processes are stopped." verb="Cancel it" onConfirm={cancel} done="Cancelled" onClose={onClose}>
      <Field label="Reason" hint="For its history; may be left out.">
        {(attributes) => <input {...attributes} value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />}
      </Field>
    </Confirm>
  );
}

/** Only what was changed is sent, so that what somebody else changes meanwhile stays. */
function Change({ workload, onChanged, onClose }: Props & { onClose: () => void }) {
  const [priority, setPriority] = useState(String(workload.priority));
  const [timeout, setTimeout_] = useState(workload.timeout_seconds === null ? "" : String(workload.timeout_seconds));
  const tags = affinityDraft(workload.affinity_rules);
  const [affinity, setAffinity] = useState(tags ?? NO_AFFINITY);
  const [rules, setRules] = useState(tags ? "" : JSON.stringify(workload.affinity_rules, null, 2));
  const change = async () => {
    const body: Record<string, Json> = {};
    const timeout_seconds = timeout === "" ? null : Number(timeout);
    const affinity_rules = tags ? affinityOf(affinity) : (JSON.parse(rules || "null") as Json);
    if (Number(priority) !== workload.priority) body["priority"] = Number(priority);
    if (timeout_seconds !== workload.timeout_seconds) body["timeout_seconds"] = timeout_seconds;
    if (!isSame(affinity_rules, tags ? affinityOf(tags) : workload.affinity_rules)) body["affinity_rules"] = affinity_rules;
    if (!Object.keys(body).length) return;
    await call("PATCH", `/workloads/${workload.workload_id}`, { body });
    say("Changed: it holds from now on");
    onChanged();
  };
  return (
    <FormDialog title="Change how it waits" verb="Change it" wide work={change} onClose={onClose}>
      <div class="fields">
        <Field label="Priority" hint="0 to 1,000, higher goes first.">
          {(attributes) => <input {...attributes} type="number" required min={0} max={1000} value={priority} onInput={(event) => setPriority(event.currentTarget.value)} />}
        </Field>
        <Field label="Time-out in seconds" hint="Of one attempt; empty: as its type says.">
          {(attributes) => <input {...attributes} type="number" min={1} value={timeout} onInput={(event) => setTimeout_(event.currentTarget.value)} />}
        </Field>
        {tags ? (
          <AffinityFields draft={affinity} onChange={setAffinity} />
        ) : (
          <Field label="Affinity rules as JSON" hint="Empty: none." class="wide">
            {(attributes) => <textarea {...attributes} rows={8} spellcheck={false} value={rules} onInput={(event) => setRules(event.currentTarget.value)} />}
          </Field>
        )}
      </div>
    </FormDialog>
  );
}

function Replay({ workload, onClose }: { workload: Workload; onClose: () => void }) {
  const id = workload.workload_id;
  const types = useLoaded("types", loadTypes);
  const schema = types.data?.types.find((one) => one.name === workload.workload_type)?.schema ?? null;
  const input = useInput(id, schema, workload.input_params);
  const points = useCheckpoints(id).data?.filter((point) => !point.in_object_store) ?? [];
  const [from, setFrom] = useState("");
  const [priority, setPriority] = useState(String(workload.priority));
  const [key] = useState(newKey);
  const replay = async () => {
    const given = input.read();
    if (given === undefined) throw new Error("The input isn't what it should be.");
    const body = {
      ...(isSame(given, workload.input_params) ? {} : { input_params: given }),
      ...(Number(priority) === workload.priority ? {} : { priority: Number(priority) }),
      ...(from ? { from_checkpoint: Number(from) } : {}),
    };
    try {
      const made = await post<{ workload_id: string }>(`/workloads/${id}/replay`, body, { "Idempotency-Key": key });
      go(address(`/workloads/${made.workload_id}`));
    } catch (failure) {
      if (failure instanceof ApiError) input.blame(inputProblems(failure));
      throw failure;
    }
  };
  return (
    <FormDialog title="Replay this workload" verb="Replay it" wide work={replay} done="Submitted again, as a new workload" onClose={onClose}>
      <p class="soft">A new workload is made of it, with the same type and time-out. This one stays as it is.</p>
      <div class="fields">
        <Field label="Begin" hint={points.length ? "At the start, or with what a checkpoint of this one holds." : "None of its checkpoints is kept."}>
          {(attributes) => (
            <select {...attributes} value={from} onChange={(event) => setFrom(event.currentTarget.value)}>
              <Options value={from} options={[["", "At the start"], ...points.map((point) => [String(point.sequence), `At checkpoint ${point.sequence} (${point.progress_percent} %)`] as const)]} />
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
