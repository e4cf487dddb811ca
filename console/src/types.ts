/** The bodies of the API, as its OpenAPI document has them. */

export const STATUSES = [
  "PENDING",
  "SCHEDULED",
  "RUNNING",
  "PAUSED",
  "REDISTRIBUTING",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
] as const;
export type Status = (typeof STATUSES)[number];

export const isTerminal = (status: Status): boolean => ["COMPLETED", "FAILED", "CANCELLED"].includes(status);
export const isQueued = (status: Status): boolean => status === "PENDING" || status === "REDISTRIBUTING";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Pagination {
  has_more: boolean;
  next_cursor: string | null;
  /** Of a search by labels that goes on: up to when it has looked, by submission. */
  reached_at?: string;
  total?: number;
  total_is_estimate?: boolean;
}

export interface WorkloadRow {
  workload_id: string;
  workload_type: string;
  status: Status;
  priority: number;
  progress_percent: number;
  worker_id: string | null;
  retry_count: number;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  version: number;
  labels: Record<string, string>;
}

export interface Workload extends WorkloadRow {
  customer_id: string;
  input_params: Json;
  result_data: Json;
  error_message: string | null;
  /** Of one that failed: names the failures like its own. */
  error_fingerprint: string | null;
  scheduled_at: string | null;
  estimated_start_time: string | null;
  estimated_completion_time: string | null;
  generation: number;
  checkpoint_sequence: number;
  /** Of one that runs: so much would be done again if its worker were lost now. */
  seconds_since_checkpoint: number | null;
  replayed_from: string | null;
  forked_from: string | null;
  from_checkpoint: number | null;
  timeout_seconds: number | null;
  affinity_rules: Json;
  pending_reason: string | null;
  progress_message: string | null;
  paused_at?: string | null;
  cancelled_at?: string | null;
}

export interface AuditEvent {
  event_id: number;
  event_type: string;
  timestamp: string;
  actor_type: string;
  actor_id: string;
  details: { from?: Status | null; to?: Status; attempt?: number; worker_id?: string; checkpoint_sequence?: number } & Record<
    string,
    Json | undefined
  >;
}

export interface LogLine {
  timestamp: string;
  level: "DEBUG" | "INFO" | "WARN" | "ERROR";
  message: string;
  details: Record<string, Json>;
  attempt: number;
  sequence: number;
}

export interface Limits {
  max_concurrent_workloads: number;
  max_queue_depth: number;
  rate_limit_per_sec: number;
  burst: number;
}

export interface Customer {
  customer_id: string;
  name: string;
  tier: string;
  status: string;
  limits: Limits;
  created_at: string;
}

export interface Account extends Customer {
  usage: { current_running_workloads: number; current_queue_depth: number; workloads_today: number };
}

export interface Period {
  start: string;
  count: number;
  completed: number;
  failed: number;
  cancelled: number;
  avg_duration_seconds: number | null;
}

/** How long attempts ran, how much of that was done again, and how much came to nothing. */
export interface RunSeconds {
  used: number;
  redone: number;
  lost: number;
}

export interface TypeFigures {
  workload_type: string;
  count: number;
  avg_duration_seconds: number | null;
  failure_rate: number | null;
  run_seconds: RunSeconds;
}

export interface Statistics {
  start_date: string;
  end_date: string;
  summary: {
    total_workloads: number;
    completed_workloads: number;
    failed_workloads: number;
    cancelled_workloads: number;
    total_execution_hours: number;
    run_seconds: RunSeconds;
  };
  by_day?: Period[];
  by_hour?: Period[];
  by_workload_type?: TypeFigures[];
}

export interface Config {
  config_id: string;
  workload_type: string;
  description: string;
  config_json: Json;
  resource_limits: { cpu_cores: number; memory_mb: number; disk_mb: number };
  checkpoint_interval_sec: number;
  max_retries: number;
  timeout_seconds: number | null;
  input_schema: Json;
  created_at: string;
  updated_at: string;
}

/** What a drained worker does with what it runs. */
export type DrainMode = "finish" | "move";

export interface Worker {
  worker_id: string;
  status: "HEALTHY" | "DRAINING" | "DEAD" | string;
  capabilities: string[];
  capacity_total: number;
  capacity_used: number;
  tags: Record<string, string>;
  last_heartbeat: string;
  running_workloads: string[];
  version: string;
  missing_walls: string[];
  /** The only ones whose workloads it gets; everybody's when empty. */
  customers: string[];
  registered_at: string;
  standing_order: { kind: "drain" | "remove"; mode: DrainMode | null; given_by: string; given_at: string } | null;
}

export interface ApiKey {
  key_id: string;
  customer_id: string;
  name: string;
  role: string;
  scopes: string[];
  status: string;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
  last_used_from: string | null;
}

export interface Reason {
  code: string;
  message: string;
  details: Record<string, Json>;
}

export interface TimeEstimate {
  p50: string | null;
  p90: string | null;
}

export interface Explanation {
  workload_id: string;
  status: Status;
  explained_at: string;
  reasons: Reason[];
  position: { ahead: number; is_bounded: boolean } | null;
  estimated_start: TimeEstimate | null;
  estimated_completion: TimeEstimate | null;
  accuracy: { samples: number; p50: number; p90: number } | null;
  smallest_change: string | null;
}
