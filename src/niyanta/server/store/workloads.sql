-- name: lock_states(customer_ids, workload_ids)
-- The states of some workloads, locked, with the database's time. Locking: in order of id, before any usage row.
SELECT s.*, now() AS db_now
  FROM traced_workload_states s
 WHERE (s.customer_id, s.workload_id) IN
       (SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[]))
 ORDER BY s.customer_id, s.workload_id FOR NO KEY UPDATE;

-- name: states(customer_ids, workload_ids)
-- The states of some workloads, not locked: for a decision whose write is guarded by the version it was made on.
SELECT s.*, now() AS db_now
  FROM unnest(:customer_ids::text[], :workload_ids::text[]) AS i (customer_id, workload_id)
  JOIN traced_workload_states s USING (customer_id, workload_id);

-- name: lock_held(worker_id, incarnation, but_types, most)
-- The states of what a worker holds, but for some types, locked; for a worker that is lost. Locking: as `lock_states`.
SELECT s.*, now() AS db_now FROM traced_workload_states s
 WHERE s.worker_id = :worker_id AND s.incarnation = :incarnation AND s.workload_type <> ALL (:but_types::text[])
 ORDER BY s.customer_id, s.workload_id LIMIT :most FOR NO KEY UPDATE;

-- name: apply_changes
-- The one statement that moves workloads. A row is written only at the version and the last event that its decision was made
-- on (and, for the leader, only while its epoch is the newest), so the deltas of the customers' counts are those of the decision; the
-- audit events, the counts and the hours' figures go with the rows that were written. An array is NULL where all changes
-- have the field's default. Gives what was written, and of what was assigned all that its worker needs. Locking: the
-- workloads' rows, the usage rows in order of customer, then the rows of the hours in which that was created of which an
-- attempt has ended, in order of their key; each is waited for as long as lock_milliseconds says, if it does.
WITH fence AS MATERIALIZED (
    SELECT epoch FROM leader_lease WHERE epoch = :epoch::bigint FOR KEY SHARE
), change AS MATERIALIZED (
    SELECT * FROM unnest(
        :customer_id::text[], :workload_id::text[], :expected_version::bigint[], :expected_events::bigint[],
        :queued_delta::int[], :running_delta::int[],
        -- Arrays of the fields that moves change, by `make generate`:
        :status::text[], :version::bigint[], :generation::bigint[], :event_count::bigint[], :worker_id::text[],
        :incarnation::text[], :scheduled_from::text[], :event_sequence::bigint[], :progress_percent::bigint[],
        :progress_message::text[], :retry_count::bigint[], :failure_count::bigint[], :death_streak::bigint[],
        :checkpoint_sequence::bigint[], :pause_phase::text[], :ready::boolean[], :available_at::timestamptz[],
        :scheduled_at::timestamptz[], :started_at::timestamptz[], :attempt_started_at::timestamptz[],
        :paused_at::timestamptz[], :completed_at::timestamptz[], :error_message::text[], :result_json::text[],
        :placement_key::bigint[], :misfits::text[]
        -- end
      ) AS c (customer_id, workload_id, expected_version, expected_events, queued_delta, running_delta,
        -- Names of the fields that moves change, by `make generate`:
        status, version, generation, event_count, worker_id, incarnation, scheduled_from, event_sequence,
        progress_percent, progress_message, retry_count, failure_count, death_streak, checkpoint_sequence,
        pause_phase, ready, available_at, scheduled_at, started_at, attempt_started_at, paused_at, completed_at,
        error_message, result_json, placement_key, misfits
        -- end
      )
     WHERE (:epoch::bigint IS NULL OR EXISTS (SELECT FROM fence))
       AND (SELECT set_config('lock_timeout', coalesce(:lock_milliseconds::text, current_setting('lock_timeout')), true)
           ) IS NOT NULL
), moved AS (
    UPDATE workloads w
       SET
           -- Assignments of the fields that moves change, by `make generate`:
           status = c.status, version = coalesce(c.version, 1), generation = coalesce(c.generation, 0),
           event_count = coalesce(c.event_count, 1), worker_id = c.worker_id, incarnation = c.incarnation,
           scheduled_from = c.scheduled_from, event_sequence = coalesce(c.event_sequence, 0),
           progress_percent = coalesce(c.progress_percent, 0), progress_message = c.progress_message,
           retry_count = coalesce(c.retry_count, 0), failure_count = coalesce(c.failure_count, 0),
           death_streak = coalesce(c.death_streak, 0), checkpoint_sequence = coalesce(c.checkpoint_sequence, 0),
           pause_phase = c.pause_phase, ready = coalesce(c.ready, true), available_at = c.available_at,
           scheduled_at = c.scheduled_at, started_at = c.started_at, attempt_started_at = c.attempt_started_at,
           paused_at = c.paused_at, completed_at = c.completed_at, error_message = c.error_message,
           result_json = c.result_json::json, placement_key = coalesce(c.placement_key, 0), misfits = c.misfits,
           -- end
           config_snapshot = CASE WHEN c.status = 'SCHEDULED' AND w.generation = 0 THEN (
                SELECT json_build_object('config_json', f.config_json, 'max_retries', f.max_retries,
                           'timeout_seconds', f.timeout_seconds, 'checkpoint_interval_sec', f.checkpoint_interval_sec,
                           'cpu_cores', f.cpu_cores, 'memory_mb', f.memory_mb, 'disk_mb', f.disk_mb)
                  FROM workload_configs f
                 WHERE f.customer_id = w.customer_id AND f.workload_type = w.workload_type)
                ELSE w.config_snapshot END
      FROM change c
     WHERE w.customer_id = c.customer_id AND w.workload_id = c.workload_id AND w.version = c.expected_version
       AND w.event_sequence = coalesce(c.expected_events, 0) -- as an event that moves nothing makes no version
    RETURNING w.customer_id, w.workload_id, coalesce(c.queued_delta, 0) AS queued_delta,
              coalesce(c.running_delta, 0) AS running_delta, w.status, w.created_at, w.started_at,
              w.completed_at, w.generation, w.workload_type, w.attempt_started_at,
              -- The end of an attempt that ran: only such a move takes a workload off its worker.
              CASE WHEN c.running_delta < 0 AND w.attempt_started_at IS NOT NULL
                   THEN greatest(coalesce(w.completed_at, now()), w.attempt_started_at) END AS attempt_ended_at,
              -- A large one is left out, told by its size where it lies, as a pass assigns hundreds.
              CASE WHEN w.status = 'SCHEDULED' AND pg_column_size(w.input_params) <= 4096 THEN w.input_params END
                  AS input_params,
              w.config_snapshot, w.checkpoint_sequence, w.progress_percent, w.timeout_seconds, w.worker_id, w.incarnation,
              w.traceparent
), history AS (
    INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id, details)
    SELECT a.customer_id, a.workload_id, a.event_id, a.event_type, a.occurred_at, a.actor_type, a.actor_id, a.details::json
      FROM unnest(:audit_customer_ids::text[], :audit_workload_ids::text[], :audit_event_ids::int[],
                  :audit_types::text[], :audit_ats::timestamptz[], :audit_actor_types::text[],
                  :audit_actor_ids::text[], :audit_details::text[])
        AS a (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id, details)
      JOIN moved m ON m.customer_id = a.customer_id AND m.workload_id = a.workload_id
), difference AS (
    SELECT customer_id, sum(queued_delta) AS queued, sum(running_delta) AS running,
           count(*) FILTER (WHERE status = 'SCHEDULED' AND queued_delta < 0) AS assigned
      FROM moved GROUP BY customer_id
), counted AS MATERIALIZED (
    SELECT d.* FROM customer_usage u JOIN difference d USING (customer_id)
     WHERE d.queued <> 0 OR d.running <> 0
     ORDER BY u.customer_id FOR NO KEY UPDATE OF u
), usage AS (
    UPDATE customer_usage u SET queued = u.queued + d.queued, running = u.running + d.running,
           assigned = u.assigned + d.assigned
      FROM counted d WHERE u.customer_id = d.customer_id
    RETURNING u.customer_id
), spent AS (
    SELECT m.*, date_part('epoch', m.attempt_ended_at - m.attempt_started_at) AS used_seconds,
           -- A result needs no checkpoint, and a pause has just saved one.
           CASE WHEN m.attempt_ended_at IS NOT NULL AND m.status IN ('REDISTRIBUTING', 'FAILED', 'CANCELLED')
                THEN date_part('epoch', m.attempt_ended_at - greatest(m.attempt_started_at, (
                    SELECT least(p.created_at, m.attempt_ended_at) FROM checkpoints p
                     WHERE p.customer_id = m.customer_id AND p.workload_id = m.workload_id
                       AND p.sequence = m.checkpoint_sequence AND p.generation = m.generation))) END AS unsaved_seconds
      FROM moved m WHERE m.completed_at IS NOT NULL OR m.attempt_ended_at IS NOT NULL
), ended AS (
    SELECT customer_id, date_trunc('hour', created_at, 'UTC') AS hour, workload_type, -- in doubles: numerics cost more
           count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
           count(*) FILTER (WHERE status = 'FAILED') AS failed,
           count(*) FILTER (WHERE status = 'CANCELLED') AS cancelled,
           coalesce(sum(date_part('epoch', completed_at - started_at)) FILTER (WHERE status = 'COMPLETED'), 0)
               AS completed_seconds,
           coalesce(sum(date_part('epoch', completed_at - started_at)), 0) AS execution_seconds,
           coalesce(sum(used_seconds), 0) AS used_seconds,
           coalesce(sum(unsaved_seconds) FILTER (WHERE status = 'REDISTRIBUTING'), 0) AS redone_seconds,
           coalesce(sum(unsaved_seconds) FILTER (WHERE status <> 'REDISTRIBUTING'), 0) AS lost_seconds
      FROM spent GROUP BY 1, 2, 3
), hours AS MATERIALIZED (
    SELECT e.* FROM workload_hours h JOIN ended e USING (customer_id, hour, workload_type)
     WHERE (SELECT count(*) FROM usage) >= 0 -- only to have the usage rows locked first
     ORDER BY h.customer_id, h.hour, h.workload_type FOR NO KEY UPDATE OF h
), outcomes AS (
    UPDATE workload_hours h
       SET completed = h.completed + e.completed, failed = h.failed + e.failed, cancelled = h.cancelled + e.cancelled,
           completed_seconds = h.completed_seconds + e.completed_seconds,
           execution_seconds = h.execution_seconds + e.execution_seconds, used_seconds = h.used_seconds + e.used_seconds,
           redone_seconds = h.redone_seconds + e.redone_seconds, lost_seconds = h.lost_seconds + e.lost_seconds
      FROM hours e WHERE h.customer_id = e.customer_id AND h.hour = e.hour AND h.workload_type = e.workload_type
)
SELECT customer_id, workload_id, status = 'SCHEDULED' AS assigned, generation, workload_type, input_params, config_snapshot,
       checkpoint_sequence, progress_percent, timeout_seconds, worker_id, incarnation, traceparent
  FROM moved;

-- name: lanes(after_customer, after_key, most, most_each)
-- Placement classes with something ready, and the rank of the first of each, in order from the one after the given, no more
-- than most_each of one customer. Walks the queue's index from class to class: the cost grows with the classes, not with the
-- backlog.
WITH RECURSIVE lane AS (
    (SELECT customer_id, placement_key, queue_rank, 1 AS number FROM workloads
      WHERE ready AND (customer_id, placement_key) > (:after_customer, :after_key::bigint)
      ORDER BY customer_id, placement_key, queue_rank LIMIT 1)
    UNION ALL
    SELECT n.customer_id, n.placement_key, n.queue_rank, CASE WHEN n.customer_id = l.customer_id THEN l.number + 1 ELSE 1 END
      FROM lane l CROSS JOIN LATERAL (
        SELECT w.customer_id, w.placement_key, w.queue_rank FROM workloads w
         WHERE w.ready AND (w.customer_id, w.placement_key) >
               (l.customer_id, CASE WHEN l.number < :most_each::int THEN l.placement_key ELSE 9223372036854775807 END)
         ORDER BY w.customer_id, w.placement_key, w.queue_rank LIMIT 1) n
)
SELECT customer_id, placement_key, queue_rank FROM lane LIMIT :most;

-- name: heads(customer_ids, placement_keys, mosts, longest_streaks)
-- The first few ready workloads of each lane, in rank order, with their states and the database's time; without those that
-- have lost more workers in a row than the lane's longest streak.
SELECT l.customer_id AS lane_customer, h.*, now() AS db_now
  FROM unnest(:customer_ids::text[], :placement_keys::bigint[], :mosts::int[], :longest_streaks::int[])
       AS l (customer_id, placement_key, most, longest_streak)
 CROSS JOIN LATERAL (
    SELECT s.*, w.queue_rank, w.affinity_rules, CASE WHEN w.checkpoint_sequence > 0 THEN (
               SELECT c.progress_percent FROM checkpoints c
                WHERE c.customer_id = w.customer_id AND c.workload_id = w.workload_id
                  AND c.sequence = w.checkpoint_sequence) END AS checkpoint_percent
      FROM workloads w JOIN traced_workload_states s USING (customer_id, workload_id)
     WHERE w.ready AND w.customer_id = l.customer_id AND w.placement_key = l.placement_key
       AND w.death_streak <= l.longest_streak
     ORDER BY w.queue_rank, w.workload_id LIMIT l.most) h;

-- name: assignments(customer_ids, workload_ids, most_bytes)
-- What a worker needs to run these, as far as their inputs have no more bytes than that in all; at least the first.
SELECT customer_id, workload_id, generation, workload_type, input_params, config_snapshot, checkpoint_sequence,
       progress_percent, timeout_seconds, worker_id, incarnation, traceparent
  FROM (SELECT w.*, row_number() OVER place AS number, sum(octet_length(w.input_params::text)) OVER place AS total_bytes
          FROM unnest(:customer_ids::text[], :workload_ids::text[]) AS i (customer_id, workload_id)
          JOIN workloads w USING (customer_id, workload_id)
         WHERE w.status = 'SCHEDULED'
        WINDOW place AS (ORDER BY customer_id, workload_id)) found
 WHERE number = 1 OR total_bytes <= :most_bytes::bigint
 ORDER BY number;

-- name: held()
-- Who holds what: the leader's picture of the fleet, at election and after an error.
SELECT customer_id, workload_id, generation, workload_type, worker_id FROM workloads WHERE incarnation IS NOT NULL;

-- name: held_by_workers(worker_ids)
-- The same of some workers.
SELECT customer_id, workload_id, generation, workload_type, worker_id FROM workloads
 WHERE incarnation IS NOT NULL AND worker_id = ANY(:worker_ids::text[]);

-- name: held_counts()
-- How many workloads of each type each worker holds.
SELECT worker_id, workload_type, count(*) AS held FROM workloads WHERE incarnation IS NOT NULL GROUP BY 1, 2;

-- name: held_by(worker_ids, incarnations)
-- What some workers should be running, or are to run, to compare with what they say they run.
SELECT w.worker_id, w.incarnation, w.customer_id, w.workload_id, w.generation, w.status = 'RUNNING' AS runs
  FROM unnest(:worker_ids::text[], :incarnations::text[]) AS b (worker_id, incarnation)
  JOIN workloads w ON w.worker_id = b.worker_id AND w.incarnation = b.incarnation;

-- name: unanswered(older_than_seconds)
-- Assignments that no worker has confirmed.
SELECT customer_id, workload_id, generation, worker_id, incarnation,
       extract(epoch FROM now() - scheduled_at)::double precision AS age_seconds
  FROM workloads
 WHERE incarnation IS NOT NULL AND status = 'SCHEDULED'
   AND scheduled_at < now() - make_interval(secs => :older_than_seconds) LIMIT 1000;

-- name: overdue(grace_seconds)
-- Attempts that run longer than their time-out plus a grace: the second enforcement, on the database's clock.
SELECT customer_id, workload_id, generation, worker_id, incarnation
  FROM workloads
 WHERE incarnation IS NOT NULL AND status = 'RUNNING'
   AND attempt_started_at + make_interval(secs => :grace_seconds
         + coalesce(timeout_seconds, (config_snapshot->>'timeout_seconds')::int)) < now() LIMIT 1000;

-- name: orphaned()
-- Held by a worker that is gone or has come back as another incarnation.
SELECT DISTINCT w.worker_id, w.incarnation FROM workloads w
  LEFT JOIN workers k ON k.worker_id = w.worker_id AND k.incarnation = w.incarnation AND k.status <> 'DEAD'
 WHERE w.incarnation IS NOT NULL AND k.worker_id IS NULL LIMIT 1000;

-- name: promote(most)
-- Back-offs that have ended, the earliest first: into the queue. No move of state, so no version. Locking: passes by what others
-- hold; it is found again.
UPDATE workloads SET ready = true, available_at = NULL
 WHERE (customer_id, workload_id) IN (
        SELECT customer_id, workload_id FROM workloads
         WHERE available_at IS NOT NULL AND NOT ready AND available_at <= now() AND status IN ('PENDING', 'REDISTRIBUTING')
         ORDER BY available_at LIMIT :most FOR NO KEY UPDATE SKIP LOCKED)
RETURNING customer_id, placement_key, queue_rank;

-- name: next_promotion()^
-- Seconds until the next back-off ends; NULL when none is waiting.
SELECT extract(epoch FROM min(available_at) - now())::double precision AS seconds
  FROM workloads WHERE available_at IS NOT NULL AND NOT ready;

-- name: lock_counts(customer_id)
-- Keeps others from counting a customer's workloads until the transaction ends. Locking: the usage row.
SELECT customer_id FROM customer_usage WHERE customer_id = :customer_id FOR NO KEY UPDATE;

-- name: paused(customer_id, most)^
-- How many workloads of a customer are PAUSED, or about to be; stops counting at most.
SELECT count(*) AS paused FROM (
    (SELECT FROM workloads WHERE incarnation IS NOT NULL AND customer_id = :customer_id AND pause_phase IS NOT NULL
      LIMIT :most)
    UNION ALL
    (SELECT FROM workloads WHERE incarnation IS NULL AND customer_id = :customer_id AND status = 'PAUSED' LIMIT :most)
    LIMIT :most) p;

-- name: held_up
-- Customers of some workloads of whose counts or workloads one is locked by somebody at this moment. Locking: those rows, for
-- the moment; what isn't free isn't waited for.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[]) AS i (customer_id, workload_id)
), free_counts AS MATERIALIZED (
    SELECT customer_id FROM customer_usage
     WHERE customer_id IN (SELECT customer_id FROM asked) FOR NO KEY UPDATE SKIP LOCKED
), free AS MATERIALIZED (
    SELECT customer_id, workload_id FROM workloads
     WHERE (customer_id, workload_id) IN (SELECT * FROM asked) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT customer_id FROM customer_usage
 WHERE customer_id IN (SELECT customer_id FROM asked) AND customer_id NOT IN (SELECT customer_id FROM free_counts)
 UNION
SELECT w.customer_id FROM workloads w JOIN asked USING (customer_id, workload_id)
 WHERE (w.customer_id, w.workload_id) NOT IN (SELECT * FROM free);

-- name: set_terms(customer_id, workload_id, priority, queue_rank, affinity_rules, timeout_seconds)!
-- What a workload was submitted with, changed, in the transaction of the move that tells so. Locking: the workload's row, which
-- that transaction holds.
UPDATE workloads SET priority = :priority, queue_rank = :queue_rank, affinity_rules = :affinity_rules::text::json,
       timeout_seconds = :timeout_seconds
 WHERE customer_id = :customer_id AND workload_id = :workload_id;

-- name: note_pause(customer_id, workload_id, actor_id)!
-- Who asks for a pause, in the transaction that marks it. No move of state, so no version. Locking: the workload's row, which
-- that transaction holds.
UPDATE workloads SET paused_by = :actor_id
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND pause_phase IS NOT NULL;

-- name: get(customer_id, workload_id)^
-- One workload, whole, but for what only its moves need.
SELECT customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id, incarnation,
       event_sequence, progress_percent, progress_message, retry_count, checkpoint_sequence, pause_phase, ready,
       available_at, scheduled_at, started_at, attempt_started_at, paused_at, completed_at, error_message, result_json,
       priority, input_params, affinity_rules, timeout_seconds, placement_key, misfits, queue_rank, created_at, paused_by,
       o.replayed_from, o.forked_from, o.from_checkpoint, now() AS db_now,
       (SELECT json_object_agg(l.key, l.value ORDER BY l.key) FROM workload_labels l
         WHERE l.customer_id = :customer_id AND l.workload_id = :workload_id AND l.key > '') AS labels,
       CASE WHEN status = 'FAILED' THEN (SELECT l.value FROM workload_labels l
         WHERE l.customer_id = :customer_id AND l.workload_id = :workload_id AND l.key = '') END AS error_fingerprint
  FROM workloads LEFT JOIN workload_origins o USING (customer_id, workload_id)
 WHERE customer_id = :customer_id AND workload_id = :workload_id;
