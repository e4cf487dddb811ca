import { useEffect, useState } from "preact/hooks";
import { ApiError, call } from "../api";
import { useLoaded } from "../live";
import { address, go, place, setQuery } from "../router";
import type { Json } from "../types";
import { Button, Card, Field, Note, Page, Problem, say, Switch } from "../ui/parts";
import { type Draft, draftOf, planOf, valueOf } from "../ui/schema";
import { SchemaForm } from "../ui/schema-form";
import { loadTypes } from "./type-names";

type Mode = "form" | "json";

export function SubmitPage() {
  const types = useLoaded("types", loadTypes);
  const kind = place.value.query.get("type") ?? "";
  const schema = types.data?.types.find((one) => one.name === kind)?.schema;
  const fields = planOf(schema ?? null);
  const [mode, setMode] = useState<Mode>("form");
  const [draft, setDraft] = useState<Draft>({});
  const [text, setText] = useState("{}");
  const [priority, setPriority] = useState("");
  const [timeout, setTimeout_] = useState("");
  const [tags, setTags] = useState("");
  const [problems, setProblems] = useState<Record<string, string>>({});
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const asForm = mode === "form" && fields !== undefined;
  useEffect(() => {
    setDraft({});
    setText("{}");
    setProblems({});
    setError(undefined);
  }, [kind]);
  const show = (next: Mode) => {
    if (next === mode) return;
    if (next === "json" && fields) setText(JSON.stringify(valueOf(fields, draft, {}), null, 2));
    if (next === "form" && fields) {
      try {
        setDraft(draftOf(fields, JSON.parse(text) as Json));
      } catch {
        say("What stands there isn't JSON; the form can't show it", true);
        return;
      }
    }
    setMode(next);
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    const found: Record<string, string> = {};
    let input: Json = {};
    if (asForm) input = valueOf(fields, draft, found);
    else {
      try {
        input = JSON.parse(text) as Json;
      } catch (problem) {
        found["input"] = `This isn't JSON: ${(problem as Error).message}`;
      }
    }
    const rules = tagsOf(tags);
    if (rules === null) found["tags"] = "Write key=value, with commas between.";
    if (!kind) found["type"] = "Choose a type.";
    setProblems(found);
    setError(undefined);
    if (Object.keys(found).length) return;
    setBusy(true);
    try {
      const made = await call<{ workload_id: string }>("POST", "/workloads", {
        body: {
          workload_type: kind,
          input_params: input,
          ...(priority ? { priority: Number(priority) } : {}),
          ...(timeout ? { timeout_seconds: Number(timeout) } : {}),
          ...(rules ? { affinity_rules: { hard_affinity: { worker_tags: rules } } } : {}),
        },
        headers: { "Idempotency-Key": crypto.randomUUID?.() ?? `console-${Date.now()}-${Math.random()}` },
      });
      say("Submitted: it is stored and can't be lost");
      go(address(`/workloads/${made.workload_id}`));
    } catch (failure) {
      refused(failure as ApiError);
      setBusy(false);
    }
  };
  const refused = (failure: ApiError) => {
    setError(failure);
    const of = (failure.details.errors ?? []).map(({ pointer, message }) => [pointer.replace(/^\/input_params/, ""), message] as const);
    setProblems(Object.fromEntries(of));
  };
  return (
    <Page title="Submit a workload" lead="What is accepted is stored, and runs to its end whatever happens to machines.">
      <form class="stack" noValidate onSubmit={(event) => void submit(event)}>
        {types.error && <Problem error={types.error} retry={types.reload} />}
        <Card title="What is to run">
          <div class="fields">
            <Field label="Type" problem={problems["type"]} hint={types.data && !types.data.types.length ? "No worker serves a type, and none is configured." : undefined}>
              {(attributes) => (
                <select {...attributes} name="workload_type" value={kind} onChange={(event) => setQuery({ type: event.currentTarget.value })}>
                  <option value="">Choose a type</option>
                  {(types.data?.types ?? []).map(({ name }) => (
                    <option key={name} value={name} selected={name === kind}>
                      {name}
                    </option>
                  ))}
                </select>
              )}
            </Field>
            <Field label="Priority (optional)" hint="0 to 100, higher goes first; 10 by default.">
              {(attributes) => <input {...attributes} name="priority" type="number" min={0} max={100} value={priority} onInput={(event) => setPriority(event.currentTarget.value)} />}
            </Field>
            <Field label="Time-out in seconds (optional)" hint="Of one attempt.">
              {(attributes) => <input {...attributes} name="timeout" type="number" min={1} value={timeout} onInput={(event) => setTimeout_(event.currentTarget.value)} />}
            </Field>
            <Field label="Worker's tags (optional)" hint="Only workers that have them all: region=eu, hardware=gpu" problem={problems["tags"]}>
              {(attributes) => <input {...attributes} name="tags" value={tags} onInput={(event) => setTags(event.currentTarget.value)} />}
            </Field>
          </div>
        </Card>
        {kind && (
          <Card title="Input" tools={fields && <Switch label="How to write it" value={mode} onChange={show} options={[["form", "Form"], ["json", "JSON"]]} />}>
            {asForm ? (
              fields.length ? (
                <SchemaForm fields={fields} draft={draft} onChange={setDraft} problems={problems} />
              ) : (
                <p class="soft">This type takes no input.</p>
              )
            ) : (
              <Field label="Input as JSON" problem={problems["input"]} hint={fields ? undefined : "This type has no schema, so there is no form for it."}>
                {(attributes) => <textarea {...attributes} name="input" rows={10} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
              </Field>
            )}
          </Card>
        )}
        {error && <Note kind="bad">{error.message}</Note>}
        <div class="actions">
          <Button type="submit" look="main" disabled={busy}>
            {busy ? "Submitting …" : "Submit"}
          </Button>
        </div>
      </form>
    </Page>
  );
}

/** Undefined for none; null when it can't be read. */
function tagsOf(text: string): Record<string, string> | undefined | null {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  if (!parts.length) return undefined;
  const pairs = parts.map((part) => part.split("=").map((side) => side.trim()));
  return pairs.every((pair) => pair.length === 2 && pair[0] && pair[1]) ? Object.fromEntries(pairs as [string, string][]) : null;
}
