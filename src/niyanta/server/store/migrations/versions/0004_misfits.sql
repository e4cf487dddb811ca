-- A workload remembers which versions of its handler its input doesn't fit.
-- The release before this one doesn't know the column: it neither sets nor heeds it. Where it places a workload wrongly,
-- the worker refuses.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workloads ADD COLUMN misfits text COLLATE "C";
COMMENT ON COLUMN workloads.misfits IS 'Forms of its type''s input that its own does not fit (domain/forms.py), with spaces between; NULL for none';
CREATE OR REPLACE VIEW workload_states AS
SELECT customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id, incarnation,
       scheduled_from, event_sequence, progress_percent, progress_message, retry_count, failure_count, death_streak,
       checkpoint_sequence, pause_phase, ready, available_at, scheduled_at, started_at, attempt_started_at, paused_at,
       completed_at, error_message, result_json, placement_key, config_snapshot, timeout_seconds, misfits
  FROM workloads;
