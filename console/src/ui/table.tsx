/** A table of any length: only the rows that can be seen are there. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Column<T> {
  name: string;
  title: ComponentChildren;
  /** Of the grid, as in `minmax(120px, 1fr)`. */
  width: string;
  end?: boolean;
  /** Left out where the screen is narrow. */
  wideOnly?: boolean;
  show: (row: T) => ComponentChildren;
}

interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string;
  /** How many there are in all, when that is known. */
  total?: number | undefined;
  rowHeight?: number;
  /** Called when the end comes near. */
  onNearEnd?: () => void;
  picked?: ReadonlySet<string>;
}

const SPARE = 8;
const NARROW = matchMedia("(max-width: 860px)");

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const change = () => setNarrow(NARROW.matches);
    NARROW.addEventListener("change", change);
    return () => NARROW.removeEventListener("change", change);
  }, []);
  return narrow;
}

export function Table<T>({ label, columns, rows, keyOf, total, rowHeight = 44, onNearEnd, picked }: TableProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const narrow = useNarrow();
  const shown = columns.filter((column) => !(narrow && column.wideOnly));
  useEffect(() => {
    const element = box.current!;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - SPARE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / rowHeight) + SPARE);
  useEffect(() => {
    if (rows.length && last > rows.length - 2 * SPARE) onNearEnd?.();
  }, [last, rows.length, onNearEnd]);
  const tracks = { "--tracks": shown.map((column) => column.width).join(" ") };
  return (
    <div class="table" role="table" aria-label={label} aria-rowcount={total === undefined ? -1 : total + 1} style={tracks}>
      <div role="rowgroup">
        <div class="row head" role="row" aria-rowindex={1}>
          {shown.map((column) => (
            <span role="columnheader" key={column.name} class={column.end ? "end" : ""}>
              {column.title}
            </span>
          ))}
        </div>
      </div>
      <div class="rows" role="rowgroup" ref={box} tabIndex={0} aria-label={`${label}: rows`} style={{ height: `min(${Math.max(1, rows.length) * rowHeight}px, calc(100vh - 300px))`, minHeight: `${Math.min(rows.length, 6) * rowHeight}px` }}>
        <div role="presentation" style={{ height: `${rows.length * rowHeight}px` }}>
          {rows.slice(first, last).map((row, index) => {
            const key = keyOf(row);
            return (
              <div class={`row body ${picked?.has(key) ? "picked" : ""}`} role="row" key={key} aria-rowindex={first + index + 2} style={{ top: `${(first + index) * rowHeight}px`, height: `${rowHeight}px` }}>
                {shown.map((column) => (
                  <span role="cell" key={column.name} class={column.end ? "end" : ""}>
                    {column.show(row)}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
