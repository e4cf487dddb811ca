/** How long what is made is to be good, as one chooses it. */
const DAY = 86_400_000;

export const LIFETIMES = [["", "Never"], ["1", "In a day"], ["7", "In a week"], ["30", "In 30 days"], ["90", "In 90 days"], ["365", "In a year"]] as const;

/** The part of a body that says so, of a number of days; none for never. */
export const endOf = (days: string): { expires_at?: string } => (days ? { expires_at: new Date(Date.now() + Number(days) * DAY).toISOString() } : {});
