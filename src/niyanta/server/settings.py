"""The coordinator's settings: read once, validated together, frozen."""

from __future__ import annotations

import math
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from niyanta.domain.limits import (
    MAX_BATCH_BODY_BYTES,
    MAX_BODY_BYTES,
    MAX_CHECKPOINT_BYTES,
    MAX_CHECKPOINTS_KEPT,
    MAX_METRIC_CUSTOMERS,
    MAX_RESULT_BYTES,
    METRIC_CUSTOMERS,
)
from niyanta.errors import ConfigurationError
from niyanta.wire.addresses import BrokerTls
from niyanta.wire.broker_auth import BrokerAuth
from niyanta.wire.secret_values import secret_value

__all__ = ["CoordinatorSettings"]


_SECRETS = ("database_url", "nats_url", "jwt_secret", "audit_key")


class CoordinatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one coordinator needs to know. Each field is also ``NIYANTA_<NAME>`` in the environment.

    Those that hold secrets are also taken from the file that ``NIYANTA_<NAME>_FILE`` names.
    """

    database_url: str
    nats_url: str
    host: str = "127.0.0.1"
    port: int = 8080
    """TCP port of REST and WebSocket; 0 picks a free one."""
    grpc_port: int = 9090
    """TCP port of gRPC; 0 picks a free one."""
    grpc_reflection: bool = False
    """Whether anybody may ask which gRPC services and messages there are."""
    grpc_max_streams: int = 1000
    """Calls, streams among them, that one connection may have under way."""
    grpc_max_streams_per_customer: int = 10_000
    """Status streams open at once on one coordinator."""
    tls_cert: str = ""
    """PEM file: the certificate of REST and gRPC, and what leads to its authority. Empty: they speak plain."""
    tls_key: str = ""
    """PEM file with its key, without a password. Both are read again when they change, and on SIGHUP."""
    tls_client_ca: str = ""
    """PEM file with the authority of clients' certificates. Empty: clients show none."""
    tls_client_certs: Literal["required", "optional"] = "required"
    """With ``tls_client_ca``: whether a client without one is refused. ``optional``: gRPC asks for none."""
    behind_proxy: str = ""
    """Addresses or networks, with commas between, of proxies whose ``X-Forwarded-For`` is believed."""
    coordinator_id: str = ""
    """Unique among replicas; made from the host's name when empty."""
    subject_prefix: str = "niyanta.v1"
    broker_auth: BrokerAuth = BrokerAuth.TOKEN
    """``token``: workers come into the broker with join tokens. ``none``: an open broker, on loopback only."""
    nats_tls_ca: str = ""
    """PEM file with the authority of the broker's certificate; the system's when empty. Its addresses begin ``tls://``."""
    nats_tls_cert: str = ""
    """PEM file: what is shown to a broker that asks for a certificate."""
    nats_tls_key: str = ""
    worker_credential_seconds: float = 900.0
    """How long a worker's credential for the broker is good at the most; then it gets another by itself."""
    heartbeat_interval_seconds: float = 2.0
    """How often a worker is asked to beat."""
    worker_lease_seconds: float = 10.0
    """A worker silent for this long is declared dead."""
    leader_lease_seconds: float = 5.0
    leader_renew_seconds: float = 1.0
    leader_trust_seconds: float = 3.5
    """How long after sending its last successful renewal a leader still trusts its lease."""
    answer_seconds: float = 2.0
    """An assignment that no worker has confirmed is pushed again after this long."""
    unanswered_seconds: float = 10.0
    """And taken back after this long."""
    timeout_grace_seconds: float = 8.0
    """The coordinator ends an attempt this long after the worker should have."""
    pause_wait_seconds: float = 30.0
    outcome_wait_seconds: float = 15.0
    """When the database's answer to a submission was lost: until when, from the submission on, to find out whether it
    is stored."""
    max_body_bytes: int = MAX_BODY_BYTES
    max_batch_body_bytes: int = MAX_BATCH_BODY_BYTES
    """Of a batch of submissions."""
    request_seconds: float = 10.0
    """How long the head of a request may take to arrive, and then its body, with a second more for each 64 KiB."""
    max_result_bytes: int = MAX_RESULT_BYTES
    max_checkpoint_bytes: int = MAX_CHECKPOINT_BYTES
    """Of one that the database keeps."""
    object_store_url: str = ""
    """Where workers put larger ones (``file:///…``, ``s3://…``); needed here to delete those that nobody needs."""
    log_retention_days: int = 30
    """Workloads' log lines are dropped, by whole days, when they are older."""
    audit_retention_days: int = 365
    """Audit events are dropped, by whole months, when they are older; those of a workload that runs on, too."""
    audit_key: str = ""
    """A secret of at least 32 bytes that seals over the audit are made with; without one they are plain hashes."""
    audit_checkpoint_url: str = ""
    """Where checkpoints of the audit's chains go daily (``file:///…``, ``s3://…``); the object store when empty."""
    workload_retention_days: int = 90
    """Workloads are deleted this long after they ended. Their share in the statistics stays."""
    checkpoints_kept: int = 10
    """Of each workload; older ones are dropped, unless their customer has pinned them."""
    checkpoint_retention_hours: int = 24
    """Checkpoints are deleted this long after their workload ended, when nothing can start from them any more."""
    upkeep_interval_seconds: float = 300.0
    max_strangers: int = 2_000
    """Connections over REST and WebSocket that have shown no good credentials so far; beyond, idle ones are cut."""
    max_strangers_per_source: int = 200
    """The same from one address (with IPv6, one /64 network)."""
    max_websockets_per_customer: int = 20_000
    """Open at once on one coordinator."""
    max_live_feeds_per_customer: int = 200
    """The same of live feeds."""
    allowed_origins: str = ""
    """Origins, separated by commas, whose pages may open WebSockets besides the coordinator's own; ``*`` for all."""
    websocket_query_tokens: Literal["any", "short_lived", "off"] = "any"
    """What may stand in a WebSocket's address as ``?token=``, where proxies and histories keep it: any credential,
    only a token that was made of a key and ends soon (``POST /v1/tokens``), or nothing."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that is logged."""
    metrics_access: Literal["admin", "public"] = "admin"
    """Who may read ``/metrics``: keys with the admin role, or everybody."""
    metrics_customers: int = METRIC_CUSTOMERS
    """Customers that have a label of their own in metrics, the busiest of an hour; the others are ``other``."""
    metrics_tag: str = ""
    """A tag of workers by whose values metrics show their slots."""
    jwt_algorithm: Literal["", "HS256", "RS256", "ES256"] = ""
    """The one algorithm of JSON Web Tokens; empty: no token is accepted."""
    jwt_secret: str = ""
    """For HS256: at least 256 bits, so 32 bytes."""
    jwt_jwks: str = ""
    """For RS256 and ES256: file or https URL of the JSON Web Key Set with the issuer's public keys."""
    jwt_issuer: str = ""
    """What a token's ``iss`` must be; not checked when empty."""
    jwt_audience: str = ""
    """What a token's ``aud`` must name; when empty, a token that has an audience is for somebody else."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **given: object) -> CoordinatorSettings:
        """Settings from ``NIYANTA_…`` variables, overridden by what is given and not None.

        Raises:
            ConfigurationError: Says which setting is wrong and what is allowed.
        """
        values: dict[str, Any] = {
            field.name: environment[f"NIYANTA_{field.name.upper()}"]
            for field in msgspec.structs.fields(cls)
            if environment.get(f"NIYANTA_{field.name.upper()}")
        }
        for name in _SECRETS:
            if found := secret_value(environment, f"NIYANTA_{name.upper()}"):
                values[name] = found
        values.update({name: value for name, value in given.items() if value is not None})
        if not values.get("coordinator_id"):
            host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
            values["coordinator_id"] = f"coordinator-{host}-{secrets.token_hex(3)}"
        try:
            settings = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as exc:
            raise ConfigurationError(f"a setting is missing or wrong: {exc}") from exc
        settings._check()
        return settings

    def share(self, processes: int) -> CoordinatorSettings:
        """The settings of one of several processes that serve the ports together: strangers are bounded in all."""
        return msgspec.structs.replace(
            self,
            max_strangers=math.ceil(self.max_strangers / processes),
            max_strangers_per_source=math.ceil(self.max_strangers_per_source / processes),
        )

    @property
    def requires_client_certificates(self) -> bool:
        """Whether who shows no certificate is refused."""
        return bool(self.tls_client_ca) and self.tls_client_certs == "required"

    @property
    def broker_tls(self) -> BrokerTls:
        """The files for TLS to the broker."""
        return BrokerTls(self.nats_tls_ca, self.nats_tls_cert, self.nats_tls_key)

    def _check(self) -> None:
        rules = [
            (0 <= self.port <= 65535, "port must be 0 to 65535"),
            (0 <= self.grpc_port <= 65535, "grpc_port must be 0 to 65535"),
            (self.request_seconds > 0, "request_seconds must be positive"),
            (self.outcome_wait_seconds > 0, "outcome_wait_seconds must be positive"),
            (
                0 < self.max_strangers_per_source <= self.max_strangers,
                "max_strangers_per_source must be 1 to max_strangers",
            ),
            (self.grpc_max_streams > 0, "grpc_max_streams must be positive"),
            (self.heartbeat_interval_seconds > 0, "heartbeat_interval_seconds must be positive"),
            (
                self.worker_lease_seconds >= 3 * self.heartbeat_interval_seconds,
                "worker_lease_seconds must be at least three heartbeats",
            ),
            (
                self.leader_renew_seconds < self.leader_trust_seconds < self.leader_lease_seconds,
                "leader_renew_seconds < leader_trust_seconds < leader_lease_seconds must hold",
            ),
            (
                self.answer_seconds < self.unanswered_seconds,
                "answer_seconds must be less than unanswered_seconds",
            ),
            (self.log_retention_days >= 2, "log_retention_days must be at least 2"),
            (self.workload_retention_days >= 2, "workload_retention_days must be at least 2"),
            (
                self.audit_retention_days >= self.workload_retention_days,
                "audit_retention_days must be at least workload_retention_days",
            ),
            (
                1 <= self.checkpoints_kept <= MAX_CHECKPOINTS_KEPT,
                f"checkpoints_kept must be 1 to {MAX_CHECKPOINTS_KEPT}",
            ),
            (not self.audit_key or len(self.audit_key.encode()) >= 32, "audit_key must have at least 32 bytes"),
            (self.checkpoint_retention_hours >= 0, "checkpoint_retention_hours must not be negative"),
            (self.worker_credential_seconds >= 1, "worker_credential_seconds must be at least 1"),
            (
                0 <= self.metrics_customers <= MAX_METRIC_CUSTOMERS,
                f"metrics_customers must be 0 to {MAX_METRIC_CUSTOMERS}",
            ),
            (self.upkeep_interval_seconds > 0, "upkeep_interval_seconds must be positive"),
            (bool(self.tls_cert) == bool(self.tls_key), "tls_cert and tls_key go together: set both, or neither"),
            (not self.tls_client_ca or bool(self.tls_cert), "tls_client_ca needs tls_cert and tls_key beside it"),
            *self._jwt_rules(),
        ]
        for holds, message in rules:
            if not holds:
                raise ConfigurationError(message)

    def _jwt_rules(self) -> list[tuple[bool, str]]:
        if not self.jwt_algorithm:
            return [
                (not (self.jwt_secret or self.jwt_jwks), "jwt_secret and jwt_jwks need jwt_algorithm beside them")
            ]
        if self.jwt_algorithm == "HS256":
            return [
                (len(self.jwt_secret.encode()) >= 32, "jwt_secret must have at least 256 bits (32 bytes) for HS256"),
                (not self.jwt_jwks, "jwt_jwks is for RS256 and ES256; with HS256 it must be empty"),
            ]
        return [
            (bool(self.jwt_jwks), f"jwt_jwks must name a file or an https URL for {self.jwt_algorithm}"),
            (not self.jwt_secret, f"jwt_secret is for HS256; with {self.jwt_algorithm} it must be empty"),
            (
                not self.jwt_jwks.startswith("http://") or _is_local(self.jwt_jwks),
                "jwt_jwks must be an https URL: keys that came unprotected prove nothing",
            ),
        ]

    def __repr__(self) -> str:
        return f"CoordinatorSettings(coordinator_id={self.coordinator_id!r}, host={self.host!r}, …)"


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
