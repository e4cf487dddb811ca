-- name: admit(customer_ids, lock_milliseconds)
-- The queue depth of each customer of a batch of submissions, locked until its commit so that the limit is exact under
-- concurrent submission. Locking: first of all locks of a submission, in order of customer; each is waited for as long as
-- lock_milliseconds says, if it does, and so are all later ones of the transaction.
SELECT u.customer_id, u.queued FROM customer_usage u
 WHERE u.customer_id = ANY(:customer_ids::text[])
   AND (SELECT set_config('lock_timeout', coalesce(:lock_milliseconds::text, current_setting('lock_timeout')), true)
       ) IS NOT NULL
 ORDER BY u.customer_id FOR NO KEY UPDATE;

-- name: claim_keys(customer_ids, operations, keys, hashes, answers)
-- Claim idempotency keys; those that exist already are left out of the answer. A key older than a day is taken over.
-- Locking: waits for another transaction that claims the same key, so that only one of two that race gets it.
INSERT INTO idempotency_keys AS k (customer_id, operation, key, body_sha256, answer)
SELECT customer_id, operation, key, body_sha256, answer::json
  FROM unnest(:customer_ids::text[], :operations::text[], :keys::text[], :hashes::bytea[], :answers::text[])
    AS i (customer_id, operation, key, body_sha256, answer)
ON CONFLICT (customer_id, operation, key) DO UPDATE
   SET body_sha256 = excluded.body_sha256, answer = excluded.answer, created_at = now()
 WHERE k.created_at < now() - interval '24 hours'
RETURNING key;

-- name: keyed(customer_ids, operations, keys)
-- What earlier submissions with these keys had for an answer, for a day.
SELECT k.customer_id, k.operation, k.key, k.body_sha256, k.answer
  FROM unnest(:customer_ids::text[], :operations::text[], :keys::text[]) AS i (customer_id, operation, key)
  JOIN idempotency_keys k USING (customer_id, operation, key)
 WHERE k.created_at >= now() - interval '24 hours';

-- name: insert_batch(customer_ids, workload_ids, workload_types, priorities, inputs, affinities, timeouts, placement_keys, misfits, traceparents, ranks, created_ats, actor_ids, places, limited_customers, limits, lock_milliseconds, until, status, event_type, actor_type, details, created_details, epoch, assigned_type, assigner_type, assigner_id, assigned_details, assigned_status, assigned_version, assigned_generation, assigned_event_count, assigned_worker_id, assigned_incarnation, assigned_scheduled_from, key_customers, key_operations, keys, key_hashes, key_answers)
-- Submissions that passed, with their first audit event, the customers' counts and the hour's, in one statement; of each
-- customer as many, in order of their places, as the limit of its queue leaves room for. Gives the depths of the queues
-- before. The event's time is kept near the database's, whatever this replica's clock says, so that it finds its partition.
-- Those with an assigned_status are assigned at once, by the leader of the epoch, and given with their config; should
-- another lead, or something of lower rank be ready in such a lane, then nothing is stored. Idempotency keys are claimed
-- with the rest; nothing is stored when one was used before, or not all has room. One that was used by who held the counts
-- when this began breaks the keys' uniqueness. Nothing is stored, either, when the counts' locks are got after `until`, so
-- that who gets them later can know that this has come to nothing, wherever it was held up. Locking: the usage rows as `admit`, all of them before anything else; then
-- the leader's lease; rows that nobody else can see; the hours' in order.
WITH room AS MATERIALIZED (
    SELECT u.customer_id, u.queued, l.most - u.queued AS places
      FROM customer_usage u JOIN unnest(:limited_customers::text[], :limits::int[]) AS l (customer_id, most) USING (customer_id)
     WHERE (SELECT set_config('lock_timeout', coalesce(:lock_milliseconds::text, current_setting('lock_timeout')), true)
           ) IS NOT NULL
     ORDER BY u.customer_id FOR NO KEY UPDATE OF u
), fence AS MATERIALIZED (
    SELECT epoch FROM leader_lease WHERE epoch = :epoch::bigint AND (SELECT count(*) FROM room) >= 0 FOR KEY SHARE
), given AS MATERIALIZED (
    SELECT * FROM unnest(
        :customer_ids::text[], :workload_ids::text[], :workload_types::text[], :priorities::int[], :inputs::text[],
        :affinities::text[], :timeouts::int[], :placement_keys::bigint[], :misfits::text[],
        :traceparents::text[], :ranks::double precision[], :created_ats::timestamptz[], :actor_ids::text[], :places::int[],
        :assigned_details::text[], :assigned_status::text[], :assigned_version::bigint[], :assigned_generation::int[],
        :assigned_event_count::int[], :assigned_worker_id::text[], :assigned_incarnation::text[],
        :assigned_scheduled_from::text[], :created_details::text[]
      ) AS i (customer_id, workload_id, workload_type, priority, input_params, affinity_rules, timeout_seconds,
              placement_key, misfits, traceparent, queue_rank, created_at, actor_id, place, assigned_details, assigned_status,
              version, generation, event_count, worker_id, incarnation, scheduled_from, created_details)
), key AS MATERIALIZED (
    SELECT * FROM unnest(:key_customers::text[], :key_operations::text[], :keys::text[], :key_hashes::bytea[],
                         :key_answers::text[]) AS k (customer_id, operation, key, body_sha256, answer)
), fit AS MATERIALIZED (
    SELECT :keys::text[] IS NULL
           OR (NOT EXISTS (SELECT FROM key JOIN idempotency_keys USING (customer_id, operation, key))
               AND NOT EXISTS (SELECT FROM given g LEFT JOIN room r USING (customer_id)
                                WHERE g.place > coalesce(r.places, 0))) AS fits
), claim AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM fence) AS leads, fits, in_time,
           fits AND in_time AND (:epoch::bigint IS NULL OR EXISTS (SELECT FROM fence) AND NOT EXISTS (
               SELECT FROM (SELECT customer_id, placement_key, max(queue_rank) AS last_rank FROM given
                             WHERE assigned_status IS NOT NULL GROUP BY 1, 2) g
                WHERE g.last_rank > (
                      SELECT w.queue_rank FROM workloads w
                       WHERE w.ready AND w.customer_id = g.customer_id AND w.placement_key = g.placement_key
                       ORDER BY w.queue_rank LIMIT 1))) AS holds
      FROM fit CROSS JOIN (
           SELECT :until::timestamptz IS NULL OR :until::timestamptz > (
                  SELECT clock_timestamp() FROM (SELECT count(*) AS locks FROM room) r WHERE locks >= 0) AS in_time) t
), claimed AS (
    INSERT INTO idempotency_keys (customer_id, operation, key, body_sha256, answer)
    SELECT customer_id, operation, key, body_sha256, answer::json FROM key WHERE (SELECT holds FROM claim)
), item AS MATERIALIZED (
    SELECT g.* FROM given g JOIN room r ON r.customer_id = g.customer_id AND g.place <= r.places
     WHERE (SELECT holds FROM claim)
), added AS (
    INSERT INTO workloads (customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id,
                           incarnation, scheduled_from, scheduled_at, ready, priority, input_params, affinity_rules,
                           timeout_seconds, placement_key, misfits, traceparent, queue_rank, created_at, config_snapshot)
    SELECT customer_id, workload_id, workload_type, coalesce(assigned_status, :status::text), coalesce(version, 1),
           coalesce(generation, 0), coalesce(event_count, 1), worker_id, incarnation, scheduled_from,
           CASE WHEN assigned_status IS NOT NULL THEN now() END, assigned_status IS NULL, priority, input_params::json,
           affinity_rules::json, timeout_seconds, placement_key, misfits, traceparent, queue_rank, created_at,
           CASE WHEN assigned_status IS NOT NULL THEN (
                SELECT json_build_object('config_json', f.config_json, 'max_retries', f.max_retries,
                           'timeout_seconds', f.timeout_seconds, 'checkpoint_interval_sec', f.checkpoint_interval_sec,
                           'cpu_cores', f.cpu_cores, 'memory_mb', f.memory_mb, 'disk_mb', f.disk_mb)
                  FROM workload_configs f
                 WHERE f.customer_id = item.customer_id AND f.workload_type = item.workload_type) END
      FROM item
    RETURNING customer_id, workload_id, config_snapshot, incarnation
), history AS (
    INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id, details)
    SELECT customer_id, workload_id, 1, :event_type::text,
           least(greatest(created_at, now() - interval '1 hour'), now() + interval '1 hour'), :actor_type::text, actor_id,
           coalesce(created_details, :details::text)::json FROM item
     UNION ALL
    SELECT customer_id, workload_id, event_count, :assigned_type::text, now(), :assigner_type::text, :assigner_id::text,
           assigned_details::json FROM item WHERE assigned_status IS NOT NULL
), hours AS (
    INSERT INTO workload_hours AS h (customer_id, hour, workload_type, created)
    SELECT customer_id, date_trunc('hour', created_at, 'UTC'), workload_type, count(*)
      FROM item GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (customer_id, hour, workload_type) DO UPDATE SET created = h.created + excluded.created
), usage AS (
    UPDATE customer_usage u
       SET queued = u.queued + i.added - i.assigned, running = u.running + i.assigned, assigned = u.assigned + i.assigned
      FROM (SELECT customer_id, count(*) AS added, count(assigned_status) AS assigned FROM item GROUP BY 1) i
     WHERE u.customer_id = i.customer_id
)
SELECT r.customer_id, r.queued, a.workload_id, a.config_snapshot, c.holds, c.leads, c.fits, c.in_time, now() AS db_now
  FROM claim c CROSS JOIN room r
  LEFT JOIN (SELECT * FROM added WHERE incarnation IS NOT NULL) a USING (customer_id);

-- name: configured(customer_ids)
-- The workload types that these customers have configs of. A config is deleted by who holds the row that `admit` has locked.
SELECT customer_id, workload_type FROM workload_configs WHERE customer_id = ANY(:customer_ids::text[]);

-- name: is_past(until)^
-- Whether this time is over; asked by who holds the counts, so that what gets them later is later than that.
SELECT clock_timestamp() > :until::timestamptz;

-- name: existing(customer_ids, workload_ids)
-- Which of these are stored: resolves a COMMIT whose outcome is unknown.
SELECT w.workload_id FROM unnest(:customer_ids::text[], :workload_ids::text[]) AS i (customer_id, workload_id)
  JOIN workloads w USING (customer_id, workload_id);
