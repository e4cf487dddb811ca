-- Join tokens of workers, and the keys by which coordinators and the broker know each other.
-- The release before this one reads none of this.
SET LOCAL lock_timeout = '5s';
CREATE TABLE join_tokens (
    token_id       text COLLATE "C" PRIMARY KEY CHECK (token_id ~ '^[0-9a-z]{12}$'),
    token_sha256   bytea NOT NULL CHECK (length(token_sha256) = 32),
    name           text NOT NULL,
    worker_pattern text NOT NULL DEFAULT '*',
    workload_types text[] NOT NULL DEFAULT '{}',
    tags           jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz
);
COMMENT ON TABLE join_tokens IS 'What workers come into the broker with; kept as SHA-256 only';
CREATE INDEX join_tokens_by_age ON join_tokens (created_at, token_id);
INSERT INTO shared_secrets (name, value)
SELECT name, sha256(name::bytea || string_agg(uuid_send(gen_random_uuid()), ''))
  FROM unnest(ARRAY['broker-issuer', 'broker-coordinator', 'broker-system']) AS name, generate_series(1, 4)
 GROUP BY name;
