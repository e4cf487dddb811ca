-- name: add_checkpoints(customer_ids, workload_ids, sequences, generations, encodings, datas, object_keys, sizes, hashes, progress)
-- Keep checkpoints, and drop those older than the last ten of each workload; gives what the dropped ones were kept in.
WITH added AS (
    INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, data, object_key, size_bytes,
                             sha256, progress_percent)
    SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[], :sequences::int[], :generations::int[],
                         :encodings::text[], :datas::bytea[], :object_keys::text[], :sizes::bigint[],
                         :hashes::bytea[], :progress::int[])
    RETURNING customer_id, workload_id, sequence
)
DELETE FROM checkpoints c USING (SELECT customer_id, workload_id, max(sequence) AS newest FROM added GROUP BY 1, 2) a
 WHERE c.customer_id = a.customer_id AND c.workload_id = a.workload_id AND c.sequence <= a.newest - 10
RETURNING c.object_key;

-- name: checkpoints(customer_id, workload_id, up_to)
-- The kept checkpoints, newest first.
SELECT sequence, encoding, data, object_key, size_bytes, sha256, progress_percent
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence <= :up_to ORDER BY sequence DESC;

-- name: add_logs(customer_ids, workload_ids, generations, sequences, logged_ats, levels, messages, details)
-- Append log lines; one that is there already stays as it is.
INSERT INTO workload_logs (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
SELECT i.customer_id, i.workload_id, i.generation, i.sequence, i.logged_at, i.level, i.message, i.details::json
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :generations::int[], :sequences::bigint[],
              :logged_ats::timestamptz[], :levels::text[], :messages::text[], :details::text[])
    AS i (customer_id, workload_id, generation, sequence, logged_at, level, message, details)
ON CONFLICT DO NOTHING;

-- name: audit(customer_id, workload_id, after, since, until, most)
-- A workload's history in order. since and until say which partitions are read.
SELECT event_id, event_type, occurred_at, actor_type, actor_id, details FROM audit_events
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND event_id > :after
   AND occurred_at >= :since AND occurred_at <= :until
 ORDER BY event_id LIMIT :most;
