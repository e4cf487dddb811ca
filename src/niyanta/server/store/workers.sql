-- name: register(worker_id, incarnation, capacity, tags, handlers, version, lease_seconds, replaces)^
-- A worker comes to life; nothing is written, and nothing given, while another incarnation with that id is live that it
-- doesn't replace, or was removed or stopped and still holds something, as only the row says that this is no death; or when
-- an operator has removed the id. One that was drained stays so. Locking: the worker's row.
INSERT INTO workers AS k (worker_id, incarnation, status, capacity, tags, handlers, version)
VALUES (:worker_id, :incarnation, 'HEALTHY', :capacity, :tags::json, :handlers::json, :version)
ON CONFLICT (worker_id) DO UPDATE
   SET incarnation = excluded.incarnation,
       status = CASE k.standing_order WHEN 'drain' THEN 'DRAINING' ELSE 'HEALTHY' END, capacity = excluded.capacity, tags = excluded.tags,
       handlers = excluded.handlers, version = excluded.version, registered_at = now(), last_heartbeat = now(),
       ended_reason = NULL
 WHERE k.standing_order IS DISTINCT FROM 'remove'
   AND (k.incarnation = excluded.incarnation
        OR CASE WHEN k.status = 'DEAD' AND k.ended_reason IN ('removed', 'stopped')
           THEN NOT EXISTS (SELECT FROM workloads w WHERE w.worker_id = k.worker_id AND w.incarnation = k.incarnation)
           ELSE k.status = 'DEAD' OR k.incarnation = ANY(:replaces::text[]) OR k.last_heartbeat < now() - make_interval(secs => :lease_seconds) END)
RETURNING status;

-- name: time_now()^
-- The database's clock at this moment.
SELECT clock_timestamp() AS time_now;

-- name: standing_order(worker_id)^
-- What an operator has ordered for an id, when and who.
SELECT standing_order, ordered_by, ordered_at, drain_mode FROM workers WHERE worker_id = :worker_id;

-- name: removed_ids(seconds, most)
-- Workers that an operator removed longer ago than so many seconds, and that may not come back. Locking: none.
SELECT worker_id FROM workers
 WHERE standing_order = 'remove' AND ordered_at < now() - make_interval(secs => :seconds)
 ORDER BY ordered_at DESC LIMIT :most;

-- name: beat(worker_ids, incarnations, drainings)
-- Record heartbeats; gives the status of those that are live, and whether what they run is to go on elsewhere. Locking: the workers' rows, in order of id.
WITH beat AS (
    SELECT * FROM unnest(:worker_ids::text[], :incarnations::text[], :drainings::boolean[])
        AS b (worker_id, incarnation, draining)
), live AS (
    SELECT k.worker_id FROM workers k JOIN beat b USING (worker_id, incarnation)
     WHERE k.status <> 'DEAD' ORDER BY k.worker_id FOR NO KEY UPDATE OF k
)
UPDATE workers k SET last_heartbeat = now(), status = CASE WHEN b.draining THEN 'DRAINING' ELSE k.status END
  FROM beat b JOIN live l USING (worker_id)
 WHERE k.worker_id = b.worker_id AND k.incarnation = b.incarnation
RETURNING k.worker_id, k.incarnation, k.status,
          coalesce(k.standing_order = 'drain' AND k.drain_mode = 'move', false) AS moves;

-- name: all_workers()
-- The fleet, with how long each has been silent on the database's clock. Rows that only keep an operator's order, an
-- hour after the worker's end, aren't part of it: their number has no bound. For which customers a worker works is said
-- by its join token, whose id its incarnation begins with; tokens stay when they have ended.
SELECT k.worker_id, k.incarnation, k.status, k.capacity, k.tags, k.handlers, k.version, k.registered_at, k.last_heartbeat,
       k.ended_reason, k.has_stopped, extract(epoch FROM now() - k.last_heartbeat)::double precision AS silent_seconds,
       coalesce(t.customers, '{}') AS customers
  FROM workers k LEFT JOIN join_tokens t ON t.token_id = split_part(k.incarnation, '-', 1)
 WHERE k.status <> 'DEAD' OR k.last_heartbeat > now() - interval '1 hour' ORDER BY k.worker_id;

-- name: workers_page(status, after, most, skip)
-- A page of the fleet by id, with what each holds. The index on held workloads serves the inner query.
SELECT k.*, extract(epoch FROM now() - k.last_heartbeat)::double precision AS silent_seconds,
       coalesce(t.customers, '{}') AS customers,
       ARRAY(SELECT w.workload_id FROM workloads w
              WHERE w.worker_id = k.worker_id AND w.incarnation = k.incarnation ORDER BY w.workload_id) AS workload_ids
  FROM workers k LEFT JOIN join_tokens t ON t.token_id = split_part(k.incarnation, '-', 1)
 WHERE (:status::text IS NULL OR k.status = :status::text) AND (:after::text IS NULL OR k.worker_id > :after::text)
 ORDER BY k.worker_id LIMIT :most OFFSET :skip;

-- name: one_worker(worker_id)^
-- One worker, with what it holds; as a page has it.
SELECT k.*, extract(epoch FROM now() - k.last_heartbeat)::double precision AS silent_seconds,
       coalesce(t.customers, '{}') AS customers,
       ARRAY(SELECT w.workload_id FROM workloads w
              WHERE w.worker_id = k.worker_id AND w.incarnation = k.incarnation ORDER BY w.workload_id) AS workload_ids
  FROM workers k LEFT JOIN join_tokens t ON t.token_id = split_part(k.incarnation, '-', 1)
 WHERE k.worker_id = :worker_id;

-- name: count_workers(status)^
-- How many workers there are of one status, or in all.
SELECT count(*) AS total FROM workers WHERE :status::text IS NULL OR status = :status::text;

-- name: fleet_summary()
-- How many workers there are of each status, and their slots.
SELECT status, count(*) AS workers, sum(capacity)::bigint AS capacity
  FROM workers WHERE status <> 'DEAD' OR last_heartbeat > now() - interval '1 hour' GROUP BY status;

-- name: end_worker(worker_id, incarnation, reason, silent_for_seconds, epoch)^
-- Declare a worker dead. With silent_for_seconds only if it is still silent; with epoch only while that leader leads.
-- Locking: the lease's row, so that a take-over waits for this, and the worker's.
WITH fence AS MATERIALIZED (
    SELECT epoch FROM leader_lease WHERE epoch = :epoch::bigint FOR KEY SHARE
)
UPDATE workers SET status = 'DEAD', ended_reason = :reason, has_stopped = false
 WHERE worker_id = :worker_id AND (:incarnation::text IS NULL OR incarnation = :incarnation) AND status <> 'DEAD'
   AND (:silent_for_seconds::double precision IS NULL
        OR last_heartbeat < now() - make_interval(secs => :silent_for_seconds::double precision))
   AND (:epoch::bigint IS NULL OR EXISTS (SELECT FROM fence))
RETURNING incarnation;

-- name: drain(worker_id, mode, ordered_by)^
-- An operator drains it, for as long as nobody takes it back. Who did it first is kept; the last mode holds. What it holds is
-- noted. Locking: the worker's row.
WITH ordered AS (
    UPDATE workers SET status = 'DRAINING', standing_order = 'drain', drain_mode = :mode,
           ordered_by = CASE standing_order WHEN 'drain' THEN ordered_by ELSE :ordered_by END,
           ordered_at = CASE standing_order WHEN 'drain' THEN ordered_at ELSE now() END
     WHERE worker_id = :worker_id AND status <> 'DEAD'
    RETURNING worker_id, incarnation
), noted AS (
    INSERT INTO drained_workloads (customer_id, workload_id, generation, worker_id)
    SELECT w.customer_id, w.workload_id, w.generation, w.worker_id FROM workloads w JOIN ordered o USING (worker_id, incarnation)
    ON CONFLICT DO NOTHING
)
SELECT incarnation FROM ordered;

-- name: remove_worker(worker_id, ordered_by)^
-- An operator removes it: it is dead at once, and its id may not register, for as long as nobody takes it back.
UPDATE workers SET status = 'DEAD', ended_reason = 'removed', standing_order = 'remove', ordered_by = :ordered_by,
       ordered_at = now(), has_stopped = false
 WHERE worker_id = :worker_id AND status <> 'DEAD'
RETURNING incarnation, handlers;

-- name: stopped(worker_ids, incarnations)
-- Workers that were removed, or stop, have said that nothing of them runs any more; gives those of which it wasn't known.
-- Locking: the workers' rows.
UPDATE workers k SET has_stopped = true
  FROM unnest(:worker_ids::text[], :incarnations::text[]) AS s (worker_id, incarnation)
 WHERE k.worker_id = s.worker_id AND k.incarnation = s.incarnation AND k.status = 'DEAD' AND NOT k.has_stopped
RETURNING k.worker_id;

-- name: undrain(worker_id)^
-- Take an operator's order back, and forget what a drain found. One that drains because it stops says so again with its next beat.
WITH forgotten AS (
    DELETE FROM drained_workloads WHERE worker_id = :worker_id
)
UPDATE workers SET standing_order = NULL, ordered_by = NULL, ordered_at = NULL, drain_mode = NULL,
       status = CASE status WHEN 'DRAINING' THEN 'HEALTHY' ELSE status END
 WHERE worker_id = :worker_id
RETURNING status;

-- name: forget_dead(older_than_seconds)!
-- Drop the rows of workers that ended long ago, but for those that keep an operator's order.
DELETE FROM workers
 WHERE status = 'DEAD' AND last_heartbeat < now() - make_interval(secs => :older_than_seconds)
   AND standing_order IS NULL;
