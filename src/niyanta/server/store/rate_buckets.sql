-- name: open_full(customer_ids, bursts)!
-- Buckets of customers that have none yet, full.
INSERT INTO rate_buckets (customer_id, tokens, filled_at)
SELECT i.customer_id, i.burst, clock_timestamp()
  FROM unnest(:customer_ids::text[], :bursts::double precision[]) AS i (customer_id, burst) ORDER BY i.customer_id
ON CONFLICT (customer_id) DO NOTHING;

-- name: take(customer_ids, rates, bursts, wants, returned)
-- Fill the buckets by the time that has passed and by what is returned, and take what is wanted, or what there is, in
-- whole tokens. A token that is there but for a rounding error is there. Locking: the buckets' rows, in order of customer.
WITH asked AS (
    SELECT * FROM unnest(:customer_ids::text[], :rates::double precision[], :bursts::double precision[],
                         :wants::double precision[], :returned::double precision[])
        AS i (customer_id, rate, burst, want, returned)
), locked AS MATERIALIZED (
    SELECT b.customer_id, b.tokens, b.filled_at FROM rate_buckets b
     WHERE b.customer_id IN (SELECT customer_id FROM asked) ORDER BY b.customer_id FOR NO KEY UPDATE
), timed AS MATERIALIZED (
    SELECT l.*, clock_timestamp() AS now FROM locked l
), filled AS (
    SELECT a.customer_id, a.want, t.now AS filled_at,
           least(a.burst, t.tokens + a.returned + a.rate * greatest(0, extract(epoch FROM t.now - t.filled_at))) AS tokens
      FROM asked a JOIN timed t USING (customer_id)
), granted AS (
    SELECT customer_id, filled_at, tokens, least(want, floor(tokens + 1e-9)) AS amount FROM filled
)
UPDATE rate_buckets b SET tokens = greatest(0, g.tokens - g.amount), filled_at = g.filled_at
  FROM granted g WHERE b.customer_id = g.customer_id
RETURNING b.customer_id, g.amount::bigint AS amount, b.tokens;
