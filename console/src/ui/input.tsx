/** What a workload is given, written in a form made of its type's schema, or as JSON. */
import { useState } from "preact/hooks";
import type { Json } from "../types";
import { Field, say, Switch } from "./parts";
import { type Draft, draftOf, type FieldPlan, planOf, valueOf } from "./schema";
import { SchemaForm } from "./schema-form";

type Mode = "form" | "json";

interface Written {
  mode: Mode;
  draft: Draft;
  text: string;
}

export interface Input {
  fields: FieldPlan[] | undefined;
  written: Written;
  write: (changes: Partial<Written>) => void;
  problems: Record<string, string>;
  /** What is written; undefined when it can't be read, which is then said beside it. */
  read: () => Json | undefined;
  /** Say what the service finds wrong, by JSON pointer. */
  blame: (problems: Record<string, string>) => void;
}

/**
 * @param of Names what is written: with another name it begins anew.
 * @param schema The type's; null when there is none, then it is JSON.
 * @param initial What stands there at first. What a form can't hold is shown as JSON.
 */
export function useInput(of: string, schema: Json, initial: Json = {}): Input {
  const fields = planOf(schema);
  const key = `${of} ${fields ? "form" : "json"}`;
  const fresh = (): Written => {
    const draft = fields ? draftOf(fields, initial) : {};
    const holds = fields !== undefined && (isSame(initial, {}) || isSame(valueOf(fields, draft, {}), initial));
    return { mode: holds ? "form" : "json", draft, text: JSON.stringify(initial, null, 2) };
  };
  const [state, setState] = useState(() => ({ key, written: fresh(), problems: {} as Record<string, string> }));
  const mine = state.key === key ? state : { key, written: fresh(), problems: {} };
  const { written } = mine;
  const blame = (problems: Record<string, string>) => setState({ ...mine, problems });
  const read = (): Json | undefined => {
    const problems: Record<string, string> = {};
    let value: Json | undefined;
    if (written.mode === "form" && fields) value = valueOf(fields, written.draft, problems);
    else {
      try {
        value = JSON.parse(written.text) as Json;
      } catch (problem) {
        problems[""] = `This isn't JSON: ${(problem as Error).message}`;
      }
    }
    blame(problems);
    return Object.keys(problems).length ? undefined : value;
  };
  return { fields, written, write: (changes) => setState({ ...mine, written: { ...written, ...changes } }), problems: mine.problems, read, blame };
}

export function InputModes({ input }: { input: Input }) {
  const { fields, written, write } = input;
  if (!fields) return null;
  const show = (mode: Mode) => {
    if (mode === written.mode) return;
    if (mode === "json") return write({ mode, text: JSON.stringify(valueOf(fields, written.draft, {}), null, 2) });
    try {
      write({ mode, draft: draftOf(fields, JSON.parse(written.text) as Json) });
    } catch {
      say("What stands there isn't JSON; the form can't show it", true);
    }
  };
  return <Switch label="How to write it" value={written.mode} onChange={show} options={[["form", "Form"], ["json", "JSON"]]} />;
}

export function InputFields({ input }: { input: Input }) {
  const { fields, written, write, problems } = input;
  if (written.mode === "form" && fields) {
    if (!fields.length) return <p class="soft">This type takes no input.</p>;
    return <SchemaForm fields={fields} draft={written.draft} onChange={(draft) => write({ draft })} problems={problems} />;
  }
  const wrong = Object.entries(problems).map(([at, problem]) => `${at} ${problem}`.trim());
  return (
    <Field label="Input as JSON" problem={wrong.join("; ") || undefined} hint={fields ? undefined : "This type has no schema, so there is no form for it."}>
      {(attributes) => <textarea {...attributes} name="input" rows={10} spellcheck={false} value={written.text} onInput={(event) => write({ text: event.currentTarget.value })} />}
    </Field>
  );
}

/** Whether two values are the same JSON, in whatever order their names stand. */
export function isSame(one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true;
  if (!one || !other || typeof one !== "object" || typeof other !== "object" || Array.isArray(one) !== Array.isArray(other)) return false;
  const [left, right] = [one as Record<string, Json>, other as Record<string, Json>];
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => isSame(left[name], right[name]));
}
