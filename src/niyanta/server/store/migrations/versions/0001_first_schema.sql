-- The first schema. Every customer-owned table has customer_id first in its primary key, so that the database can be
-- split by customer later without a change of schema or query. CHECK constraints repeat the domain's invariants. What is
-- sorted by has the collation "C": the same order in every database, and compared as bytes.

CREATE TABLE customers (
    customer_id              text COLLATE "C" PRIMARY KEY CHECK (customer_id ~ '^cust_[A-Za-z0-9][A-Za-z0-9_-]{0,58}$'),
    name                     text NOT NULL,
    tier                     text NOT NULL CHECK (tier IN ('free', 'standard', 'premium', 'enterprise')),
    status                   text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    max_concurrent_workloads integer CHECK (max_concurrent_workloads >= 0),
    max_queue_depth          integer CHECK (max_queue_depth >= 0),
    rate_limit_per_sec       double precision CHECK (rate_limit_per_sec > 0),
    burst                    integer CHECK (burst > 0),
    created_at               timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN customers.max_queue_depth IS 'NULL: what the tier gives; so for the other three limits';

CREATE TABLE api_keys (
    customer_id  text COLLATE "C" NOT NULL REFERENCES customers,
    key_id       text NOT NULL,
    key_sha256   bytea NOT NULL CHECK (length(key_sha256) = 32),
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('customer', 'admin')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (customer_id, key_id)
);
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (key_sha256);
CREATE UNIQUE INDEX api_keys_by_key_id ON api_keys (key_id);

CREATE TABLE customer_usage (
    customer_id text COLLATE "C" PRIMARY KEY REFERENCES customers,
    queued      integer NOT NULL DEFAULT 0 CHECK (queued >= 0),
    running     integer NOT NULL DEFAULT 0 CHECK (running >= 0),
    assigned    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
COMMENT ON TABLE customer_usage IS 'Live counts, kept in the transactions that move workloads';
COMMENT ON COLUMN customer_usage.assigned IS 'Assignments ever made; its growth is the rate at which the queue is served';

CREATE TABLE workload_configs (
    customer_id             text COLLATE "C" NOT NULL REFERENCES customers,
    config_id               text COLLATE "C" NOT NULL,
    workload_type           text COLLATE "C" NOT NULL,
    description             text NOT NULL DEFAULT '',
    config_json             json NOT NULL DEFAULT '{}',
    input_schema            json,
    cpu_cores               double precision NOT NULL DEFAULT 1 CHECK (cpu_cores > 0),
    memory_mb               integer NOT NULL DEFAULT 512 CHECK (memory_mb > 0),
    disk_mb                 integer NOT NULL DEFAULT 1024 CHECK (disk_mb > 0),
    checkpoint_interval_sec integer NOT NULL DEFAULT 300 CHECK (checkpoint_interval_sec > 0),
    max_retries             integer NOT NULL DEFAULT 3 CHECK (max_retries >= 0),
    timeout_seconds         integer CHECK (timeout_seconds > 0),
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, config_id),
    UNIQUE (customer_id, workload_type)
);

CREATE TABLE workloads (
    customer_id         text COLLATE "C" NOT NULL,
    workload_id         text COLLATE "C" NOT NULL,
    workload_type       text COLLATE "C" NOT NULL,
    status              text COLLATE "C" NOT NULL CHECK (status IN ('PENDING', 'SCHEDULED', 'RUNNING', 'PAUSED',
                                                        'REDISTRIBUTING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    version             bigint NOT NULL DEFAULT 1,
    generation          integer NOT NULL DEFAULT 0 CHECK (generation >= 0),
    event_count         integer NOT NULL DEFAULT 1,
    worker_id           text,
    incarnation         text,
    scheduled_from      text CHECK (scheduled_from IN ('PENDING', 'REDISTRIBUTING')),
    event_sequence      bigint NOT NULL DEFAULT 0,
    progress_percent    integer NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    progress_message    text,
    retry_count         integer NOT NULL DEFAULT 0,
    failure_count       integer NOT NULL DEFAULT 0,
    death_streak        integer NOT NULL DEFAULT 0,
    checkpoint_sequence integer NOT NULL DEFAULT 0,
    pause_phase         text CHECK (pause_phase IN ('requested', 'granted')),
    ready               boolean NOT NULL DEFAULT true,
    available_at        timestamptz,
    scheduled_at        timestamptz,
    started_at          timestamptz,
    attempt_started_at  timestamptz,
    paused_at           timestamptz,
    completed_at        timestamptz,
    error_message       text,
    result_json         json,
    -- What never changes after the submission.
    priority            integer NOT NULL CHECK (priority BETWEEN 0 AND 1000),
    input_params        json NOT NULL,
    affinity_rules      json,
    timeout_seconds     integer CHECK (timeout_seconds > 0),
    placement_key       bigint NOT NULL,
    queue_rank          double precision NOT NULL,
    created_at          timestamptz NOT NULL,
    -- The customer's config of the type as it was at the first assignment; NULL: there was none, or not assigned yet.
    config_snapshot     json,
    -- Sorting by progress needs an index, but an indexed column that every report changes would end HOT updates. This
    -- one is NULL, and so doesn't change, as long as a worker holds the workload.
    resting_progress    integer GENERATED ALWAYS AS (CASE WHEN incarnation IS NULL THEN progress_percent END) STORED,
    PRIMARY KEY (customer_id, workload_id),
    CONSTRAINT held_by_a_worker CHECK ((status IN ('SCHEDULED', 'RUNNING')) = (incarnation IS NOT NULL)),
    CONSTRAINT no_worker_while_waiting CHECK (status NOT IN ('PENDING', 'REDISTRIBUTING', 'PAUSED') OR worker_id IS NULL),
    CONSTRAINT ended_when_terminal CHECK ((status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (completed_at IS NOT NULL)),
    CONSTRAINT ready_only_when_queued CHECK (NOT ready OR status IN ('PENDING', 'REDISTRIBUTING')),
    CONSTRAINT result_only_when_completed CHECK (result_json IS NULL OR status = 'COMPLETED'),
    CONSTRAINT pause_only_when_running CHECK (pause_phase IS NULL OR status = 'RUNNING'),
    CONSTRAINT paused_at_when_paused CHECK ((status = 'PAUSED') = (paused_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 1);
CREATE INDEX workloads_queue ON workloads (customer_id, placement_key, queue_rank, workload_id) WHERE ready;
CREATE INDEX workloads_backing_off ON workloads (available_at) WHERE available_at IS NOT NULL AND NOT ready;
CREATE INDEX workloads_held ON workloads (worker_id) WHERE incarnation IS NOT NULL;
-- Lists (ADR 0011). What a worker holds is little, and is sorted when it is asked for; what rests is much, and each
-- order has its index. A workload enters these indexes twice in its life: when it is queued and when it ends.
CREATE INDEX workloads_held_of_customer ON workloads (customer_id, workload_id) WHERE incarnation IS NOT NULL;
CREATE INDEX workloads_resting ON workloads (customer_id, status, workload_type, workload_id) WHERE incarnation IS NULL;
CREATE INDEX workloads_by_priority ON workloads (customer_id, status, workload_type, priority, workload_id)
 WHERE incarnation IS NULL;
CREATE INDEX workloads_by_progress ON workloads (customer_id, status, workload_type, resting_progress, workload_id)
 WHERE incarnation IS NULL;
CREATE INDEX workloads_by_start ON workloads (customer_id, status, workload_type, started_at, workload_id)
 WHERE incarnation IS NULL;
CREATE INDEX workloads_by_end ON workloads (customer_id, status, workload_type, completed_at, workload_id)
 WHERE completed_at IS NOT NULL;

CREATE VIEW workload_summaries AS
SELECT customer_id, workload_id, workload_type, status, priority, progress_percent, created_at, started_at,
       completed_at, version, retry_count, worker_id
  FROM workloads;
COMMENT ON VIEW workload_summaries IS 'A workload as lists show it';

CREATE TABLE workload_hours (
    customer_id       text COLLATE "C" NOT NULL,
    hour              timestamptz NOT NULL,
    workload_type     text COLLATE "C" NOT NULL,
    created           integer NOT NULL DEFAULT 0,
    completed         integer NOT NULL DEFAULT 0,
    failed            integer NOT NULL DEFAULT 0,
    cancelled         integer NOT NULL DEFAULT 0,
    completed_seconds double precision NOT NULL DEFAULT 0,
    execution_seconds double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, hour, workload_type)
) WITH (fillfactor = 50);
COMMENT ON TABLE workload_hours IS 'What became of the workloads created in an hour (UTC), kept in the transactions that create and end them (ADR 0011). Outlives the workloads';
COMMENT ON COLUMN workload_hours.completed_seconds IS 'started_at to completed_at, of the COMPLETED ones; execution_seconds: of all that ended after a start';

CREATE VIEW workload_states AS
SELECT customer_id, workload_id, workload_type, status, version, generation, event_count, worker_id, incarnation,
       scheduled_from, event_sequence, progress_percent, progress_message, retry_count, failure_count, death_streak,
       checkpoint_sequence, pause_phase, ready, available_at, scheduled_at, started_at, attempt_started_at, paused_at,
       completed_at, error_message, result_json, placement_key, config_snapshot, timeout_seconds
  FROM workloads;
COMMENT ON VIEW workload_states IS 'What the moves read: the columns of domain.WorkloadState in its order, and what a decision needs besides';

CREATE TABLE idempotency_keys (
    customer_id text COLLATE "C" NOT NULL,
    operation   text COLLATE "C" NOT NULL CHECK (operation IN ('submit', 'submit_batch')),
    key         text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_sha256 bytea NOT NULL,
    answer      json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, operation, key)
);
COMMENT ON COLUMN idempotency_keys.answer IS 'The outcome of each workload of the submission, given again when the key comes again';
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE checkpoints (
    customer_id      text COLLATE "C" NOT NULL,
    workload_id      text COLLATE "C" NOT NULL,
    sequence         integer NOT NULL CHECK (sequence > 0),
    generation       integer NOT NULL,
    encoding         text NOT NULL CHECK (encoding IN ('json', 'bytes')),
    data             bytea,
    object_key       text,
    size_bytes       bigint NOT NULL,
    sha256           bytea NOT NULL CHECK (length(sha256) = 32),
    progress_percent integer NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, workload_id, sequence),
    CONSTRAINT somewhere CHECK ((data IS NULL) <> (object_key IS NULL))
);
ALTER TABLE checkpoints ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON COLUMN checkpoints.sha256 IS 'Of the uncompressed bytes; data is zstd';

CREATE TABLE workload_logs (
    customer_id text COLLATE "C" NOT NULL,
    workload_id text COLLATE "C" NOT NULL,
    generation  integer NOT NULL,
    sequence    bigint NOT NULL,
    logged_at   timestamptz NOT NULL,
    level       text NOT NULL CHECK (level IN ('DEBUG', 'INFO', 'WARN', 'ERROR')),
    message     text NOT NULL,
    details     json NOT NULL DEFAULT '{}',
    PRIMARY KEY (customer_id, workload_id, logged_at, generation, sequence)
) PARTITION BY RANGE (logged_at);

CREATE TABLE audit_events (
    customer_id text COLLATE "C" NOT NULL,
    workload_id text COLLATE "C" NOT NULL,
    event_id    integer NOT NULL,
    event_type  text NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor_type  text NOT NULL CHECK (actor_type IN ('user', 'coordinator', 'worker')),
    actor_id    text NOT NULL,
    details     json NOT NULL,
    PRIMARY KEY (customer_id, workload_id, event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is never rewritten: % on % refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit_events
    EXECUTE FUNCTION refuse_change();

-- Partitions. There is no DEFAULT partition: beside one, a partition can't be attached or detached without stopping
-- every reader and writer, and rows that strayed into it would stop the attaching for good. Instead partitions are made
-- long ahead, by the upkeep loop and at each start of a coordinator, and no row's time is far from the database's.

CREATE FUNCTION make_partitions(parent text, unit text, around timestamptz, ahead interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    step      interval := ('1 ' || unit)::interval;
    starts    timestamp := date_trunc(unit, around AT TIME ZONE 'UTC') - step;
    partition text;
    made      integer := 0;
BEGIN
    -- Replicas that start together take turns.
    PERFORM pg_advisory_xact_lock(hashtext('niyanta.make_partitions'));
    WHILE starts <= (around + ahead) AT TIME ZONE 'UTC' LOOP
        partition := parent || '_p' || to_char(starts, 'YYYYMMDD');
        IF to_regclass(quote_ident(partition)) IS NULL THEN
            -- CREATE TABLE ... PARTITION OF would lock the parent against everything; ATTACH doesn't.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
            IF parent = 'audit_events' THEN
                -- Triggers for rows are inherited, those for TRUNCATE are not.
                EXECUTE format('CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON %I
                                EXECUTE FUNCTION refuse_change()', partition);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition,
                           starts AT TIME ZONE 'UTC', (starts + step) AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        starts := starts + step;
    END LOOP;
    RETURN made;
END $$;
SELECT make_partitions('workload_logs', 'day', now(), '7 days'), make_partitions('audit_events', 'month', now(), '2 months');

CREATE TABLE workers (
    worker_id      text PRIMARY KEY,
    incarnation    text NOT NULL,
    status         text COLLATE "C" NOT NULL CHECK (status IN ('HEALTHY', 'DRAINING', 'DEAD')),
    capacity       integer NOT NULL CHECK (capacity > 0),
    tags           json NOT NULL,
    handlers       json NOT NULL,
    version        text NOT NULL,
    registered_at  timestamptz NOT NULL DEFAULT now(),
    last_heartbeat timestamptz NOT NULL DEFAULT now(),
    ended_reason   text
) WITH (fillfactor = 50);

CREATE TABLE leader_lease (
    one_row    boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    epoch      bigint NOT NULL UNIQUE,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 20);
COMMENT ON COLUMN leader_lease.epoch IS 'UNIQUE, so that a take-over takes a key lock: it waits for leader writes under way, which hold FOR KEY SHARE, while renewals do not conflict';
INSERT INTO leader_lease (epoch, holder, expires_at) VALUES (0, '', '-infinity');

CREATE UNLOGGED TABLE rate_buckets (
    customer_id text COLLATE "C" PRIMARY KEY,
    tokens      double precision NOT NULL,
    filled_at   timestamptz NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE rate_buckets IS 'Token buckets that all replicas borrow from; UNLOGGED: after a crash they begin full';

CREATE TABLE shared_secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL CHECK (length(value) >= 32)
);
COMMENT ON TABLE shared_secrets IS 'Random keys that all replicas share; read at start';
INSERT INTO shared_secrets (name, value)
SELECT 'cursors', sha256(string_agg(uuid_send(gen_random_uuid()), '')) FROM generate_series(1, 4);
