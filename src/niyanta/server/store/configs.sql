-- name: create(customer_id, config_id, workload_type, description, config_json, input_schema, cpu_cores, memory_mb, disk_mb, checkpoint_interval_sec, max_retries, timeout_seconds)^
-- Add a config; the unique constraint keeps one per type.
INSERT INTO workload_configs (customer_id, config_id, workload_type, description, config_json, input_schema, cpu_cores,
                              memory_mb, disk_mb, checkpoint_interval_sec, max_retries, timeout_seconds)
VALUES (:customer_id, :config_id, :workload_type, :description, :config_json::text::json, :input_schema::text::json,
        :cpu_cores, :memory_mb, :disk_mb, :checkpoint_interval_sec, :max_retries, :timeout_seconds)
RETURNING *;

-- name: all_configs(customer_id, after_id, most)
-- A customer's configs, oldest first. An id sorts by the time of its creation.
SELECT * FROM workload_configs WHERE customer_id = :customer_id AND config_id > :after_id ORDER BY config_id LIMIT :most;

-- name: get(customer_id, config_id)^
-- One.
SELECT * FROM workload_configs WHERE customer_id = :customer_id AND config_id = :config_id;

-- name: update(customer_id, config_id, description, config_json, input_schema, cpu_cores, memory_mb, disk_mb, checkpoint_interval_sec, max_retries, timeout_seconds)^
-- Change what is given (not null). Locking: the config's row.
UPDATE workload_configs
   SET description = coalesce(:description, description),
       config_json = coalesce(:config_json::text::json, config_json),
       input_schema = coalesce(:input_schema::text::json, input_schema),
       cpu_cores = coalesce(:cpu_cores, cpu_cores), memory_mb = coalesce(:memory_mb, memory_mb),
       disk_mb = coalesce(:disk_mb, disk_mb),
       checkpoint_interval_sec = coalesce(:checkpoint_interval_sec, checkpoint_interval_sec),
       max_retries = coalesce(:max_retries, max_retries), timeout_seconds = coalesce(:timeout_seconds, timeout_seconds),
       updated_at = now()
 WHERE customer_id = :customer_id AND config_id = :config_id
RETURNING *;

-- name: lock_submissions(customer_id)
-- Keeps the customer's submissions out until the transaction ends. Locking: the row that `admit` locks first in each.
SELECT customer_id FROM customer_usage WHERE customer_id = :customer_id FOR NO KEY UPDATE;

-- name: is_in_use(customer_id, config_id)^
-- Whether the customer has any workload of the config's type, ended or not. Asks the index of each status in turn.
SELECT EXISTS (SELECT FROM unnest(ARRAY['PENDING', 'PAUSED', 'REDISTRIBUTING', 'COMPLETED', 'FAILED', 'CANCELLED'])
                                AS s (status)
                CROSS JOIN LATERAL (
                    SELECT FROM workloads w
                     WHERE w.incarnation IS NULL AND w.customer_id = c.customer_id AND w.status = s.status
                       AND w.workload_type = c.workload_type LIMIT 1) r)
       OR EXISTS (SELECT FROM workloads w
                   WHERE w.incarnation IS NOT NULL AND w.customer_id = c.customer_id
                     AND w.workload_type = c.workload_type) AS in_use, c.workload_type
  FROM workload_configs c WHERE c.customer_id = :customer_id AND c.config_id = :config_id;

-- name: delete(customer_id, config_id)!
-- Locking: the config's row.
DELETE FROM workload_configs WHERE customer_id = :customer_id AND config_id = :config_id;
