/** Stacked bars over time, with the same figures as a table for those who can't see them. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { compact, day, number } from "../format";
import type { Period, Statistics } from "../types";

export interface Bar {
  label: string;
  /** Shown below the axis; few bars have one. */
  tick?: string | undefined;
  parts: number[];
}

export interface Part {
  name: string;
  fill: string;
}

const HEIGHT = 150;
const FOOT = 20;
const DAY = 86_400_000;

/** How wide what is drawn in is, so that its texts have the size of all others. */
function useWidth() {
  const box = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(560);
  useLayoutEffect(() => {
    const look = () => setWidth(box.current!.clientWidth || 560);
    look();
    const observer = new ResizeObserver(look);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  return [box, width] as const;
}

interface BarsProps {
  label: string;
  bars: Bar[];
  parts: Part[];
  format?: (value: number) => string;
  /** What the axis reaches to at least. */
  least?: number;
}

export function Bars({ label, bars, parts, format = number, least = 1e-9 }: BarsProps) {
  const sums = bars.map((bar) => bar.parts.reduce((sum, part) => sum + part, 0));
  const most = Math.max(least, ...sums);
  const [box, width] = useWidth();
  const step = width / Math.max(1, bars.length);
  const gap = Math.min(6, step * 0.25);
  return (
    <figure ref={box}>
      <svg class="chart" viewBox={`0 0 ${width} ${HEIGHT + FOOT}`} role="img" aria-label={label}>
        {[0, 0.5, 1].map((share) => (
          <line key={share} class="grid" x1="0" x2={width} y1={HEIGHT - share * (HEIGHT - 16)} y2={HEIGHT - share * (HEIGHT - 16)} />
        ))}
        <text x="0" y="11">
          {format === number ? compact(Math.max(...sums, 0)) : format(Math.max(...sums, 0))}
        </text>
        {bars.map((bar, index) => {
          let top = HEIGHT;
          return (
            <g key={bar.label}>
              <title>{`${bar.label}: ${parts.map((part, which) => `${format(bar.parts[which] ?? 0)} ${part.name}`).join(", ")}`}</title>
              <rect x={index * step} y="0" width={step} height={HEIGHT} fill="transparent" />
              {parts.map((part, which) => {
                const height = ((bar.parts[which] ?? 0) / most) * (HEIGHT - 16);
                top -= height;
                return height > 0 ? (
                  <rect key={part.name} class={part.fill} x={index * step + gap / 2} y={top} width={step - gap} height={height} rx={Math.min(2, height / 2)} />
                ) : null;
              })}
              {bar.tick && (
                <text x={index * step + step / 2} y={HEIGHT + 15} text-anchor={index === 0 ? "start" : "middle"}>
                  {bar.tick}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <div class="hidden-text">
        <table>
          <caption>{label}</caption>
          <thead>
            <tr>
              <th>When</th>
              {parts.map((part) => (
                <th key={part.name}>{part.name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {bars.map((bar) => (
              <tr key={bar.label}>
                <th>{bar.label}</th>
                {bar.parts.map((value, which) => (
                  <td key={which}>{format(value)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

export function Legend({ parts }: { parts: Part[] }) {
  return (
    <div class="legend" aria-hidden="true">
      {parts.map((part) => (
        <span key={part.name}>
          <svg viewBox="0 0 9 9">
            <rect class={part.fill} width="9" height="9" rx="2" />
          </svg>
          {part.name}
        </span>
      ))}
    </div>
  );
}

/** A bar for each day of a period, also for those without workloads. */
export function dailyBars(found: Statistics, count: number, parts: (one: Period) => number[]): Bar[] {
  const by = new Map((found.by_day ?? []).map((one) => [one.start.slice(0, 10), one]));
  const none: Period = { start: "", count: 0, completed: 0, failed: 0, cancelled: 0, avg_duration_seconds: null };
  const last = Date.parse(found.end_date);
  return Array.from({ length: count }, (_, index) => {
    const at = last - (count - 1 - index) * DAY;
    const tick = index % Math.ceil(count / 5) === 0 ? day(at) : undefined;
    return { label: day(at), tick, parts: parts(by.get(new Date(at).toISOString().slice(0, 10)) ?? none) };
  });
}

/** Those that completed, failed, and the others. */
export const outcomes = (one: Period): number[] => [one.completed, one.failed, Math.max(0, one.count - one.completed - one.failed)];

export const OUTCOMES: Part[] = [
  { name: "completed", fill: "fill-good" },
  { name: "failed", fill: "fill-bad" },
  { name: "other", fill: "fill-quiet" },
];
