import { useState } from "preact/hooks";
import { ApiError, call, newKey } from "../api";
import { useLoaded } from "../live";
import { address, go, place, setQuery } from "../router";
import { AffinityFields, affinityOf, NO_AFFINITY } from "../ui/affinity";
import { InputFields, InputModes, useInput } from "../ui/input";
import { LabelFields, useLabels } from "../ui/labels";
import { Button, Card, Field, Note, Options, Page, Problem, say } from "../ui/parts";
import { loadTypes } from "./type-names";

export function SubmitPage() {
  const types = useLoaded("types", loadTypes);
  const kind = place.value.query.get("type") ?? "";
  const input = useInput(kind, types.data?.types.find((one) => one.name === kind)?.schema ?? null);
  const [priority, setPriority] = useState("");
  const [timeout, setTimeout_] = useState("");
  const [affinity, setAffinity] = useState(NO_AFFINITY);
  const labels = useLabels();
  const [needsType, setNeedsType] = useState(false);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setNeedsType(!kind);
    setProblem("");
    const input_params = input.read();
    if (!kind || input_params === undefined) return;
    setBusy(true);
    try {
      const affinity_rules = affinityOf(affinity);
      const labelled = labels.read();
      const made = await call<{ workload_id: string }>("POST", "/workloads", {
        body: {
          workload_type: kind,
          input_params,
          ...(priority ? { priority: Number(priority) } : {}),
          ...(timeout ? { timeout_seconds: Number(timeout) } : {}),
          ...(affinity_rules ? { affinity_rules } : {}),
          ...(Object.keys(labelled).length ? { labels: labelled } : {}),
        },
        headers: { "Idempotency-Key": newKey() },
      });
      say("Submitted: it is stored and can't be lost");
      go(address(`/workloads/${made.workload_id}`));
    } catch (failure) {
      setProblem((failure as Error).message);
      labels.blame(failure);
      if (failure instanceof ApiError) input.blame(inputProblems(failure));
      setBusy(false);
    }
  };
  return (
    <Page title="Submit a workload" lead="What is accepted is stored, and runs to its end whatever happens to machines.">
      <form class="stack" noValidate onSubmit={(event) => void submit(event)}>
        {types.error && <Problem error={types.error} retry={types.reload} />}
        <Card title="What is to run">
          <div class="fields">
            <Field label="Type" problem={needsType && !kind ? "Choose a type." : undefined} hint={types.data && !types.data.types.length ? "No worker serves a type, and none is configured." : undefined}>
              {(attributes) => (
                <select {...attributes} name="workload_type" value={kind} onChange={(event) => setQuery({ type: event.currentTarget.value })}>
                  <Options value={kind} options={[["", "Choose a type"], ...(types.data?.types ?? []).map(({ name }) => [name, name] as const)]} />
                </select>
              )}
            </Field>
            <Field label="Priority (optional)" hint="0 to 1,000, higher goes first; 10 by default.">
              {(attributes) => <input {...attributes} name="priority" type="number" min={0} max={1000} value={priority} onInput={(event) => setPriority(event.currentTarget.value)} />}
            </Field>
            <Field label="Time-out in seconds (optional)" hint="Of one attempt.">
              {(attributes) => <input {...attributes} name="timeout" type="number" min={1} value={timeout} onInput={(event) => setTimeout_(event.currentTarget.value)} />}
            </Field>
            <AffinityFields draft={affinity} onChange={setAffinity} />
            <LabelFields input={labels} />
          </div>
        </Card>
        {kind && (
          <Card title="Input" tools={<InputModes input={input} />}>
            <InputFields input={input} />
          </Card>
        )}
        {problem && <Note kind="bad">{problem}</Note>}
        <div class="actions">
          <Button type="submit" look="main" disabled={busy}>
            {busy ? "Submitting …" : "Submit"}
          </Button>
        </div>
      </form>
    </Page>
  );
}

/** What the service finds wrong with an input, by JSON pointer within it. */
export function inputProblems(failure: ApiError): Record<string, string> {
  return Object.fromEntries((failure.details.errors ?? []).map(({ pointer, message }) => [pointer.replace(/^\/input_params/, ""), message]));
}
