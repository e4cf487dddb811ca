/** A workload's history, read on as it grows. */
import { useRef } from "preact/hooks";
import { get } from "../api";
import { type Loaded, useLoaded } from "../live";
import type { AuditEvent, Pagination } from "../types";

const PAGE = 100;
const MOST_EVENTS = 5000;
const EVERY_MS = 1500;

interface Known {
  id: string;
  events: AuditEvent[];
  /** Leads to the last page, and how many events stand before that: only that page can have grown. */
  cursor: string | null;
  before: number;
}

const nothing = (id: string): Known => ({ id, events: [], cursor: null, before: 0 });

/** From the last page that is known to the end; the same list when nothing has been added. */
async function readOn(known: Known, stop: AbortSignal): Promise<AuditEvent[]> {
  while (known.before < MOST_EVENTS) {
    const page: { events: AuditEvent[]; pagination: Pagination } = await get(`/workloads/${known.id}/audit`, { limit: PAGE, cursor: known.cursor }, stop);
    const grown = known.before + page.events.length > known.events.length;
    if (grown) known.events = [...known.events.slice(0, known.before), ...page.events];
    if (!page.pagination.has_more) break;
    known.before += page.events.length;
    known.cursor = page.pagination.next_cursor;
  }
  return known.events;
}

/** The whole history; read on every so often until it is over. */
export function useHistory(id: string, wanted: boolean, over: boolean): Loaded<AuditEvent[]> {
  const known = useRef(nothing(id));
  if (known.current.id !== id) known.current = nothing(id);
  const mine = known.current;
  return useLoaded(wanted ? `history ${id}` : undefined, (stop) => readOn(mine, stop), over ? 0 : EVERY_MS);
}
