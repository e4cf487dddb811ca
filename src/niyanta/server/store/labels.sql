-- name: drop_labels(customer_id, workload_id)!
-- All labels of a workload, but not the fingerprint of its error. Locking: what the transaction that changes the workload has
-- locked already, as nothing else writes them.
DELETE FROM workload_labels WHERE customer_id = :customer_id AND workload_id = :workload_id AND key > '';

-- name: add_labels(customer_ids, workload_ids, keys, values)!
-- Labels of workloads that were stored a moment ago, in the transaction that stores them. Locking: rows that nobody else can
-- see.
INSERT INTO workload_labels (customer_id, workload_id, key, value)
SELECT customer_id, workload_id, key, value
  FROM unnest(:customer_ids::text[], :workload_ids::text[], :keys::text[], :values::text[])
    AS i (customer_id, workload_id, key, value);
