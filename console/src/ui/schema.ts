/** What a JSON Schema says of a form: which fields there are, and what each takes. */
import type { Json } from "../types";

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  examples?: Json[];
  enum?: Json[];
  const?: Json;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
  $defs?: Record<string, Schema>;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  format?: string;
  additionalProperties?: boolean | Schema;
  [keyword: string]: unknown;
}

export type Kind = "text" | "number" | "integer" | "boolean" | "choice" | "texts" | "object" | "json";

export interface FieldPlan {
  name: string;
  label: string;
  kind: Kind;
  required: boolean;
  schema: Schema;
  choices: Json[];
  /** Of an object. */
  fields: FieldPlan[];
}

const DEEPEST = 4;

/** What a reference means; the schema itself when it is none. */
export function resolved(schema: Schema, root: Schema, depth = 0): Schema {
  const path = schema.$ref;
  if (typeof path !== "string" || depth > 8) return schema;
  let found: unknown = root;
  for (const part of path.replace(/^#\/?/, "").split("/")) {
    found = (found as Record<string, unknown> | undefined)?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  const { $ref: _, ...beside } = schema;
  return found && typeof found === "object" ? { ...resolved(found as Schema, root, depth + 1), ...beside } : beside;
}

/** One that may be null as what it is otherwise. */
function withoutNull(schema: Schema, root: Schema): Schema {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const rest = choices.map((one) => resolved(one, root)).filter((one) => one.type !== "null");
    if (rest.length === 1) {
      const { anyOf: _, oneOf: __, ...beside } = schema;
      return { ...rest[0], ...beside };
    }
    const constants = rest.flatMap((one) => (one.const !== undefined ? [one.const] : (one.enum ?? [])));
    if (constants.length && rest.every((one) => one.const !== undefined || one.enum)) return { ...schema, enum: constants };
  }
  if (Array.isArray(schema.type)) {
    const rest = schema.type.filter((type) => type !== "null");
    if (rest.length === 1) return { ...schema, type: rest[0]! };
  }
  return schema;
}

function kindOf(schema: Schema, root: Schema, depth: number): Kind {
  const scalarChoices = schema.enum?.filter((choice) => choice !== null);
  if (schema.const !== undefined || (scalarChoices?.length && scalarChoices.every((choice) => typeof choice !== "object"))) return "choice";
  if (schema.type === "string") return "text";
  if (schema.type === "integer" || schema.type === "number" || schema.type === "boolean") return schema.type;
  if (schema.type === "array" && schema.items && resolved(schema.items, root).type === "string" && !resolved(schema.items, root).enum) return "texts";
  if (schema.type === "object" && schema.properties && depth < DEEPEST) return "object";
  return "json";
}

/** The fields of an object's schema; undefined when it says too little for a form. */
export function planOf(schema: Json | Schema, root?: Schema, depth = 0): FieldPlan[] | undefined {
  if (!schema || typeof schema !== "object" || Array.isArray(schema)) return undefined;
  const top = root ?? (schema as Schema);
  const object = resolved(schema as Schema, top);
  if (!object.properties) return undefined;
  const required = new Set(object.required ?? []);
  return Object.entries(object.properties).map(([name, given]) => {
    const plain = withoutNull(resolved(given, top), top);
    const kind = kindOf(plain, top, depth);
    const label = plain.title && plain.title.toLowerCase() !== name.toLowerCase() && depth >= 0 && !plain.$defs && kind !== "object" ? plain.title : named(name);
    return {
      name,
      label,
      kind,
      required: required.has(name),
      schema: plain,
      choices: plain.const !== undefined ? [plain.const] : (plain.enum ?? []).filter((choice) => choice !== null),
      fields: kind === "object" ? (planOf(plain, top, depth + 1) ?? []) : [],
    };
  });
}

function named(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What stands in a form: texts as they were typed, by field. */
export type Draft = { [name: string]: string | boolean | Draft | undefined };

/** The JSON that a draft means; a field that was left empty is left out. */
export function valueOf(fields: FieldPlan[], draft: Draft, problems: Record<string, string>, path = ""): Record<string, Json> {
  const found: Record<string, Json> = {};
  for (const field of fields) {
    const at = `${path}/${field.name}`;
    const given = draft[field.name];
    if (field.kind === "object") {
      const inner = valueOf(field.fields, (given as Draft | undefined) ?? {}, {}, at);
      if (!field.required && !Object.keys(inner).length) continue;
      found[field.name] = valueOf(field.fields, (given as Draft | undefined) ?? {}, problems, at);
      continue;
    }
    if (given === undefined || given === "") {
      if (field.required && field.kind !== "boolean") problems[at] = "This is needed.";
      if (field.required && field.kind === "boolean") found[field.name] = false;
      continue;
    }
    const value = scalar(field, given as string | boolean);
    if (value === undefined) problems[at] = field.kind === "json" ? "This isn't JSON." : field.kind === "integer" ? "This must be a whole number." : "This must be a number.";
    else found[field.name] = value;
  }
  return found;
}

function scalar(field: FieldPlan, given: string | boolean): Json | undefined {
  switch (field.kind) {
    case "boolean":
      return given === true || given === "true";
    case "integer":
    case "number": {
      const value = Number(given);
      return Number.isFinite(value) && (field.kind === "number" || Number.isInteger(value)) ? value : undefined;
    }
    case "choice":
      return field.choices.find((choice) => String(choice) === given);
    case "texts":
      return String(given).split("\n").map((line) => line.trim()).filter(Boolean);
    case "json":
      try {
        return JSON.parse(String(given)) as Json;
      } catch {
        return undefined;
      }
    default:
      return String(given);
  }
}

/** A draft that means this value, as far as the form can hold it. */
export function draftOf(fields: FieldPlan[], value: Json): Draft {
  const given = value && typeof value === "object" && !Array.isArray(value) ? value : {};
  const draft: Draft = {};
  for (const field of fields) {
    const one = given[field.name];
    if (one === undefined || one === null) continue;
    if (field.kind === "object") draft[field.name] = draftOf(field.fields, one);
    else if (field.kind === "boolean") draft[field.name] = one === true ? "true" : "false";
    else if (field.kind === "texts" && Array.isArray(one)) draft[field.name] = one.join("\n");
    else if (field.kind === "json") draft[field.name] = JSON.stringify(one, null, 2);
    else draft[field.name] = String(one);
  }
  return draft;
}
