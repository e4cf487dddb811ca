-- Join tokens may name the only customers whose workloads their workers get.
-- The release before this one reads none of this: its leader gives workers of such a token everybody's workloads.
SET LOCAL lock_timeout = '5s';
ALTER TABLE join_tokens ADD COLUMN customers text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN join_tokens.customers IS 'The only ones whose workloads its workers get; everybody''s when empty';
