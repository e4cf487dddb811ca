-- name: summary(customer_id, since, until, workload_type)^
-- What became of the workloads created from since up to, but not at, until; of all types when it is NULL.
SELECT coalesce(sum(created), 0)::bigint AS total, coalesce(sum(completed), 0)::bigint AS completed,
       coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(cancelled), 0)::bigint AS cancelled,
       coalesce(sum(execution_seconds), 0) AS execution_seconds, coalesce(sum(used_seconds), 0) AS used_seconds,
       coalesce(sum(redone_seconds), 0) AS redone_seconds, coalesce(sum(lost_seconds), 0) AS lost_seconds
  FROM workload_hours WHERE customer_id = :customer_id AND hour >= :since AND hour < :until
   AND (:workload_type::text IS NULL OR workload_type = :workload_type::text);

-- name: by_type(customer_id, since, until, workload_type)
-- The same for each type, the most used first.
SELECT workload_type, sum(created)::bigint AS total, sum(completed)::bigint AS completed, sum(failed)::bigint AS failed,
       sum(completed_seconds) AS completed_seconds, sum(used_seconds) AS used_seconds, sum(redone_seconds) AS redone_seconds,
       sum(lost_seconds) AS lost_seconds
  FROM workload_hours WHERE customer_id = :customer_id AND hour >= :since AND hour < :until
   AND (:workload_type::text IS NULL OR workload_type = :workload_type::text)
 GROUP BY workload_type ORDER BY total DESC, workload_type;

-- name: by_time(customer_id, since, until, unit, workload_type)
-- The same for each hour or day (UTC) in which something was created, in order.
SELECT date_trunc(:unit, hour, 'UTC') AS start, sum(created)::bigint AS total, sum(completed)::bigint AS completed,
       sum(failed)::bigint AS failed, sum(cancelled)::bigint AS cancelled, sum(completed_seconds) AS completed_seconds
  FROM workload_hours WHERE customer_id = :customer_id AND hour >= :since AND hour < :until
   AND (:workload_type::text IS NULL OR workload_type = :workload_type::text)
 GROUP BY 1 ORDER BY 1;

-- name: created_today(customer_id)^
-- How many were created since midnight, UTC.
SELECT coalesce(sum(created), 0)::bigint AS total
  FROM workload_hours WHERE customer_id = :customer_id AND hour >= date_trunc('day', now(), 'UTC');

-- name: recent_durations(customer_id, workload_type, most)
-- How long the last completed workloads of a type took, in seconds.
SELECT extract(epoch FROM completed_at - started_at)::double precision AS seconds FROM workloads
 WHERE completed_at IS NOT NULL AND customer_id = :customer_id AND status = 'COMPLETED' AND workload_type = :workload_type
 ORDER BY completed_at DESC, workload_id DESC LIMIT :most;

-- name: lanes(customer_id, most_lanes)
-- The customer's placement classes with something ready, and what the first workload of each asks for. Walks the queue's index
-- from class to class: the cost grows with the classes, not with the workloads.
WITH RECURSIVE lane AS (
    (SELECT placement_key, 1 AS number FROM workloads WHERE ready AND customer_id = :customer_id ORDER BY placement_key LIMIT 1)
    UNION ALL
    SELECT n.placement_key, l.number + 1 FROM lane l CROSS JOIN LATERAL (
        SELECT w.placement_key FROM workloads w
         WHERE w.ready AND w.customer_id = :customer_id AND w.placement_key > l.placement_key
         ORDER BY w.placement_key LIMIT 1) n
     WHERE l.number < :most_lanes::int
)
SELECT l.placement_key, f.workload_type, f.affinity_rules::text AS affinity_rules
  FROM lane l CROSS JOIN LATERAL (
    SELECT w.workload_type, w.affinity_rules FROM workloads w
     WHERE w.ready AND w.customer_id = :customer_id AND w.placement_key = l.placement_key
     ORDER BY w.queue_rank, w.workload_id LIMIT 1) f;

-- name: count_ahead(customer_id, placement_keys, rank, workload_id, most)^
-- How many workloads of these classes go before one (all, when rank is NULL), counted no further than most.
SELECT count(*) AS ahead FROM (
    SELECT FROM unnest(:placement_keys::bigint[]) AS l (placement_key) CROSS JOIN LATERAL (
        SELECT FROM workloads w
         WHERE w.ready AND w.customer_id = :customer_id AND w.placement_key = l.placement_key
           AND (w.queue_rank, w.workload_id) < (coalesce(:rank::double precision, 'infinity'), coalesce(:workload_id, ''))
         LIMIT :most) r
     LIMIT :most) counted;
