-- name: limit_locks(milliseconds)
-- Gives up soon rather than wait for a lock, and make others queue behind, until the transaction ends.
SELECT set_config('lock_timeout', :milliseconds, true);
