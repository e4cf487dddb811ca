/** Labels, written one a row. */
import { useId, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { type LabelDraft, type Labels, MOST_LABELS, readLabels } from "./label-rules";
import { Button } from "./parts";

export interface LabelsInput {
  draft: LabelDraft;
  write: (draft: LabelDraft) => void;
  problems: Record<number, string>;
  /** What the service says of them. */
  refusal: string;
  /** What is written; throws when something is wrong with it, which is then said beside it. */
  read: () => Labels;
  /** Say what the service finds wrong, if that is about labels. */
  blame: (failure: unknown) => void;
}

export function useLabels(initial: Labels = {}): LabelsInput {
  const [draft, setDraft] = useState<LabelDraft>(() => Object.entries(initial));
  const [problems, setProblems] = useState<Record<number, string>>({});
  const [refusal, setRefusal] = useState("");
  const write = (changed: LabelDraft) => {
    setDraft(changed);
    setProblems({});
    setRefusal("");
  };
  const read = () => {
    const found = readLabels(draft);
    setProblems(found.problems);
    setRefusal("");
    if (Object.keys(found.problems).length) throw new Error("The labels aren't what they should be.");
    return found.labels;
  };
  const blame = (failure: unknown) => {
    if (failure instanceof ApiError && /^labels\b/.test(failure.details.field ?? "")) setRefusal(failure.message);
  };
  return { draft, write, problems, refusal, read, blame };
}

export function LabelFields({ input }: { input: LabelsInput }) {
  const { draft, write, problems, refusal } = input;
  const id = useId();
  const rows = useRef<HTMLFieldSetElement>(null);
  const set = (row: number, key: string, value: string) => write(draft.map((label, at) => (at === row ? [key, value] : label)));
  const add = () => {
    write([...draft, ["", ""]]);
    // The row is there once it is drawn.
    requestAnimationFrame(() => [...rows.current!.querySelectorAll<HTMLElement>(".label-row")].at(-1)?.querySelector("input")?.focus());
  };
  return (
    <fieldset class="labels" ref={rows}>
      <legend>Labels</legend>
      {draft.map(([key, value], row) => {
        const problem = problems[row];
        const shared = { spellcheck: false, autoComplete: "off", "aria-invalid": Boolean(problem), "aria-describedby": problem ? `${id}-${row}` : undefined };
        return (
          <div class="field" key={row}>
            <div class="label-row">
              <input {...shared} aria-label={`Key of label ${row + 1}`} placeholder="team" value={key} onInput={(event) => set(row, event.currentTarget.value, value)} />
              <input {...shared} aria-label={`Value of label ${row + 1}`} placeholder="video" value={value} onInput={(event) => set(row, key, event.currentTarget.value)} />
              <Button look="plain" icon="cancel" label={`Remove label ${row + 1}`} onClick={() => write(draft.filter((_, at) => at !== row))} />
            </div>
            {problem && (
              <span class="problem" id={`${id}-${row}`}>
                {problem}
              </span>
            )}
          </div>
        );
      })}
      <div class="field">
        {refusal && <span class="problem">{refusal}</span>}
        <span class="hint">To find it by.</span>
        {draft.length < MOST_LABELS && (
          <div>
            <Button look="plain" icon="submit" onClick={add}>
              Add a label
            </Button>
          </div>
        )}
      </div>
    </fieldset>
  );
}
