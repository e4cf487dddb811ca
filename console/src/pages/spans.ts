/** How far back one looks, as an address has it: in hours. */
const HOUR = 3_600_000;

export const SPANS = [["", "All time"], ["1", "Last hour"], ["24", "Last day"], ["168", "Last week"], ["720", "Last 30 days"]] as const;

/** When that began; undefined for all time. */
export const sinceOf = (hours: string): string | undefined => (Number(hours) > 0 ? new Date(Date.now() - Number(hours) * HOUR).toISOString() : undefined);
