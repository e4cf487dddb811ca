-- Keys for less than all, short-lived tokens made of keys, and where each was used last.
-- A release before this one reads none of these columns: it makes keys for all that their role may do, takes a token for such a key,
-- and revokes a key without its tokens. So no tokens are made before the last such coordinator has gone (docs/operations.md).
SET LOCAL lock_timeout = '5s';
ALTER TABLE api_keys
    ADD COLUMN scopes text[] CHECK (cardinality(scopes) > 0),
    ADD COLUMN made_of text,
    ADD COLUMN workload_id text COLLATE "C",
    ADD COLUMN last_used_from text;
COMMENT ON COLUMN api_keys.scopes IS 'What the key may do; NULL: all that its role may';
COMMENT ON COLUMN api_keys.made_of IS 'The key that a token was made of, with which it ends; NULL for keys';
COMMENT ON COLUMN api_keys.workload_id IS 'The only workload that a token is good for; NULL: all';
COMMENT ON COLUMN api_keys.last_used_from IS 'Network address that it was used from last';
CREATE INDEX api_keys_made_of ON api_keys (made_of, expires_at) WHERE made_of IS NOT NULL;
