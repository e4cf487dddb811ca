-- name: live_sessions(customer_id, kind, used_within_seconds, most)
-- Every credential that is good now, those used last first. Locking: none. It reads all of them: for operators, and rarely.
SELECT * FROM (
    SELECT key_id AS session_id, customer_id, CASE WHEN made_of IS NULL THEN 'api_key' ELSE 'api_token' END AS kind, name, role,
           made_of, workload_id, created_at AS began_at, expires_at, last_used_at, last_used_from
      FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
     UNION ALL
    SELECT session_id, customer_id, 'json_web_token', subject, 'customer', NULL, NULL, first_used_at, expires_at, last_used_at,
           last_used_from
      FROM sign_ins WHERE expires_at > now() AND (revoked_at IS NULL OR issued_at > revoked_at)
) s
 WHERE (:customer_id::text IS NULL OR customer_id = :customer_id::text) AND (:kind::text IS NULL OR kind = :kind::text)
   AND (:used_within_seconds::double precision IS NULL
        OR last_used_at > now() - make_interval(secs => :used_within_seconds::double precision))
 ORDER BY last_used_at DESC NULLS LAST, session_id LIMIT :most;

-- name: standings(customer_ids, session_ids)
-- Whether these customers, whose tokens were good, exist and may call; and since when tokens of a subject are good.
SELECT a.session_id, c.status, s.revoked_at
  FROM unnest(:customer_ids::text[], :session_ids::text[]) AS a (customer_id, session_id)
  JOIN customers c USING (customer_id) LEFT JOIN sign_ins s USING (session_id);

-- name: note_sign_ins(session_ids, customer_ids, subjects, sources, issued_ats, expires_ats, most)!
-- Note who came in, a minute's precision is enough; of a customer with very many subjects no more than so many.
-- Locking: the rows, in order of id.
INSERT INTO sign_ins AS s (session_id, customer_id, subject, last_used_from, issued_at, expires_at)
SELECT n.session_id, n.customer_id, n.subject, n.source, n.issued_at, n.expires_at
  FROM unnest(:session_ids::text[], :customer_ids::text[], :subjects::text[], :sources::text[],
              :issued_ats::timestamptz[], :expires_ats::timestamptz[])
       AS n (session_id, customer_id, subject, source, issued_at, expires_at)
 WHERE EXISTS (SELECT FROM sign_ins k WHERE k.session_id = n.session_id)
    OR (SELECT count(*) FROM (SELECT FROM sign_ins k WHERE k.customer_id = n.customer_id LIMIT :most) few) < :most
 ORDER BY n.session_id
ON CONFLICT (session_id) DO UPDATE
   SET last_used_at = now(), last_used_from = excluded.last_used_from,
       issued_at = greatest(s.issued_at, excluded.issued_at), expires_at = greatest(s.expires_at, excluded.expires_at)
 WHERE s.last_used_at < now() - interval '1 minute' OR s.expires_at < excluded.expires_at
       OR s.issued_at IS DISTINCT FROM greatest(s.issued_at, excluded.issued_at);

-- name: revoke_sign_in(session_id)^
-- Tokens that were issued up to now are good no more. Gives nothing for who never came in.
UPDATE sign_ins SET revoked_at = now() WHERE session_id = :session_id RETURNING customer_id;

-- name: forget_sign_ins(most)
-- Delete a batch of those that ended a month ago. Those that an operator has ended stay: their tokens may be good for longer.
-- Locking: those rows; skips what is locked, as an operator may be ending it.
DELETE FROM sign_ins WHERE session_id IN (
    SELECT session_id FROM sign_ins
     WHERE last_used_at < now() - interval '30 days' AND expires_at < now() - interval '30 days' AND revoked_at IS NULL
     LIMIT :most FOR UPDATE SKIP LOCKED)
RETURNING session_id;
