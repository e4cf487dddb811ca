/** Figures and times as people read them. */

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const MOMENT = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });

export const number = (value: number): string => NUMBER.format(value);
export const compact = (value: number): string => (value < 10_000 ? NUMBER.format(value) : COMPACT.format(value));
export const clock = (at: string | number | Date): string => CLOCK.format(new Date(at));
export const moment = (at: string | number | Date): string => MOMENT.format(new Date(at));
export const day = (at: string | number | Date): string => DAY.format(new Date(at));
/** The date so many days ago, UTC, as the API takes it. */
export const daysAgo = (count: number): string => new Date(Date.now() - count * 86_400_000).toISOString().slice(0, 10);
export const percent = (share: number, digits = 0): string => `${(100 * share).toFixed(digits)} %`;
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;

/** A span of time in at most two units: `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) seconds = 0;
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const units: [number, string, number, string][] = [
    [60, "min", 1, "s"],
    [3600, "h", 60, "min"],
    [86_400, "d", 3600, "h"],
  ];
  const [large, largeName, small, smallName] = whole < 3600 ? units[0]! : whole < 86_400 ? units[1]! : units[2]!;
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

export const between = (from: string, to: string | number | Date): number =>
  (new Date(to).getTime() - new Date(from).getTime()) / 1000;

/** `12 s ago`, or `in 5 min` for what is to come: in one unit, as it is read at a glance. */
export function ago(at: string, now: number): string {
  const seconds = (now - new Date(at).getTime()) / 1000;
  if (Math.abs(seconds) < 1.5) return "now";
  const span = duration(Math.round(Math.abs(seconds))).split(" ").slice(0, 2).join(" ");
  return seconds >= 0 ? `${span} ago` : `in ${span}`;
}

/** What an id shows where there is little room; the whole is in its title. */
export const shortId = (id: string): string => (id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-7)}` : id);

export const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
