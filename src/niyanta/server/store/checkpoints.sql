-- name: add_checkpoints(customer_ids, workload_ids, sequences, generations, worker_ids, encodings, datas, object_keys, sizes, hashes, progress, kept)
-- Keep checkpoints, and drop those older than the last ones kept of each workload, but for pinned ones; gives what the dropped
-- ones were kept in. One that is being pinned is waited for, and then stays.
WITH added AS (
    INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, worker_id, encoding, data, object_key,
                             size_bytes, sha256, progress_percent)
    SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[], :sequences::int[], :generations::int[],
                         :worker_ids::text[], :encodings::text[], :datas::bytea[], :object_keys::text[],
                         :sizes::bigint[], :hashes::bytea[], :progress::int[])
    RETURNING customer_id, workload_id, sequence
)
DELETE FROM checkpoints c USING (SELECT customer_id, workload_id, max(sequence) AS newest FROM added GROUP BY 1, 2) a
 WHERE c.customer_id = a.customer_id AND c.workload_id = a.workload_id AND c.sequence <= a.newest - :kept::int
   AND NOT c.pinned
RETURNING c.object_key;

-- name: checkpoints(customer_id, workload_id, up_to)
-- The kept checkpoints, newest first.
SELECT sequence, encoding, data, object_key, size_bytes, sha256
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence <= :up_to ORDER BY sequence DESC;

-- name: one(customer_id, workload_id, sequence)^
-- One of them.
SELECT sequence, encoding, data, object_key, size_bytes, sha256
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence = :sequence;

-- name: saved_at(customer_id, workload_id, sequence)^
-- When one of them was saved.
SELECT created_at FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence = :sequence;

-- name: listed(customer_id, workload_id)
-- What is known of the kept checkpoints, without what is in them, newest first.
SELECT sequence, generation, worker_id, encoding, size_bytes, sha256, progress_percent, created_at, pinned,
       object_key IS NOT NULL AS in_object_store
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id ORDER BY sequence DESC;

-- name: count_pinned(customer_id, most)^
-- How many checkpoints of a customer are pinned; stops counting at most.
SELECT count(*) AS pinned
  FROM (SELECT FROM checkpoints WHERE customer_id = :customer_id AND pinned LIMIT :most) p;

-- name: set_pinned(customer_id, workload_id, sequence, pinned)^
-- Pin or unpin one. Locking: its row, against who drops it.
UPDATE checkpoints SET pinned = :pinned
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence = :sequence
RETURNING sequence, generation, worker_id, encoding, size_bytes, sha256, progress_percent, created_at, pinned,
          object_key IS NOT NULL AS in_object_store;

-- name: copy_within(customer_id, workload_id, source, sequence)
-- Make an older checkpoint of a workload its newest, as a copy; of one that lies in the object store there is none. Locking: a
-- row that nobody else can see, in the transaction that moves the workload.
INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, worker_id, encoding, data, size_bytes, sha256,
                         progress_percent)
SELECT customer_id, workload_id, :sequence, generation, worker_id, encoding, data, size_bytes, sha256, progress_percent
  FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND sequence = :source AND object_key IS NULL
RETURNING sequence;
