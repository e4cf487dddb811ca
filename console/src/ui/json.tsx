/** JSON as it is, in colours. */
import type { ComponentChildren } from "preact";
import type { Json } from "../types";
import { Copy } from "./parts";

function scalar(value: Json): ComponentChildren {
  const look = value === null || typeof value === "boolean" ? "word" : typeof value === "number" ? "figure-value" : "text";
  return <span class={look}>{JSON.stringify(value)}</span>;
}

function shown(value: Json, indent: string): ComponentChildren {
  if (value === null || typeof value !== "object") return scalar(value);
  const isList = Array.isArray(value);
  const entries: [string, Json][] = isList ? value.map((item, index) => [String(index), item]) : Object.entries(value);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  if (!entries.length) return open + close;
  const deeper = `${indent}  `;
  return (
    <>
      {open}
      {entries.map(([name, item], index) => (
        <span key={name}>
          {`\n${deeper}`}
          {!isList && <span class="key">{JSON.stringify(name)}</span>}
          {!isList && ": "}
          {shown(item, deeper)}
          {index < entries.length - 1 && ","}
        </span>
      ))}
      {`\n${indent}${close}`}
    </>
  );
}

export function JsonView({ value, label }: { value: Json; label: string }) {
  return (
    <pre class="json" tabIndex={0} aria-label={label} role="region">
      {shown(value, "")}
    </pre>
  );
}

export function CopyJson({ value, label }: { value: Json; label: string }) {
  return <Copy text={JSON.stringify(value, null, 2)} label={label} />;
}
