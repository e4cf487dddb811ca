/** What can be done with a workload in the state that it is in. */
import { useState } from "preact/hooks";
import { call, post } from "../api";
import type { Json, Workload } from "../types";
import { isQueued, isTerminal } from "../types";
import { AffinityFields, affinityDraft, affinityOf, NO_AFFINITY } from "../ui/affinity";
import { isSame } from "../ui/input";
import { LabelFields, useLabels } from "../ui/labels";
import { Button, Confirm, Field, FormDialog, say, useAction } from "../ui/parts";
import { Again } from "./again";

type Asked = "cancel" | "change" | "replay" | "fork";

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
      {workload.checkpoint_sequence > 0 && (
        <Button icon="fork" onClick={() => setAsked("fork")}>
          Fork
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
      {(asked === "replay" || asked === "fork") && <Again workload={workload} how={asked} onClose={close} />}
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
  const labels = useLabels(workload.labels);
  const change = async () => {
    const body: Record<string, Json> = {};
    const timeout_seconds = timeout === "" ? null : Number(timeout);
    const affinity_rules = tags ? affinityOf(affinity) : (JSON.parse(rules || "null") as Json);
    if (Number(priority) !== workload.priority) body["priority"] = Number(priority);
    if (timeout_seconds !== workload.timeout_seconds) body["timeout_seconds"] = timeout_seconds;
    if (!isSame(affinity_rules, tags ? affinityOf(tags) : workload.affinity_rules)) body["affinity_rules"] = affinity_rules;
    const labelled = labels.read();
    if (!isSame(labelled, workload.labels)) body["labels"] = labelled;
    if (!Object.keys(body).length) return;
    try {
      await call("PATCH", `/workloads/${workload.workload_id}`, { body });
    } catch (failure) {
      labels.blame(failure);
      throw failure;
    }
    say("Changed: it holds from now on");
    onChanged();
  };
  return (
    <FormDialog title="Change it while it waits" verb="Change it" wide work={change} onClose={onClose}>
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
        <LabelFields input={labels} />
      </div>
    </FormDialog>
  );
}
