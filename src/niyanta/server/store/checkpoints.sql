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
SELECT sequence, encoding, data, object_key, size_bytes, sha256
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence <= :up_to ORDER BY sequence DESC;
