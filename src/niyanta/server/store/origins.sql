-- name: add_origins(customer_ids, workload_ids, originals, are_forks, from_checkpoints)
-- What workloads that were stored a moment ago are replays or forks of. Those that begin at a checkpoint get a copy of it as
-- their first; `hold_checkpoints` has seen to it that it is there. Locking: rows that nobody else can see; in the transaction
-- that stores them.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[], :originals::text[], :are_forks::boolean[],
                         :from_checkpoints::int[])
        AS i (customer_id, workload_id, original, is_fork, from_checkpoint)
), origin AS (
    INSERT INTO workload_origins (customer_id, workload_id, replayed_from, forked_from, from_checkpoint)
    SELECT customer_id, workload_id, CASE WHEN NOT is_fork THEN original END, CASE WHEN is_fork THEN original END, from_checkpoint
      FROM given
), copied AS (
    INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, data, size_bytes, sha256,
                             progress_percent)
    SELECT g.customer_id, g.workload_id, 1, 0, c.encoding, c.data, c.size_bytes, c.sha256, c.progress_percent
      FROM given g JOIN checkpoints c
        ON c.customer_id = g.customer_id AND c.workload_id = g.original AND c.sequence = g.from_checkpoint
     WHERE c.object_key IS NULL
    RETURNING customer_id, workload_id, progress_percent
)
UPDATE workloads w SET checkpoint_sequence = 1, progress_percent = c.progress_percent
  FROM copied c WHERE w.customer_id = c.customer_id AND w.workload_id = c.workload_id
RETURNING w.workload_id;

-- name: hold_checkpoints(customer_ids, workload_ids, sequences)
-- Which of these checkpoints are there to be copied; they stay until the transaction ends. Locking: their rows, in order of
-- their key, after the customers' counts; one that is being dropped is waited for, and is gone then.
SELECT c.customer_id, c.workload_id, c.sequence FROM checkpoints c
 WHERE (c.customer_id, c.workload_id, c.sequence) IN (
        SELECT * FROM unnest(:customer_ids::text[], :workload_ids::text[], :sequences::int[]))
   AND c.object_key IS NULL
 ORDER BY c.customer_id, c.workload_id, c.sequence FOR KEY SHARE;

-- name: origins(customer_id, workload_ids)
-- Which of these are replays, and of what.
SELECT workload_id, replayed_from FROM workload_origins
 WHERE customer_id = :customer_id AND workload_id = ANY(:workload_ids::text[]);

-- name: replayable(customer_id, workload_ids, most_bytes)
-- What is submitted again of these, in order of id, as far as their inputs have no more bytes than that in all; at least the
-- first. Those that have not ended are left out.
SELECT workload_id, workload_type, priority, input_params, affinity_rules, timeout_seconds,
       (SELECT json_object_agg(l.key, l.value ORDER BY l.key) FROM workload_labels l
         WHERE l.customer_id = found.customer_id AND l.workload_id = found.workload_id AND l.key > '') AS labels
  FROM (SELECT w.*, row_number() OVER place AS number, sum(octet_length(w.input_params::text)) OVER place AS total_bytes
          FROM unnest(:workload_ids::text[]) AS i (workload_id)
          JOIN workloads w ON w.customer_id = :customer_id AND w.workload_id = i.workload_id
         WHERE w.completed_at IS NOT NULL
        WINDOW place AS (ORDER BY w.workload_id)) found
 WHERE number = 1 OR total_bytes <= :most_bytes::bigint
 ORDER BY number;

-- name: copyable(customer_id, workload_id)
-- The kept checkpoints that a replay or fork can begin at, the newest first: those that the database holds.
SELECT sequence FROM checkpoints
 WHERE customer_id = :customer_id AND workload_id = :workload_id AND object_key IS NULL ORDER BY sequence DESC;
