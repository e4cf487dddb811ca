-- Running time used, done again and lost, by the hour.
-- The release before this one counts none: attempts whose end it writes are missing in them.
SET LOCAL lock_timeout = '5s';
ALTER TABLE workload_hours
    ADD COLUMN used_seconds   double precision NOT NULL DEFAULT 0,
    ADD COLUMN redone_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN lost_seconds   double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN workload_hours.used_seconds IS 'Running time of all attempts that have ended';
COMMENT ON COLUMN workload_hours.redone_seconds IS 'Of that since the last checkpoint, of attempts after which another had to do it again';
COMMENT ON COLUMN workload_hours.lost_seconds IS 'Of that since the last checkpoint, of attempts that ended FAILED or CANCELLED';
CREATE OR REPLACE VIEW reporting.hours AS
SELECT customer_id, hour, workload_type, created, completed, failed, cancelled, completed_seconds, execution_seconds,
       used_seconds, redone_seconds, lost_seconds
  FROM workload_hours;
