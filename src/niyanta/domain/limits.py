"""All bounds that customers, operators and handlers meet, and the defaults where no config says.

The rule: a size, a count, a length or a time in which something has to happen that somebody outside the code can run
into stands here, under a name that begins with ``MAX``, ``MIN`` or ``DEFAULT`` or says what it is; whoever checks it,
describes it in the OpenAPI document, or asks for no more than it takes it from here. Defaults of a program's settings
are theirs, and so are the numbers by which one module tunes its own work: those are private to it. A test looks for
bounds in other places.

Lengths are in characters, sizes in bytes, unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# --- customers ------------------------------------------------------------------------------------


class Tier(StrEnum):
    """A customer's class, lowest first."""

    FREE = "free"
    STANDARD = "standard"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class TierLimits:
    """A tier's defaults; a customer's own figures override them."""

    weight: int
    """Share of the dispatches against other customers."""
    max_concurrent_workloads: int
    max_queue_depth: int
    rate_limit_per_sec: float
    burst: int


TIERS: dict[Tier, TierLimits] = {
    Tier.FREE: TierLimits(1, 10, 50, 1, 5),
    Tier.STANDARD: TierLimits(10, 100, 500, 10, 50),
    Tier.PREMIUM: TierLimits(50, 500, 2_000, 50, 200),
    Tier.ENTERPRISE: TierLimits(100, 2_000, 10_000, 200, 1_000),
}

LIMIT_RANGES: dict[str, tuple[float, float]] = {
    "max_concurrent_workloads": (0, 1_000_000),
    "max_queue_depth": (0, 10_000_000),
    "rate_limit_per_sec": (0.001, 1_000_000),
    "burst": (1, 1_000_000),
}
"""Least and greatest figure of its own that a customer may have."""

MAX_NAME_LENGTH = 200
"""Of a customer or a key."""
MAX_KEY_LIFE_DAYS = 36_500
DEFAULT_KEY_OVERLAP_SECONDS = 86_400
MAX_KEY_OVERLAP_SECONDS = 30 * 86_400
"""For which a key stays good beside the one that takes its place."""
MAX_TOKENS_PER_KEY = 1000
"""Tokens made of one key that are good at the same time."""
DEFAULT_TOKEN_SECONDS = 3600
MAX_SIGN_INS_PER_CUSTOMER = 10_000
"""Subjects of JSON Web Tokens that are kept for each customer, so that operators see who is in."""
MAX_SESSIONS_SHOWN = 1000
MAX_USED_WITHIN_SECONDS = 366 * 86_400
MAX_TOKEN_SECONDS = 86_400
"""How long a token that is made of a key is good."""
MAX_TOKEN_LENGTH = 8192
MAX_SIGN_IN_BYTES = MAX_TOKEN_LENGTH + 1024
MAX_CHECKPOINT_SEQUENCE = 2**31 - 1
MAX_SUBJECT_LENGTH = 255
"""Of a token's ``sub``."""
MIN_RSA_BITS = 2048
MAX_CONSOLE_TOKEN_LENGTH = 3800
"""Of a token that the console is signed in with: browsers keep cookies of 4,096 bytes, all included."""

# --- requests -------------------------------------------------------------------------------------

MAX_BODY_BYTES = 1 << 20
MAX_BATCH_BODY_BYTES = 16 << 20
MAX_HEAD_BYTES = 32 * 1024
"""Of a request: its line and its headers together."""
MAX_URL_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_HEAD_SECONDS = 10.0
"""From the first byte, or from the connection, to the end of the head."""
MAX_LINGER_SECONDS = 2.0
"""In which a client that was refused while it still sent may read the answer and close."""
MAX_LINGER_BYTES = 32 << 20
"""That such a client may send on."""
MAX_AUTH_SECONDS = 5.0
"""In which a WebSocket brings the credentials that its handshake didn't."""
MAX_DEPTH = 64
"""Of JSON: how deep objects and arrays may be nested."""
MAX_VALUES = 200_000
"""Objects, arrays and what is in them, in one body."""
MAX_BATCH_VALUES = 1_000_000
"""The same in a batch."""
MAX_WAIT_SECONDS = 60
"""Of a long poll."""
MAX_KEPT_BYTES = 256 * 1024
"""Of one watched workload's updates, for watchers that are behind; then they are sent away."""

MAX_FEED_BYTES = 512 * 1024
"""Of one live feed's newest events, for watchers that are behind and those who come back."""
FEED_HEARTBEAT_SECONDS = 15.0
"""In which a live feed sends something, if only a sign of life."""

# --- submissions ----------------------------------------------------------------------------------

MAX_BATCH = 1000
"""Workloads in one batch."""
MAX_PRIORITY = 1000
DEFAULT_PRIORITY = 10
MAX_TIMEOUT_SECONDS = 30 * 24 * 3600
MAX_TYPE_LENGTH = 200
"""Of a workload type to look for."""
MAX_ID_LENGTH = 200
"""Of a workload's id to look for."""
MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_AFFINITY_ENTRIES = 64
"""Of each kind of affinity, and values of one condition."""
MAX_AFFINITY_TEXT_LENGTH = 256
MAX_LABELS = 16
"""Of one workload; and that one list may be asked for."""
MAX_LABEL_LENGTH = 63
"""Characters of a label's key, and of its value."""
MAX_FINGERPRINT_LENGTH = 64
"""Of a fingerprint of failures to look for."""
MAX_REASON_LENGTH = 1000
"""Of why something is cancelled."""
MAX_SCHEMA_ERRORS = 20
"""What is told of an input that doesn't fit its JSON Schema."""

# --- what is read ---------------------------------------------------------------------------------

DEFAULT_PAGE, MAX_PAGE = 50, 100
"""Entries in one page of a list."""
MAX_LONG_PAGE = 1000
"""Audit events or configs in one page, which is also what is given when nobody says."""
DEFAULT_LINES, MAX_LINES = 100, 1000
"""Log lines in one page."""
MAX_SEARCH_LENGTH = 200
"""Characters of what is searched for in a log."""
MAX_SEARCHED_LINES = 5_000
"""Of a log a page looks at so many lines when something is searched for."""
MAX_COUNTED_LINES = 100_000
"""Up to which the lines of a log are counted."""
MAX_COUNTED = 10_000
"""Up to which the workloads of a list are counted; beyond, the total is an estimate."""
MAX_AHEAD = 10_000
"""Up to which those that go before a waiting workload are counted."""
MAX_OFFSET = 10_000_000
MAX_VERSION = 2**62
"""To wait for."""
MAX_CURSOR_LENGTH = 2000
MAX_STATISTICS_DAYS = 3660
MAX_STATISTICS_DAYS_BY_HOUR = 366

# --- configs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeConfig:
    """What a workload keeps, for all its attempts, from its first assignment."""

    config_json: str = "{}"
    """The handler's configuration, a JSON object."""
    max_retries: int = 3
    timeout_seconds: int | None = None
    """Bound on one attempt's running time."""
    checkpoint_interval_sec: int = 300
    cpu_cores: float = 1.0
    memory_mb: int = 512
    disk_mb: int = 1024


DEFAULT_CONFIG = TypeConfig()

MAX_CONFIG_BYTES = 256 * 1024
MAX_SCHEMA_BYTES = 64 * 1024
MAX_DESCRIPTION_LENGTH = 2000
MAX_PATTERN_LENGTH = 1000
"""Of a regular expression in a JSON Schema."""
MAX_RETRIES = 100
MAX_CHECKPOINT_INTERVAL_SECONDS = 86_400
MAX_CPU_CORES = 1024
MAX_MEMORY_MB = 1 << 24
MAX_DISK_MB = 1 << 30

# --- workers and attempts -------------------------------------------------------------------------

MAX_CAPACITY = 10_000
"""Slots of one worker."""
MAX_TAGS = 64
MAX_TAG_LENGTH = 256
"""Of a tag's name, and of its value."""
MAX_JOIN_TOKENS = 1000
"""Live ones at a time: every coordinator keeps all of them in memory."""
MAX_TOKEN_ENTRIES = 1000
"""Workload types that one join token names."""
MAX_TOKEN_CUSTOMERS = 100
"""Customers that one join token names: whenever a slot of its workers comes free, each of them is looked at."""
MAX_PATTERN_STARS = 4
"""Of the pattern of worker ids in a join token."""
MAX_WORKER_MESSAGES_PER_SECOND = 500
"""That a coordinator takes from one worker, of all kinds together; twice as many at once after a rest."""
MAX_WORKER_BYTES_PER_SECOND = 32 << 20
"""The same in bytes; four times as many at once after a rest, so that a few of the largest messages fit."""
MAX_REGISTRATIONS_AT_ONCE = 2
"""Of one worker, that a coordinator is busy with; what comes beyond is dropped."""
MAX_BEATS_AT_ONCE = 8
"""The same of heartbeats."""
MAX_BATCHES_AT_ONCE = 8
"""The same of batches of events."""
MAX_FETCHES_AT_ONCE = 512
"""The same of requests for a checkpoint."""
MAX_PROCESSES = 1024
"""Processes and threads that one attempt may have."""
MAX_REUSE = 1_000_000
"""Attempts that one process may serve, one after another."""
MAX_RESULT_BYTES = 1 << 20
MAX_CHECKPOINT_BYTES = 10 << 20
"""Of a checkpoint that the database keeps."""
MAX_CHECKPOINTS_KEPT = 1000
"""Of one workload, besides pinned ones."""
MAX_PINNED_CHECKPOINTS = 100
"""Of one customer."""
MAX_FAILURE_SAMPLES = 5
"""Workloads that are named of those that failed alike."""
MAX_LARGE_CHECKPOINT_BYTES = 1 << 30
"""Of one that an object store keeps."""
MAX_TEXT_BYTES = 8192
"""Of one log line, one progress message, one error message, as a handler gives it."""
MAX_KEPT_TEXT_LENGTH = 64 * 1024
"""The same as the service takes it from any worker."""
MAX_DETAIL_BYTES = 64 << 10
"""Of a log line's details."""
MAX_EVENT_BYTES = 64 << 10
"""Of one line by which a program says something to Niyanta."""
GRACE_SECONDS = 5.0
"""What an attempt that must end has to clean up, before it is killed."""
DRAIN_SECONDS = 30.0
"""What all attempts of a worker that is to end have to save a checkpoint."""

# --- coordinators ---------------------------------------------------------------------------------

MAX_COORDINATOR_PROCESSES = 64
"""Of one coordinator, on the same ports."""

# --- metrics --------------------------------------------------------------------------------------

METRIC_CUSTOMERS = 100
"""Customers with a label value of their own unless more or fewer are set; all others are ``other``."""
MAX_METRIC_CUSTOMERS = 1000
"""As many can be set."""
MAX_METRIC_TAG_VALUES = 50
"""Values of a tag by which slots are shown; workers with others are ``other``."""
MAX_METRIC_CUSTOMER_TYPES = 2000
"""The same of pairs of a customer and a workload type."""
