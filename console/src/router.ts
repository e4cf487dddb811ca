/** Where the reader is: the address is the state of what is shown, so that it can be kept, sent and gone back to. */
import { signal } from "@preact/signals";

const ROOT = "/console";

export interface Place {
  /** Below `/console`, without a slash at the end: `/workloads/wl_…`. */
  path: string;
  query: URLSearchParams;
}

function read(): Place {
  const path = location.pathname.slice(ROOT.length).replace(/\/+$/, "");
  return { path: path || "/", query: new URLSearchParams(location.search) };
}

export const place = signal<Place>(read());

addEventListener("popstate", () => {
  place.value = read();
});

/** The address of a place, for a link. */
export function address(path: string, query?: Record<string, string | undefined>): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const text = new URLSearchParams(given).toString();
  return ROOT + (path === "/" ? "" : path) + (text ? `?${text}` : "");
}

/** Go to an address that `address` made. */
export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  place.value = read();
  if (!replace) scrollTo(0, 0);
}

/** Change some of the query; what is undefined or empty is taken out. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const query = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  go(address(place.value.path, Object.fromEntries(query)), { replace: true });
}
