-- name: make_partitions(parent, unit, ahead)^
-- Partitions from the unit before this one to the last that begins within ahead. Locking: one replica at a time; readers and
-- writers of the parent aren't stopped.
SELECT make_partitions(:parent, :unit, now(), :ahead::interval) AS made;

-- name: drop_expired_partition(parent, unit, keep)^
-- Drops the oldest partition of which every row is older than keep, with what an earlier release left detached. Locking: the
-- parent against everybody, for a moment; gives up after 50 ms, and at once when another replica makes or drops partitions.
SELECT drop_expired_partition(:parent, :unit, :keep::interval) AS partition;

-- name: forgetful_customers(created_before_id, keep)
-- Customers with workloads that ended longer ago than keep. An id sorts by the time of its creation, and nothing ends
-- before it is created, so the primary key leads to them.
SELECT c.customer_id FROM customers c
 WHERE EXISTS (SELECT FROM workloads w
                WHERE w.customer_id = c.customer_id AND w.workload_id < :created_before_id
                  AND w.completed_at < now() - :keep::interval)
 ORDER BY c.customer_id;

-- name: forget_workloads(customer_id, created_before_id, keep, most)
-- Delete a batch of a customer's workloads that ended longer ago than keep, but for those with a pinned checkpoint, and what is
-- told of failures of that time. Locking: those rows; skips what is locked.
WITH old AS MATERIALIZED (
    SELECT ctid, workload_id FROM workloads
     WHERE customer_id = :customer_id AND workload_id < :created_before_id AND completed_at < now() - :keep::interval
       AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.customer_id = workloads.customer_id
                          AND c.workload_id = workloads.workload_id AND c.pinned)
     ORDER BY workload_id LIMIT :most FOR UPDATE SKIP LOCKED
), origins AS (
    DELETE FROM workload_origins o USING old WHERE o.customer_id = :customer_id AND o.workload_id = old.workload_id
), labels AS (
    DELETE FROM workload_labels WHERE ctid = ANY(ARRAY(
        SELECT l.ctid FROM old CROSS JOIN LATERAL (
            SELECT ctid FROM workload_labels
             WHERE customer_id = :customer_id AND workload_id = old.workload_id OFFSET 0) l))
), failures AS (
    DELETE FROM failure_hours WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM failure_hours WHERE customer_id = :customer_id AND hour < now() - :keep::interval
         ORDER BY customer_id, hour LIMIT :most))
)
DELETE FROM workloads WHERE ctid = ANY(ARRAY(SELECT ctid FROM old)) RETURNING workload_id;

-- name: sweep_checkpoints(customer_id, workload_id, sequence, keep, most)
-- The next checkpoints behind a place, in the order of their key, and of each whether nothing can need it any more: its
-- workload ended longer ago than keep and it isn't pinned, or its workload is gone.
SELECT k.customer_id, k.workload_id, k.sequence, k.object_key,
       (w.workload_id IS NULL
        OR (w.completed_at IS NOT NULL AND w.completed_at < now() - :keep::interval AND NOT k.pinned)) AS is_over
  FROM (SELECT customer_id, workload_id, sequence, object_key, pinned FROM checkpoints
         WHERE (customer_id, workload_id, sequence) > (:customer_id, :workload_id, :sequence)
         ORDER BY customer_id, workload_id, sequence LIMIT :most) k
  LEFT JOIN LATERAL (SELECT workload_id, completed_at FROM workloads
                      WHERE customer_id = k.customer_id AND workload_id = k.workload_id LIMIT 1) w ON true
 ORDER BY k.customer_id, k.workload_id, k.sequence;

-- name: forget_checkpoints(customer_ids, workload_ids, sequences)
-- Delete these, but for what has been pinned since. Locking: their rows, which no attempt uses any more.
DELETE FROM checkpoints c
 USING unnest(:customer_ids::text[], :workload_ids::text[], :sequences::int[]) AS i (customer_id, workload_id, sequence)
 WHERE c.customer_id = i.customer_id AND c.workload_id = i.workload_id AND c.sequence = i.sequence
   AND (NOT c.pinned OR NOT EXISTS (SELECT FROM workloads w WHERE w.customer_id = c.customer_id
                                       AND w.workload_id = c.workload_id))
RETURNING c.sequence;

-- name: forget_keys(most)
-- Delete a batch of idempotency keys that are older than a day. Locking: those rows; skips what is locked.
WITH old AS MATERIALIZED (
    SELECT customer_id, operation, key FROM idempotency_keys
     WHERE created_at < now() - interval '24 hours' ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys k USING old
 WHERE k.customer_id = old.customer_id AND k.operation = old.operation AND k.key = old.key
RETURNING k.key;
