-- name: create_customer(customer_id, name, tier, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst)^
-- A customer and its counts.
WITH added AS (
    INSERT INTO customers (customer_id, name, tier, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst)
    VALUES (:customer_id, :name, :tier, :max_concurrent_workloads, :max_queue_depth, :rate_limit_per_sec, :burst)
    RETURNING *
), counted AS (
    INSERT INTO customer_usage (customer_id) SELECT customer_id FROM added
)
SELECT * FROM added;

-- name: update_customer(customer_id, name, tier, status, max_concurrent_workloads, max_queue_depth, rate_limit_per_sec, burst)^
-- Change what is given (not null).
UPDATE customers
   SET name = coalesce(:name, name), tier = coalesce(:tier, tier), status = coalesce(:status, status),
       max_concurrent_workloads = coalesce(:max_concurrent_workloads, max_concurrent_workloads),
       max_queue_depth = coalesce(:max_queue_depth, max_queue_depth),
       rate_limit_per_sec = coalesce(:rate_limit_per_sec, rate_limit_per_sec), burst = coalesce(:burst, burst)
 WHERE customer_id = :customer_id RETURNING *;

-- name: customers()
-- All of them, oldest first; the coordinators keep them in memory.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id) ORDER BY c.created_at, c.customer_id;

-- name: customer(customer_id)^
-- One, with its counts.
SELECT c.*, u.queued, u.running, u.assigned FROM customers c JOIN customer_usage u USING (customer_id) WHERE c.customer_id = :customer_id;

-- name: create_key(customer_id, key_id, key_sha256, name, role, expires_at)^
-- Store a key's hash; the key itself is never stored.
INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, expires_at)
VALUES (:customer_id, :key_id, :key_sha256, :name, :role, :expires_at) RETURNING *;

-- name: key_by_hash(key_sha256)^
-- The key with its customer, as far as authentication needs them.
SELECT k.key_id, k.role, k.expires_at, k.revoked_at, (k.expires_at IS NOT NULL AND k.expires_at <= now()) AS expired,
       c.customer_id, c.status
  FROM api_keys k JOIN customers c USING (customer_id) WHERE k.key_sha256 = :key_sha256;

-- name: keys(customer_id)
-- A customer's keys, without anything that could be used.
SELECT customer_id, key_id, name, role, created_at, expires_at, revoked_at, last_used_at
  FROM api_keys WHERE customer_id = :customer_id ORDER BY created_at, key_id;

-- name: revoke_key(key_id)^
-- Once revoked, for ever. Gives nothing for an unknown key.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = :key_id RETURNING customer_id, key_id, revoked_at;

-- name: mark_used(key_ids)!
-- Note the use of keys, a minute's precision is enough.
UPDATE api_keys SET last_used_at = now()
 WHERE key_id = ANY(:key_ids::text[]) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- name: configured_types(customer_id)
-- Workload types that the customer has a config for, with the JSON Schema of their input.
SELECT workload_type, input_schema FROM workload_configs WHERE customer_id = :customer_id ORDER BY workload_type;
