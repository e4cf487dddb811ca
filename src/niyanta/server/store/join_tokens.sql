-- name: create_token(token_id, token_sha256, name, worker_pattern, workload_types, tags, customers, expires_at, most)^
-- Add a token; nothing is written, and nothing given, when there are too many live ones. Locking: none; the count may be
-- passed by as many as are made at the same moment.
INSERT INTO join_tokens (token_id, token_sha256, name, worker_pattern, workload_types, tags, customers, expires_at)
SELECT :token_id, :token_sha256, :name, :worker_pattern, :workload_types::text[], :tags::jsonb, :customers::text[], :expires_at
 WHERE (SELECT count(*) FROM join_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())) < :most
RETURNING token_id, name, worker_pattern, workload_types, tags::text AS tags, customers, 'active' AS status,
          created_at, expires_at, revoked_at;

-- name: live_tokens()
-- Every token that is good now. Coordinators keep them in memory; their number is bounded.
SELECT token_id, token_sha256, worker_pattern, workload_types, tags::text AS tags, customers, expires_at
  FROM join_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: tokens_page(after, most, skip)
-- A page of the tokens, oldest first, without anything that could be used. Tokens are never deleted, so the row a cursor
-- names is always there.
SELECT token_id, name, worker_pattern, workload_types, tags::text AS tags, customers,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS status,
       created_at, expires_at, revoked_at
  FROM join_tokens
 WHERE :after::text IS NULL
    OR (created_at, token_id) > (SELECT a.created_at, a.token_id FROM join_tokens a WHERE a.token_id = :after::text)
 ORDER BY created_at, token_id LIMIT :most OFFSET :skip;

-- name: count_tokens()^
-- How many tokens there are, the ended ones included.
SELECT count(*) AS total FROM join_tokens;

-- name: revoke_token(token_id)^
-- Once revoked, for ever. Gives nothing for an unknown token.
UPDATE join_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE token_id = :token_id RETURNING token_id;
