-- name: create_key(customer_id, key_id, key_sha256, name, role, scopes, expires_at)^
-- Store a key's hash; the key itself is never stored.
INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, scopes, expires_at)
VALUES (:customer_id, :key_id, :key_sha256, :name, :role, :scopes::text[], :expires_at)
RETURNING customer_id, key_id, name, role, scopes, 'active' AS status, created_at, expires_at, revoked_at, last_used_at,
          last_used_from, made_of, workload_id;

-- name: lock_key(key_id)!
-- Keeps others from making tokens of a key, and from ending it, until the transaction ends. In a statement of its own, so that
-- the next sees the tokens that were made while this waited. Locking: the key's row.
SELECT FROM api_keys WHERE key_id = :key_id FOR UPDATE;

-- name: succeed_key(customer_id, key_id, overlap_seconds, new_key_id, new_key_sha256)^
-- Another key for all that an active one is for; the old one ends when the overlap is over, or before as it would have, and its
-- tokens with it. Locking: the tokens' rows, in a transaction that has locked the key.
WITH was AS MATERIALIZED (
    SELECT * FROM api_keys
     WHERE customer_id = :customer_id AND key_id = :key_id AND made_of IS NULL AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > now())
), ended AS (
    UPDATE api_keys k
       SET expires_at = least(k.expires_at, now() + make_interval(secs => :overlap_seconds::double precision))
      FROM was WHERE k.key_id = was.key_id OR k.made_of = was.key_id
)
INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, scopes, expires_at)
SELECT customer_id, :new_key_id, :new_key_sha256, name, role, scopes, expires_at FROM was
RETURNING customer_id, key_id, name, role, scopes, 'active' AS status, created_at, expires_at, revoked_at, last_used_at,
          last_used_from, made_of, workload_id;

-- name: create_token(customer_id, key_id, token_id, token_sha256, scopes, workload_id, life_seconds, most)^
-- A token made of an active key, good no longer than that; nothing when the key isn't active or has as many as it may. In a
-- transaction that has locked the key, so that it can't be revoked meanwhile, and the count is exact.
WITH maker AS MATERIALIZED (
    SELECT * FROM api_keys
     WHERE customer_id = :customer_id AND key_id = :key_id AND made_of IS NULL AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > now())
)
INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, scopes, expires_at, made_of, workload_id)
SELECT customer_id, :token_id, :token_sha256, name, role, :scopes::text[],
       least(expires_at, now() + make_interval(secs => :life_seconds::double precision)), key_id, :workload_id
  FROM maker
 WHERE (SELECT count(*) FROM api_keys t
         WHERE t.made_of = maker.key_id AND t.expires_at > now() AND t.revoked_at IS NULL) < :most
RETURNING customer_id, key_id, name, role, scopes, 'active' AS status, created_at, expires_at, revoked_at, last_used_at,
          last_used_from, made_of, workload_id;

-- name: live_tokens(customer_id, key_id, most)
-- A customer's tokens that are good now, the newest first; of one key, if it is given.
SELECT customer_id, key_id, name, role, scopes, 'active' AS status, created_at, expires_at, revoked_at, last_used_at,
       last_used_from, made_of, workload_id
  FROM api_keys
 WHERE customer_id = :customer_id AND made_of IS NOT NULL AND revoked_at IS NULL AND expires_at > now()
   AND (:key_id::text IS NULL OR made_of = :key_id::text)
 ORDER BY created_at DESC, key_id LIMIT :most;

-- name: live_keys(hashes)
-- The keys and tokens with these hashes that are good now, with their customer, as far as authentication needs them.
SELECT k.key_sha256, k.key_id, k.role, k.scopes, k.made_of, k.workload_id, c.customer_id, c.status AS customer_status
  FROM api_keys k JOIN customers c USING (customer_id)
 WHERE k.key_sha256 = ANY(:hashes::bytea[]) AND k.revoked_at IS NULL
   AND (k.expires_at IS NULL OR k.expires_at > now());

-- name: keys_page(customer_id, after, most, skip)
-- A page of a customer's keys, oldest first, without anything that could be used. Keys are never deleted, so the row a
-- cursor names is always there.
SELECT customer_id, key_id, name, role, scopes,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS status,
       created_at, expires_at, revoked_at, last_used_at, last_used_from, made_of, workload_id
  FROM api_keys
 WHERE customer_id = :customer_id AND made_of IS NULL
   AND (:after::text IS NULL
        OR (created_at, key_id) > (SELECT a.created_at, a.key_id FROM api_keys a
                                    WHERE a.customer_id = :customer_id AND a.key_id = :after::text))
 ORDER BY created_at, key_id LIMIT :most OFFSET :skip;

-- name: count_keys(customer_id)^
-- How many keys a customer has, the ended ones included.
SELECT count(*) AS total FROM api_keys WHERE customer_id = :customer_id AND made_of IS NULL;

-- name: revoke_key(key_id, customer_id)^
-- Once revoked, for ever, and every token with it that was made of it. Gives nothing for an unknown key, or one of another customer
-- than the given. Locking: the tokens' rows, in a transaction that has locked the key, so that no token is made of it meanwhile.
WITH ended AS (
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
     WHERE key_id = :key_id AND (:customer_id::text IS NULL OR customer_id = :customer_id::text)
    RETURNING customer_id, key_id
), with_it AS (
    UPDATE api_keys t SET revoked_at = now() FROM ended WHERE t.made_of = ended.key_id AND t.revoked_at IS NULL
)
SELECT customer_id FROM ended;

-- name: token_is_there(token_id, key_id)^
-- Whether a token was made of this key, ended or not.
SELECT EXISTS (SELECT FROM api_keys WHERE key_id = :token_id AND made_of = :key_id) AS is_there;

-- name: revoke_token(token_id, key_id)^
-- The same of a token, if it was made of this key.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
 WHERE key_id = :token_id AND made_of = :key_id
RETURNING customer_id;

-- name: forget_tokens(most)
-- Delete a batch of tokens that ended a month ago; till then they tell from where a key was used.
DELETE FROM api_keys WHERE key_id IN (
    SELECT key_id FROM api_keys WHERE made_of IS NOT NULL AND expires_at < now() - interval '30 days' LIMIT :most)
RETURNING key_id;

-- name: mark_used(key_ids, sources)!
-- Note the use of keys and from where, a minute's precision is enough.
UPDATE api_keys k SET last_used_at = now(), last_used_from = used.source
  FROM unnest(:key_ids::text[], :sources::text[]) AS used (key_id, source)
 WHERE k.key_id = used.key_id AND (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute');
