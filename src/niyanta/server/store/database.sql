-- name: durability()^
-- Whether PostgreSQL keeps what it acknowledges.
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit;

-- name: limit_locks(milliseconds)
-- Gives up soon rather than wait for a lock, and make others queue behind, until the transaction ends.
SELECT set_config('lock_timeout', :milliseconds, true);
