/** One type: how it went day by day, and what holds for its workloads. */
import { useState } from "preact/hooks";
import { call, get, post } from "../api";
import { daysAgo, duration, number, percent } from "../format";
import { useLoaded } from "../live";
import { address, place, setQuery } from "../router";
import { may } from "../session";
import type { Config, Json, Statistics } from "../types";
import { Bars, dailyBars } from "../ui/chart";
import { JsonView } from "../ui/json";
import { Badge, Button, Card, Confirm, Empty, Facts, Field, FormDialog, Link, Note, Page, Problem, Skeleton, Switch } from "../ui/parts";
import { type KnownType, loadTypes } from "./type-names";

const SPANS = [["14", "14 days"], ["30", "30 days"], ["90", "90 days"]] as const;
type Span = (typeof SPANS)[number][0];

async function load(name: string, stop: AbortSignal) {
  const { types } = await loadTypes(stop);
  return types.find((one) => one.name === name) ?? null;
}

export function TypePage({ id: name }: { id: string }) {
  const { data: type, error, reload } = useLoaded(`type ${name}`, (stop) => load(name, stop));
  const span = (place.value.query.get("days") ?? "30") as Span;
  return (
    <Page
      title={name}
      back={{ href: address("/types"), name: "Types" }}
      lead={type?.config?.description || undefined}
      actions={
        <>
          <Switch label="Period" options={SPANS} value={span} onChange={(days) => setQuery({ days })} />
          <Link class="button" href={address("/workloads", { workload_type: name })}>
            Its workloads
          </Link>
          {may("workloads:write") && (
            <Link class="button main" href={address("/submit", { type: name })}>
              Submit
            </Link>
          )}
        </>
      }
    >
      <div class="stack">
        {error && <Problem error={error} retry={reload} />}
        {type === null && <Note kind="warn">No worker serves this type now, and nothing is configured for it.</Note>}
        {type && !type.isServed && <Note kind="warn">No worker serves this type now: what is submitted waits for one.</Note>}
        <Course name={name} days={Number(span)} />
        {type !== undefined && <Settings name={name} type={type} onChanged={reload} />}
        {type?.schema && (
          <Card title="Schema of its input" flush>
            <JsonView value={type.schema} label={`Input schema of ${name}`} />
          </Card>
        )}
      </div>
    </Page>
  );
}

function Course({ name, days }: { name: string; days: number }) {
  const { data, error, reload } = useLoaded(`course ${name} ${days}`, (stop) =>
    get<Statistics>("/customer/stats", { start_date: daysAgo(days - 1), end_date: daysAgo(0), group_by: "day", workload_type: name }, stop),
  );
  if (error) return <Problem error={error} retry={reload} />;
  if (!data) return <Card flush><Skeleton lines={6} /></Card>;
  const { summary } = data;
  const ended = summary.completed_workloads + summary.failed_workloads;
  return (
    <div class="columns">
      <Card title="Fails" tools={<span class="faint small">{ended ? `${percent(summary.failed_workloads / ended, 1)} of ${number(ended)} that ended` : "none has ended"}</span>}>
        <Bars label="Share of failed ones by day of submission" parts={[{ name: "failed", fill: "fill-bad" }]} format={(share) => percent(share, 1)} least={0.01} bars={dailyBars(data, days, (one) => [one.completed + one.failed ? one.failed / (one.completed + one.failed) : 0])} />
      </Card>
      <Card title="Takes on average" tools={<span class="faint small">of those that completed</span>}>
        <Bars label="Seconds from start to completion by day of submission" parts={[{ name: "on average", fill: "fill-run" }]} format={duration} least={0.001} bars={dailyBars(data, days, (one) => [one.avg_duration_seconds ?? 0])} />
      </Card>
    </div>
  );
}

function Settings({ name, type, onChanged }: { name: string; type: KnownType | null; onChanged: () => void }) {
  const config = type?.config;
  const [editing, setEditing] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const write = may("configs:write");
  return (
    <Card
      title="What holds for all its workloads"
      tools={
        write && (
          <>
            {config && (
              <Button look="danger" onClick={() => setDeleting(true)}>
                Delete
              </Button>
            )}
            <Button icon="edit" onClick={() => setEditing(true)}>
              {config ? "Change" : "Set"}
            </Button>
          </>
        )
      }
    >
      {config ? (
        <div class="stack">
          <ConfigFacts config={config} />
          {Object.keys(config.config_json as object).length > 0 && (
            <div>
              <h3>Handed to its handler</h3>
              <JsonView value={config.config_json} label="Config for the handler" />
            </div>
          )}
        </div>
      ) : (
        <Empty icon="types" title="Nothing is set: the service's own values hold" />
      )}
      {editing && <Edit name={name} config={config} onChanged={onChanged} onClose={() => setEditing(false)} />}
      {deleting && (
        <Confirm title={`Delete what is set for ${name}?`} text="The service's own values hold from then on. As long as there are workloads of the type, also ended ones, it can't be deleted." verb="Delete it" onConfirm={() => call("DELETE", `/workload-configs/${config!.config_id}`).then(onChanged)} done="Deleted" onClose={() => setDeleting(false)} />
      )}
    </Card>
  );
}

export function ConfigFacts({ config }: { config: Config }) {
  const limits = config.resource_limits;
  return (
    <Facts
      of={[
        ["Checkpoint every", duration(config.checkpoint_interval_sec)],
        ["Tried again", `${config.max_retries} times`],
        ["Time-out", config.timeout_seconds ? duration(config.timeout_seconds) : "none"],
        ["Cores", limits.cpu_cores],
        ["Memory", `${number(limits.memory_mb)} MB`],
        ["Disk", `${number(limits.disk_mb)} MB`],
        ["Input", config.input_schema ? <Badge tone="good">checked by a schema</Badge> : "as its handler says"],
      ]}
    />
  );
}

type Numbers = Record<"checkpoint_interval_sec" | "max_retries" | "timeout_seconds" | "cpu_cores" | "memory_mb" | "disk_mb", string>;
const NUMBERS: [keyof Numbers, string, string, { min: number; max: number; step?: "any"; required?: true }][] = [
  ["checkpoint_interval_sec", "Checkpoint every … seconds", "", { min: 1, max: 86_400, required: true }],
  ["max_retries", "Tried again … times", "Attempts that may fail before the workload does.", { min: 0, max: 100, required: true }],
  ["timeout_seconds", "Time-out in seconds", "Of one attempt; empty: none.", { min: 1, max: 2_592_000 }],
  ["cpu_cores", "Cores", "", { min: 0, max: 1024, step: "any", required: true }],
  ["memory_mb", "Memory in MB", "", { min: 1, max: 16_777_216, required: true }],
  ["disk_mb", "Disk in MB", "", { min: 1, max: 1_073_741_824, required: true }],
];

function Edit({ name, config, onChanged, onClose }: { name: string; config: Config | undefined; onChanged: () => void; onClose: () => void }) {
  const limits = config?.resource_limits;
  const [description, setDescription] = useState(config?.description ?? "");
  const [numbers, setNumbers] = useState<Numbers>({
    checkpoint_interval_sec: String(config?.checkpoint_interval_sec ?? 300),
    max_retries: String(config?.max_retries ?? 3),
    timeout_seconds: config?.timeout_seconds ? String(config.timeout_seconds) : "",
    cpu_cores: String(limits?.cpu_cores ?? 1),
    memory_mb: String(limits?.memory_mb ?? 512),
    disk_mb: String(limits?.disk_mb ?? 1024),
  });
  const [handed, setHanded] = useState(JSON.stringify(config?.config_json ?? {}, null, 2));
  const [schema, setSchema] = useState(config?.input_schema ? JSON.stringify(config.input_schema, null, 2) : "");
  const save = async () => {
    const { cpu_cores, memory_mb, disk_mb, timeout_seconds, ...rest } = Object.fromEntries(Object.entries(numbers).map(([field, text]) => [field, text === "" ? null : Number(text)])) as Record<keyof Numbers, number | null>;
    const body = {
      ...rest,
      timeout_seconds,
      description,
      resource_limits: { cpu_cores, memory_mb, disk_mb },
      config_json: jsonOf(handed, "What is handed to the handler") ?? {},
      input_schema: jsonOf(schema, "The schema"),
    };
    if (config) await call("PUT", `/workload-configs/${config.config_id}`, { body });
    else await post("/workload-configs", { workload_type: name, ...body });
    onChanged();
  };
  return (
    <FormDialog title={`What holds for ${name}`} verb="Save" wide work={save} done="Saved: it holds for what hasn't been given to a worker yet" onClose={onClose}>
      <Field label="Description (optional)">
        {(attributes) => <input {...attributes} maxLength={2000} value={description} onInput={(event) => setDescription(event.currentTarget.value)} />}
      </Field>
      <div class="fields">
        {NUMBERS.map(([field, label, hint, bounds]) => (
          <Field key={field} label={label} hint={hint || undefined}>
            {(attributes) => <input {...attributes} type="number" {...bounds} value={numbers[field]} onInput={(event) => setNumbers({ ...numbers, [field]: event.currentTarget.value })} />}
          </Field>
        ))}
      </div>
      <Field label="Handed to the handler, as JSON">
        {(attributes) => <textarea {...attributes} rows={4} spellcheck={false} value={handed} onInput={(event) => setHanded(event.currentTarget.value)} />}
      </Field>
      <Field label="JSON Schema that inputs must fit (optional)">
        {(attributes) => <textarea {...attributes} rows={6} spellcheck={false} value={schema} onInput={(event) => setSchema(event.currentTarget.value)} />}
      </Field>
    </FormDialog>
  );
}

function jsonOf(text: string, what: string): Json {
  try {
    return text.trim() ? (JSON.parse(text) as Json) : null;
  } catch (problem) {
    throw new Error(`${what} isn't JSON: ${(problem as Error).message}`);
  }
}
