-- name: newest_entry()^
-- The last number that an event was given; 0 before the first. Read before `horizon`.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS newest FROM audit_entry_numbers;

-- name: horizon()^
-- A transaction id of its own. Numbers are only given to who has one, so all numbers given before this belong to smaller ids.
SELECT pg_current_xact_id()::text::bigint AS horizon;

-- name: oldest_running()^
-- Every transaction with a smaller id has ended, and what it committed is seen by every later statement.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest;

-- name: sealed_to()^
-- Up to which number all events are sealed.
SELECT sealed_to FROM audit_sealing;

-- name: unsealed_runs(after, upto, most)
-- The next events that aren't sealed, as runs of a customer's events of one month, each with the head that it comes after.
-- An event's digest is that of `domain.audit_chain`. Locking: none; two sealers find the same.
WITH due AS MATERIALIZED (
    SELECT customer_id, workload_id, event_id, occurred_at, entry_number,
           sha256(convert_to('niyanta.audit-event.1', 'UTF8') || '\x00'::bytea || convert_to(customer_id, 'UTF8')
                  || '\x00'::bytea || convert_to(workload_id, 'UTF8') || '\x00'::bytea
                  || convert_to(event_id::text, 'UTF8') || '\x00'::bytea || convert_to(event_type, 'UTF8')
                  || '\x00'::bytea
                  || convert_to((extract(epoch FROM occurred_at) * 1000000)::bigint::text, 'UTF8') || '\x00'::bytea
                  || convert_to(actor_type, 'UTF8') || '\x00'::bytea || convert_to(actor_id, 'UTF8')
                  || '\x00'::bytea || convert_to(entry_number::text, 'UTF8') || '\x00'::bytea
                  || convert_to(details::text, 'UTF8') || '\x00'::bytea) AS digest
      FROM audit_events
     WHERE entry_number > :after::bigint AND entry_number <= :upto::bigint
     ORDER BY entry_number LIMIT :most::int
), run AS (
    SELECT customer_id, date_trunc('month', occurred_at, 'UTC') AS month, count(*) AS event_count,
           sha256(string_agg(digest, ''::bytea ORDER BY entry_number)) AS content_sha256,
           string_agg(workload_id || ' ' || event_id || ' ' || encode(substr(digest, 1, 8), 'hex'), E'\n'
                      ORDER BY entry_number) AS manifest
      FROM due GROUP BY 1, 2
)
SELECT r.customer_id, (r.month AT TIME ZONE 'UTC')::date AS month, r.event_count, r.content_sha256, r.manifest,
       coalesce(h.sequence, 0) AS sequence, coalesce(h.events_total, 0) AS events_total, h.hash AS head_hash,
       h.sealed_at, clock_timestamp() AS db_now,
       (SELECT count(*) FROM due) AS read_count, (SELECT max(entry_number) FROM due) AS read_to
  FROM run r LEFT JOIN audit_heads h USING (customer_id)
 ORDER BY r.customer_id, r.month;

-- name: seal(epoch, after, upto, customer_ids, sequences, months, event_counts, events_totals, contents, manifests, previous_hashes, previous_ats, hashes, key_ids, sealed_ats)^
-- Store seals and the customers' new heads; gives 1, or 0 when another leads or has sealed these events. Locking: the leader's lease,
-- the one row of `audit_sealing`, the heads.
WITH fence AS MATERIALIZED (
    SELECT epoch FROM leader_lease WHERE epoch = :epoch::bigint FOR KEY SHARE
), mark AS (
    UPDATE audit_sealing SET sealed_to = :upto::bigint
     WHERE sealed_to = :after::bigint AND EXISTS (SELECT FROM fence)
    RETURNING sealed_to
), given AS MATERIALIZED (
    SELECT * FROM unnest(:customer_ids::text[], :sequences::bigint[], :months::date[], :event_counts::int[],
                         :events_totals::bigint[], :contents::bytea[], :manifests::text[], :previous_hashes::bytea[],
                         :previous_ats::timestamptz[], :hashes::bytea[], :key_ids::text[], :sealed_ats::timestamptz[])
        AS s (customer_id, sequence, month, event_count, events_total, content_sha256, manifest, previous_hash,
              previous_at, hash, key_id, sealed_at)
     WHERE EXISTS (SELECT FROM mark)
), head AS (
    INSERT INTO audit_heads AS h (customer_id, sequence, events_total, hash, sealed_at)
    SELECT DISTINCT ON (customer_id) customer_id, sequence, events_total, hash, sealed_at
      FROM given ORDER BY customer_id, sequence DESC
        ON CONFLICT (customer_id) DO UPDATE SET sequence = excluded.sequence, events_total = excluded.events_total,
           hash = excluded.hash, sealed_at = excluded.sealed_at
), seals AS (
    INSERT INTO audit_seals (customer_id, sequence, month, entries_after, entries_to, event_count, events_total,
                             content_sha256, manifest, previous_hash, previous_at, hash, key_id, sealed_at)
    SELECT customer_id, sequence, month, :after::bigint, :upto::bigint, event_count, events_total, content_sha256,
           manifest, previous_hash, previous_at, hash, key_id, sealed_at FROM given
)
SELECT count(*) AS sealed FROM mark;

-- name: lag()^
-- How long ago the oldest event happened that isn't sealed; 0 when all are.
SELECT coalesce((SELECT greatest(0, extract(epoch FROM now() - e.occurred_at))::double precision
                   FROM audit_events e
                  WHERE e.entry_number > (SELECT sealed_to FROM audit_sealing)
                  ORDER BY e.entry_number LIMIT 1), 0) AS seconds;

-- name: heads()
-- The end of each chain, for a checkpoint.
SELECT customer_id, sequence, events_total, encode(hash, 'hex') AS hash FROM audit_heads ORDER BY customer_id;

-- name: export_due(every_seconds)^
-- The present moment if the last checkpoint was written longer ago than that.
SELECT now() AS db_now FROM audit_sealing
 WHERE exported_at IS NULL OR exported_at < now() - make_interval(secs => :every_seconds::double precision);

-- name: note_export(exported_at)!
-- A checkpoint of that moment is written.
UPDATE audit_sealing SET exported_at = :exported_at WHERE exported_at IS NULL OR exported_at < :exported_at;
