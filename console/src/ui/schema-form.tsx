/** A form made of a JSON Schema. */
import { Field } from "./parts";
import type { Draft, FieldPlan } from "./schema";

interface FormProps {
  fields: FieldPlan[];
  draft: Draft;
  onChange: (draft: Draft) => void;
  /** By JSON pointer, as the service and `valueOf` give them. */
  problems: Record<string, string>;
  path?: string;
}

export function SchemaForm({ fields, draft, onChange, problems, path = "" }: FormProps) {
  const set = (name: string, value: string | Draft) => onChange({ ...draft, [name]: value });
  return (
    <div class="fields">
      {fields.map((field) => {
        const at = `${path}/${field.name}`;
        if (field.kind === "object") {
          return (
            <fieldset key={field.name}>
              <legend>{field.label}</legend>
              <SchemaForm fields={field.fields} draft={(draft[field.name] as Draft | undefined) ?? {}} onChange={(inner) => set(field.name, inner)} problems={problems} path={at} />
            </fieldset>
          );
        }
        return <Control key={field.name} field={field} value={(draft[field.name] as string | undefined) ?? ""} problem={problems[at]} onChange={(value) => set(field.name, value)} />;
      })}
    </div>
  );
}

function Control({ field, value, problem, onChange }: { field: FieldPlan; value: string; problem: string | undefined; onChange: (value: string) => void }) {
  const { schema, kind } = field;
  const wide = kind === "texts" || kind === "json";
  const fallback = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  return (
    <Field label={field.required ? field.label : `${field.label} (optional)`} hint={hintOf(field)} problem={problem} class={wide ? "wide" : ""}>
      {(attributes) => {
        const shared = { ...attributes, name: field.name, value, "aria-required": field.required };
        if (kind === "choice" || kind === "boolean") {
          const choices = kind === "boolean" ? ["true", "false"] : field.choices.map(String);
          const words = kind === "boolean" ? ["Yes", "No"] : choices;
          return (
            <select {...shared} onChange={(event) => onChange(event.currentTarget.value)}>
              <option value="">{fallback ? `As by default: ${fallback}` : "–"}</option>
              {choices.map((choice, index) => (
                <option key={choice} value={choice} selected={choice === value}>
                  {words[index]}
                </option>
              ))}
            </select>
          );
        }
        if (wide) return <textarea {...shared} rows={3} spellcheck={false} onInput={(event) => onChange(event.currentTarget.value)} />;
        const isNumber = kind === "integer" || kind === "number";
        return (
          <input
            {...shared}
            type={isNumber ? "number" : "text"}
            {...(isNumber ? { min: schema.minimum, max: schema.maximum, step: kind === "integer" ? 1 : "any" } : { maxLength: schema.maxLength })}
            placeholder={fallback}
            onInput={(event) => onChange(event.currentTarget.value)}
          />
        );
      }}
    </Field>
  );
}

function hintOf({ schema, kind }: FieldPlan): string {
  const { minimum, maximum } = schema;
  const range = minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}.` : minimum !== undefined ? `${minimum} or more.` : maximum !== undefined ? `${maximum} or less.` : "";
  const form = kind === "texts" ? "One a line." : kind === "json" ? "As JSON." : "";
  return [schema.description, range, form].filter(Boolean).join(" ");
}
