-- name: take(holder, lease_seconds)^
-- Become the leader if nobody's lease runs. Changing epoch, a unique key, waits for the old leader's writes under way.
UPDATE leader_lease SET epoch = epoch + 1, holder = :holder, expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
 WHERE expires_at < clock_timestamp() RETURNING epoch;

-- name: renew(epoch, lease_seconds)^
-- Stay the leader; gives nothing when another epoch has begun.
UPDATE leader_lease SET expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
 WHERE epoch = :epoch RETURNING epoch;

-- name: give_up(epoch)!
-- Let another take over at once.
UPDATE leader_lease SET expires_at = '-infinity' WHERE epoch = :epoch;

-- name: current()^
-- Who leads, and for how many seconds more without a renewal; a lease that was given up has run out long ago.
SELECT epoch, holder, expires_at > clock_timestamp() AS held,
       CASE WHEN expires_at = '-infinity' THEN 0
            ELSE extract(epoch FROM expires_at - clock_timestamp())::double precision END AS left_seconds
  FROM leader_lease;
