/** Stacked bars over time, with the same figures as a table for those who can't see them. */
import { compact, number } from "../format";

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

const WIDTH = 600;
const HEIGHT = 150;
const FOOT = 20;

export function Bars({ label, bars, parts, format = number }: { label: string; bars: Bar[]; parts: Part[]; format?: (value: number) => string }) {
  const sums = bars.map((bar) => bar.parts.reduce((sum, part) => sum + part, 0));
  const most = Math.max(1e-9, ...sums);
  const step = WIDTH / Math.max(1, bars.length);
  const gap = Math.min(6, step * 0.25);
  return (
    <figure>
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT + FOOT}`} role="img" aria-label={label}>
        {[0, 0.5, 1].map((share) => (
          <line key={share} class="grid" x1="0" x2={WIDTH} y1={HEIGHT - share * (HEIGHT - 16)} y2={HEIGHT - share * (HEIGHT - 16)} />
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
      <table class="hidden-text">
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

export const OUTCOMES: Part[] = [
  { name: "completed", fill: "fill-good" },
  { name: "failed", fill: "fill-bad" },
  { name: "other", fill: "fill-quiet" },
];
