/** Line icons, 16 by 16; decoration only, so hidden from screen readers. */

const PATHS = {
  overview: "M2 9.5 8 3l6 6.5M4 8v5.5h8V8",
  workloads: "M2.5 4h11M2.5 8h11M2.5 12h7",
  submit: "M8 3v10M3 8h10",
  failures: "M8 2.5 14.5 13.5h-13ZM8 6.5v3M8 11.5v.2",
  types: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z",
  usage: "M3 13V8M8 13V3M13 13V6",
  keys: "M5 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM7.5 8h6M11 8v2.5M13.5 8v2",
  fleet: "M2.5 3.5h11v3.5h-11zM2.5 9h11v3.5h-11zM5 5.2v.2M5 10.7v.2",
  fairness: "M8 2.5v11M4 13.5h8M2.5 5h11M2.5 5 1 9h3ZM13.5 5 12 9h3Z",
  customers: "M8 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM3 13.5c.5-3 2.5-4 5-4s4.5 1 5 4",
  system: "M2.5 8h2.5l2-5 3 10 2-5h2",
  audit: "M4 2.5h6l2.5 2.5v8.5h-8.5zM6 7h4M6 10h4",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  resume: "M5 3.5v9l7-4.5Z",
  cancel: "M4 4l8 8M12 4l-8 8",
  edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3ZM9 4.7 11.3 7",
  replay: "M3 8a5 5 0 1 0 1.5-3.5M4.5 2v3h3",
  fork: "M5 13V3M5 9c0-2 6-1 6-5M3 5l2-2 2 2M9 5.5 11 3.5l2 2",
  light: "M8 5.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5ZM8 1.5v1.5M8 13v1.5M1.5 8h1.5M13 8h1.5M3.5 3.5l1 1M11.5 11.5l1 1M3.5 12.5l1-1M11.5 4.5l1-1",
  dark: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z",
  leave: "M9.5 2.5h3.5v11h-3.5M2.5 8h7M6.5 5l3 3-3 3",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3l3.2 3.2",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.5v3.5M8 5v.2",
  pin: "M6 2.5h4l-.5 4 2.5 2H4l2.5-2ZM8 8.5v5",
  download: "M8 2.5v8M5 7.5l3 3 3-3M3 13.5h10",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
