"""What one coordinator is made of, put together: services, loops, and the two APIs over them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from niyanta.domain.audit_chain import AuditKeys
from niyanta.server.access.gate import Gate
from niyanta.server.access.identity import Authenticator
from niyanta.server.access.proxies import Proxies
from niyanta.server.access.rate_limits import RateLimiter
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.directory import Directory
from niyanta.server.fleet.attendance import Attendance
from niyanta.server.fleet.beats import BeatService
from niyanta.server.fleet.bouncer import Bouncer
from niyanta.server.fleet.broker_keys import BrokerKeys
from niyanta.server.fleet.callout import Callout
from niyanta.server.fleet.checkpoints import CheckpointService
from niyanta.server.fleet.doors import Doors
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.fleet.known_tokens import KnownTokens
from niyanta.server.fleet.registration import WorkerService
from niyanta.server.grpc.batches import BatchMethods
from niyanta.server.grpc.checkpoints import CheckpointMethods
from niyanta.server.grpc.draining import DrainMethods
from niyanta.server.grpc.explaining import ExplainMethods
from niyanta.server.grpc.failures import FailureMethods
from niyanta.server.grpc.listing import ListMethods
from niyanta.server.grpc.live import LiveMethods
from niyanta.server.grpc.logs import LogMethods
from niyanta.server.grpc.methods import Served, methods_of
from niyanta.server.grpc.recording import recorded
from niyanta.server.grpc.replays import ReplayMethods
from niyanta.server.grpc.streams import StreamMethods
from niyanta.server.grpc.types import TypeMethods
from niyanta.server.grpc.updating import UpdateMethods
from niyanta.server.grpc.workers import WorkerMethods
from niyanta.server.grpc.workloads import WorkloadMethods
from niyanta.server.leader.audit_export import AuditExport
from niyanta.server.leader.board import Board
from niyanta.server.leader.election import Election
from niyanta.server.leader.monitor import Monitor
from niyanta.server.leader.scheduler import Scheduler
from niyanta.server.leader.sealer import Sealer
from niyanta.server.leader.shortcut import Shortcut
from niyanta.server.leader.upkeep import Upkeep
from niyanta.server.member import Member
from niyanta.server.moves.commands import Commands
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.moves.mover import Mover
from niyanta.server.moves.spans import MoveSpans
from niyanta.server.observability.metrics import Metrics
from niyanta.server.observability.siblings import Siblings
from niyanta.server.observability.tracing import Tracing
from niyanta.server.rest.app import RestApi
from niyanta.server.rest.console.pages import ConsolePages
from niyanta.server.rest.console.session import ConsoleSessions
from niyanta.server.rest.endpoints.admin import AdminRoutes
from niyanta.server.rest.endpoints.batches import BatchRoutes
from niyanta.server.rest.endpoints.checkpoints import CheckpointRoutes
from niyanta.server.rest.endpoints.configs import ConfigRoutes
from niyanta.server.rest.endpoints.customers import CustomerRoutes
from niyanta.server.rest.endpoints.draining import DrainRoutes
from niyanta.server.rest.endpoints.explaining import ExplainRoutes
from niyanta.server.rest.endpoints.failures import FailureRoutes
from niyanta.server.rest.endpoints.join_tokens import JoinTokenRoutes
from niyanta.server.rest.endpoints.live import LiveRoutes
from niyanta.server.rest.endpoints.logs import LogRoutes
from niyanta.server.rest.endpoints.operator_actions import OperatorActionRoutes
from niyanta.server.rest.endpoints.probes import ProbeRoutes
from niyanta.server.rest.endpoints.replays import ReplayRoutes
from niyanta.server.rest.endpoints.sessions import SessionRoutes
from niyanta.server.rest.endpoints.system import SystemRoutes
from niyanta.server.rest.endpoints.tokens import TokenRoutes
from niyanta.server.rest.endpoints.types import TypeRoutes
from niyanta.server.rest.endpoints.updating import UpdateRoutes
from niyanta.server.rest.endpoints.websocket import WorkloadSockets
from niyanta.server.rest.endpoints.workloads import WorkloadRoutes
from niyanta.server.rest.frame.operation import Access, endpoints_of
from niyanta.server.rest.frame.responses import timestamp
from niyanta.server.services.administration import AdminService
from niyanta.server.services.batches import BatchService
from niyanta.server.services.checkpoints import CheckpointCatalog
from niyanta.server.services.configs import ConfigService
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.customers import CustomerService
from niyanta.server.services.draining import DrainReports
from niyanta.server.services.estimator import Estimator
from niyanta.server.services.explaining import Explainer
from niyanta.server.services.failures import FailureService
from niyanta.server.services.health import Health
from niyanta.server.services.joining import JoinTokenService
from niyanta.server.services.logs import LogService
from niyanta.server.services.lost_work import LostWork
from niyanta.server.services.occupancy import Occupancy
from niyanta.server.services.operators import OperatorRecord
from niyanta.server.services.pausing import PauseService
from niyanta.server.services.replaying import ReplayService
from niyanta.server.services.requests import body_limits
from niyanta.server.services.sessions import SessionService
from niyanta.server.services.submission import SubmissionService
from niyanta.server.services.system import SystemService
from niyanta.server.services.tokens import TokenService
from niyanta.server.services.types import TypeService
from niyanta.server.services.updating import UpdateService
from niyanta.server.services.vitals import Vitals
from niyanta.server.services.workloads import WorkloadService
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.join_tokens import JoinTokenStore
from niyanta.server.store.operator_actions import OperatorActionStore
from niyanta.server.store.sessions import SessionStore
from niyanta.server.store.shared_secrets import shared_secret
from niyanta.server.watching.live import LiveFeeds
from niyanta.server.watching.service import WatchService
from niyanta.telemetry.process import Telemetry
from niyanta.wire.broker import Broker
from niyanta.wire.changes import Changed
from niyanta.wire.objects import ObjectStore
from niyanta.wire.subjects import ANY_SENDER, Subjects

if TYPE_CHECKING:
    from niyanta.server.observability.exported import MetricExport

__all__ = ["Assembly"]


class Assembly:
    """The parts of one coordinator. Made, prepared, then its `loops` are run."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        settings: CoordinatorSettings,
        keys: BrokerKeys | None = None,
        telemetry: Telemetry | None = None,
        certificate_ends_at: Callable[[], float | None] = lambda: None,
        member: Member | None = None,
    ) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings
        subjects = Subjects(settings.subject_prefix, sender="" if keys is None else ANY_SENDER)
        self.metrics = Metrics(settings.metrics_customers)
        self.customers = CustomerStore(database)
        self.feed = ChangeFeed(broker, subjects, settings.coordinator_id)
        self.feed.listeners.append(_count_own(self.metrics, settings.coordinator_id))
        self.lost_work = LostWork(database, self.metrics, settings.coordinator_id)
        self.feed.listeners.append(self.lost_work.note)
        self.tracing: Tracing | None = None
        self._move_spans: MoveSpans | None = None
        if telemetry is not None and telemetry.spans is not None:
            self.tracing = Tracing(telemetry.spans)
            self._move_spans = MoveSpans(telemetry.spans, database)
            self.feed.on_moved.append(self._move_spans.tell)
        self.mover = Mover(database, self.feed)
        self.commands = Commands(broker, subjects, self.metrics)
        self.directory = Directory(database, self.customers, self.feed)
        self.health = Health(database, broker)

        self.election = Election(database, self.feed, settings)
        board = Board(database, broker, self.directory, self.election, settings)
        self.feed.listeners.append(board.hear)
        self.scheduler = Scheduler(database, self.commands, self.feed, self.election, board, settings)
        self.scheduler.on_pass.append(self.metrics.pass_done)
        self.monitor = Monitor(database, broker, self.commands, self.mover, self.feed, self.election, settings)

        object_store = ObjectStore(settings.object_store_url) if settings.object_store_url else None
        self.upkeep = Upkeep(database, self.election, settings, None if object_store is None else object_store.delete)
        audit_keys = AuditKeys.parse(settings.audit_key)
        self.sealer = Sealer(database, self.election, audit_keys)
        audit_url = settings.audit_checkpoint_url
        audit_store = ObjectStore(audit_url) if audit_url else object_store
        self.audit_export = AuditExport(database, self.election, audit_store, audit_keys)
        self.intake = EventIntake(
            self.mover, HeldUp(database), self.feed, self.directory, settings, self.metrics, object_store
        )
        self.workers = WorkerService(database, self.mover, self.commands, self.feed, settings)
        self.beats = BeatService(database, self.feed, self.directory, self.metrics, settings)
        self.checkpoints = CheckpointService(database)
        self.attendance = Attendance(database, broker, subjects)
        self.join_tokens = JoinTokenStore(database)
        self.known_tokens = KnownTokens(self.join_tokens)
        self.doors = Doors(broker, subjects, None if keys is None else self.known_tokens)
        self.callout: Callout | None = None
        self.bouncer: Bouncer | None = None
        if keys is not None:
            self._close(broker, subjects, keys)

        self.tokens = TokenVerifier(settings)
        sessions = SessionStore(database)
        self.authenticator = Authenticator(self.customers, sessions, self.tokens, self.feed)
        self.limiter = RateLimiter(database, self.directory)
        self.proxies = Proxies(settings.behind_proxy)
        self.gate = Gate(self.authenticator, self.limiter, self.metrics, self.proxies)

        self.occupancy = occupancy = Occupancy(database, self.directory)
        self.estimator = Estimator(database, self.customers, self.directory, occupancy)
        self.submissions = SubmissionService(
            database,
            HeldUp(database),
            self.feed,
            self.directory,
            self.estimator,
            Shortcut(board, self.election, self.commands, settings),
            outcome_wait_seconds=settings.outcome_wait_seconds,
        )
        self.workloads = WorkloadService(
            database,
            self.mover,
            self.commands,
            self.feed,
            self.estimator,
            Explainer(database, self.directory, occupancy, self.estimator),
        )
        self.pausing = PauseService(
            self.mover,
            self.commands,
            self.feed,
            self.workloads,
            self.directory,
            most_seconds=settings.pause_wait_seconds,
        )
        self.updates = UpdateService(self.mover, self.workloads)
        self.catalog = CheckpointCatalog(database, self.workloads, object_store)
        self.configs = ConfigService(database, self.feed)
        self.account = CustomerService(database, self.customers)
        self.batches = BatchService(database, self.workloads)
        self.drains = DrainReports(database, self.directory)
        self.watches = WatchService(database, self.feed, self.authenticator)
        self.live = LiveFeeds(
            self.feed,
            self.authenticator,
            most_per_customer=settings.max_live_feeds_per_customer,
            now=lambda: timestamp(datetime.now(UTC)),
        )
        self.vitals = Vitals(
            database,
            broker,
            self.election,
            self.customers,
            self.scheduler,
            self.upkeep,
            occupancy,
            lambda: self.feed.watcher_count + self.watches.count + self.live.count,
            settings.metrics_tag,
            certificate_ends_at,
        )
        self._metric_export = self._exporting(telemetry)
        self._siblings = None if member is None else Siblings(member, self._scrape)
        self.token_service = TokenService(self.customers, self.workloads, self.directory.customer_changed)
        self.operators = OperatorRecord(OperatorActionStore(database))
        self.sessions = SessionService(sessions, self.customers, self.directory.customer_changed)
        self.administration = AdminService(self.customers, self.directory.customer_changed)

    def _close(self, broker: Broker, subjects: Subjects, keys: BrokerKeys) -> None:
        """Decide who comes into the broker, and put out who must go."""
        settings = self._settings
        name, login = settings.coordinator_id, keys.system_login
        system = Broker(settings.nats_url, name=name, login=login, tls=settings.broker_tls)
        self.bouncer = bouncer = Bouncer(system, self._database)
        self.known_tokens.on_ended.append(bouncer.tokens_ended)
        self.doors.on_flood.append(bouncer.put_out)
        life = settings.worker_credential_seconds
        self.callout = Callout(broker, subjects, keys, self.known_tokens, life, bouncer=bouncer)

    async def prepare(self) -> None:
        """Read what must be there before the first request, and begin to hear workers and other coordinators."""
        if self.callout is not None:
            await self.known_tokens.look()
            await self.callout.start()  # first, as workers that wait at the broker's door ask again only now and then
        self.cursors = Cursors(await shared_secret(self._database, "cursors"))
        self.failures = FailureService(self._database)
        self.replays = ReplayService(self._database, self.workloads, self.submissions, self.cursors)
        self.logs = LogService(self._database, self.workloads, self.cursors)
        await self.tokens.start()
        await self.upkeep.prepare()
        await self.directory.refresh()
        await self.feed.start()
        for service in (self.intake, self.workers, self.beats, self.checkpoints):
            await service.start(self.doors)

    def _exporting(self, telemetry: Telemetry | None) -> MetricExport | None:
        if telemetry is None or not telemetry.wants_metrics:
            return None
        from niyanta.server.observability.exported import MetricExport

        return MetricExport(self.metrics, self.vitals.read, "niyanta-coordinator", self._settings.coordinator_id)

    async def _scrape(self) -> bytes:
        return await self.metrics.scrape(await self.vitals.read())

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs as long as the coordinator does."""
        return [
            self.feed.run,
            self.directory.run,
            self.estimator.run,
            self.election.run,
            self.scheduler.run,
            self.monitor.run,
            self.upkeep.run,
            self.sealer.run,
            self.audit_export.run,
            self.intake.run,
            self.commands.run,
            self.beats.run,
            self.attendance.run,
            self.submissions.run,
            self.authenticator.run,
            self.limiter.run,
            self.watches.run,
            self.live.run,
            self.lost_work.run,
            self.known_tokens.run,
            *([] if self.bouncer is None else [self.bouncer.run]),
            *(part.run for part in (self._move_spans, self._metric_export, self._siblings) if part is not None),
        ]

    def rest(self) -> RestApi:
        """REST and WebSocket."""
        settings = self._settings
        metrics_access = Access.PUBLIC if settings.metrics_access == "public" else Access.ADMIN
        parts = (
            BatchRoutes(self.submissions, self.batches),
            ReplayRoutes(self.replays, self.workloads),
            FailureRoutes(self.failures),
            LiveRoutes(self.live),
            UpdateRoutes(self.updates, self.workloads),
            WorkloadRoutes(self.submissions, self.workloads, self.pausing, self.catalog, self.cursors),
            CheckpointRoutes(self.catalog, self.workloads),
            ExplainRoutes(self.workloads),
            LogRoutes(self.logs, self.workloads),
            ConfigRoutes(self.configs, self.cursors),
            TypeRoutes(TypeService(self.directory, self.customers)),
            CustomerRoutes(self.account),
            TokenRoutes(self.token_service, self.administration),
            AdminRoutes(self.administration, self.workers, self.cursors),
            DrainRoutes(self.workers, self.drains),
            JoinTokenRoutes(JoinTokenService(self.join_tokens), self.cursors),
            SessionRoutes(self.sessions),
            OperatorActionRoutes(self.operators, self.cursors),
            SystemRoutes(SystemService(self.vitals, self.customers, self.occupancy), settings.coordinator_id),
            ProbeRoutes(self.health, self._scrape if self._siblings is None else self._siblings.scrape),
        )
        sockets = WorkloadSockets(self.gate, self.watches, settings)
        sessions = ConsoleSessions(self.gate, self.token_service)
        return RestApi(
            self.gate,
            [endpoint for part in parts for endpoint in endpoints_of(part, metrics_access)],
            body_limits(settings),
            settings.request_seconds,
            self.metrics,
            self.operators,
            [*sockets.routes(), *sessions.routes(), *ConsolePages().routes()],
            self.tracing,
        )

    def grpc(self) -> tuple[list[Served], StreamMethods]:
        """The methods of gRPC, and those of them that stream."""
        settings = self._settings
        streams = StreamMethods(self.watches, settings.grpc_max_streams_per_customer)
        parts = (
            WorkloadMethods(self.submissions, self.workloads, self.pausing, self.catalog, settings.max_body_bytes),
            ExplainMethods(self.workloads),
            UpdateMethods(self.updates, self.workloads, settings.max_body_bytes),
            ListMethods(self.workloads, self.cursors),
            LogMethods(self.logs, self.workloads),
            BatchMethods(self.submissions, self.batches, settings.max_batch_body_bytes),
            ReplayMethods(self.replays, self.workloads, settings.max_body_bytes),
            FailureMethods(self.failures),
            CheckpointMethods(self.catalog, self.workloads),
            TypeMethods(TypeService(self.directory, self.customers)),
            streams,
            LiveMethods(self.live),
            WorkerMethods(self.workers, self.cursors),
            DrainMethods(self.workers, self.drains),
        )
        return [recorded(served, self.operators) for part in parts for served in methods_of(part)], streams


def _count_own(metrics: Metrics, coordinator_id: str) -> Callable[[Changed], None]:
    """Counts what this coordinator committed; what others did, they count."""

    def count(changed: Changed) -> None:
        if changed.origin == coordinator_id:
            for change in changed.changes:
                metrics.workload_changed(change)

    return count
