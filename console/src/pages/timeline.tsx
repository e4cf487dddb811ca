/** Which worker ran the workload when, with the checkpoints on it. */
import { between, clock, duration } from "../format";
import { useNow } from "../live";
import type { AuditEvent } from "../types";
import { Card } from "../ui/parts";
import { type Attempt, attemptsOf, type Ending } from "./attempts";

const LOOKS: Record<Ending, string> = {
  completed: "good",
  failed: "bad",
  cancelled: "quiet",
  paused: "warn",
  moved: "move",
  running: "",
  starting: "quiet",
};

export function Timeline({ events, createdAt, over }: { events: AuditEvent[]; createdAt: string; over: boolean }) {
  const now = useNow();
  const attempts = attemptsOf(events);
  const from = Date.parse(createdAt);
  const last = Math.max(from, ...events.map((event) => Date.parse(event.timestamp)));
  const to = Math.max(over ? last : now, from + 1000);
  const place = (at: number) => `${(100 * (Math.min(at, to) - from)) / (to - from)}%`;
  if (!attempts.length) {
    return (
      <Card title="Timeline">
        <p class="soft">It has not been given to a worker yet.</p>
      </Card>
    );
  }
  return (
    <Card title="Timeline" tools={<span class="faint small">{`${duration((to - from) / 1000)} ${over ? "in all" : "since its submission"}`}</span>}>
      <div class="lanes" role="list" aria-label="Attempts">
        {attempts.slice(-30).map((attempt) => (
          <div class="lane" role="listitem" key={`${attempt.number} ${attempt.from}`} aria-label={told(attempt, to)}>
            <span class="name" title={attempt.workerId}>
              {attempt.number}. {attempt.workerId}
            </span>
            <div class="track" title={told(attempt, to)}>
              <div class={`stretch ${LOOKS[attempt.ending]}`} style={{ left: place(attempt.from), right: `calc(100% - ${place(attempt.to ?? to)})` }} />
              {thinned(attempt.checkpoints).map((point) => (
                <span class="point" key={point.sequence} style={{ left: place(point.at) }} title={`Checkpoint ${point.sequence}, ${clock(point.at)}`} />
              ))}
            </div>
          </div>
        ))}
      </div>
      <div class="axis" aria-hidden="true">
        {[0, 0.5, 1].map((share) => (
          <span key={share} style={{ left: `${100 * share}%` }}>
            {clock(from + share * (to - from))}
          </span>
        ))}
      </div>
    </Card>
  );
}

/** At most so many points that they can be told apart. */
function thinned<T>(points: T[], most = 48): T[] {
  const step = Math.ceil(points.length / most);
  return step <= 1 ? points : points.filter((_, index) => (points.length - 1 - index) % step === 0);
}

function told(attempt: Attempt, now: number): string {
  const span = duration(between(new Date(attempt.from).toISOString(), attempt.to ?? now));
  const points = attempt.checkpoints.length;
  const ending = attempt.to === undefined ? `${attempt.ending} for ${span}` : `${attempt.ending} after ${span}`;
  return `Attempt ${attempt.number} on ${attempt.workerId}: ${ending}${attempt.cause ? ` (${attempt.cause})` : ""}, ${points} ${points === 1 ? "checkpoint" : "checkpoints"}`;
}
