/** Labels as they are written: what the service takes, and what is wrong with the rest. */

export type Labels = Record<string, string>;

/** Rows of key and value, some of them maybe empty. */
export type LabelDraft = readonly (readonly [key: string, value: string])[];

export const MOST_LABELS = 16;
const WORD = "[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?";
const KEY = new RegExp(`^${WORD}$`);
const VALUE = new RegExp(`^(?:${WORD})?$`);
const SIGNS = "takes up to 63 letters and digits and, between these, - _ . and /";

export interface ReadLabels {
  labels: Labels;
  /** What is wrong, by the number of its row. */
  problems: Record<number, string>;
}

/** What a draft means; rows without key and value mean nothing. */
export function readLabels(draft: LabelDraft): ReadLabels {
  const labels: Labels = {};
  const problems: Record<number, string> = {};
  draft.forEach(([writtenKey, writtenValue], row) => {
    const [key, value] = [writtenKey.trim(), writtenValue.trim()];
    if (!key && !value) return;
    if (!key) problems[row] = "A label needs a key.";
    else if (!KEY.test(key)) problems[row] = `A key ${SIGNS}.`;
    else if (!VALUE.test(value)) problems[row] = `A value ${SIGNS}.`;
    else if (Object.hasOwn(labels, key)) problems[row] = "This key stands above already.";
    else if (Object.keys(labels).length === MOST_LABELS) problems[row] = `There may be ${MOST_LABELS} labels.`;
    else labels[key] = value;
  });
  return { labels, problems };
}
