/** Where a workload may run, by the tags of workers, as one writes it. */
import type { Json } from "../types";
import { Field } from "./parts";

const KINDS = [
  ["hard_affinity", "Worker's tags (optional)", "Only workers that have them all: region=eu, hardware=gpu"],
  ["soft_affinity", "Preferred tags (optional)", "Workers that have them, where there is a choice."],
  ["anti_affinity", "Tags to avoid (optional)", "No worker that has them."],
] as const;
type Kind = (typeof KINDS)[number][0];

export type AffinityDraft = Record<Kind, string>;
export const NO_AFFINITY: AffinityDraft = { hard_affinity: "", soft_affinity: "", anti_affinity: "" };

/** The rules that are written; null for none. Throws what is wrong. */
export function affinityOf(draft: AffinityDraft): Json {
  const rules = KINDS.flatMap(([kind, label]) => {
    const tags = tagsOf(draft[kind], label.replace(" (optional)", ""));
    return tags ? [[kind, { worker_tags: tags }] as const] : [];
  });
  return rules.length ? Object.fromEntries(rules) : null;
}

/** What would mean these rules; undefined when they say more than tags. */
export function affinityDraft(rules: Json): AffinityDraft | undefined {
  const draft = { ...NO_AFFINITY };
  for (const [kind, rule] of Object.entries((rules ?? {}) as Record<string, Record<string, Json> | null>)) {
    const said = Object.entries(rule ?? {}).filter(([, value]) => value !== null && Object.keys(value as object).length);
    if (said.some(([name]) => name !== "worker_tags")) return undefined;
    draft[kind as Kind] = said.flatMap(([, tags]) => Object.entries(tags as object).map(([name, value]) => `${name}=${value}`)).join(", ");
  }
  return draft;
}

export function AffinityFields({ draft, onChange }: { draft: AffinityDraft; onChange: (draft: AffinityDraft) => void }) {
  return (
    <>
      {KINDS.map(([kind, label, hint]) => (
        <Field key={kind} label={label} hint={hint}>
          {(attributes) => <input {...attributes} name={kind} spellcheck={false} value={draft[kind]} onInput={(event) => onChange({ ...draft, [kind]: event.currentTarget.value })} />}
        </Field>
      ))}
    </>
  );
}

/** `region=eu, hardware=gpu` as an object; undefined for none. Throws what is wrong. */
export function tagsOf(text: string, name: string): Record<string, string> | undefined {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  const pairs = parts.map((part) => part.split("=").map((side) => side.trim()));
  if (!pairs.every((pair) => pair.length === 2 && pair[0] && pair[1])) throw new Error(`${name}: write name=value, with commas between.`);
  return pairs.length ? (Object.fromEntries(pairs) as Record<string, string>) : undefined;
}
