"""A coordinator on virtual time: takes part in the election and, while it leads, schedules and watches.

It decides by the very modules that the real one decides by (`Roster`, `Vigil`, the transitions). Modelled is how it
reads and writes, and all that can go wrong there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from niyanta.domain import transitions
from niyanta.domain.arrivals import Arrival, place_at_once
from niyanta.domain.placement import WorkerView
from niyanta.domain.roster import Entitlement, Placement, Roster
from niyanta.domain.vigil import ASK_SHARE, Sign, Vigil
from niyanta.domain.workload import Status
from simulation.database import ACTOR, Away, Database

if TYPE_CHECKING:
    from simulation.world import World

__all__ = ["Coordinator"]

Key = tuple[str, str]
LEASE, RENEW, TRUST = 5.0, 1.0, 3.5
WORKER_LEASE = 10.0
ANSWER, UNANSWERED = 2.0, 10.0


class Coordinator:
    """One replica. It can be frozen: it does nothing then, and afterwards goes on as if no time had passed."""

    def __init__(self, world: World, name: str, entitled: Mapping[str, Entitlement]) -> None:
        self._world = world
        self._timeline = world.timeline
        self._database: Database = world.database
        self.name = name
        self._entitled = entitled
        self.frozen_until = 0.0
        self._epoch: int | None = None
        self._trusted_until = 0.0
        self._roster = self._new_roster()
        self._vigil = Vigil(WORKER_LEASE)
        self._knows_all = False
        self._fleet_is_stale = False
        self._inbox: list[tuple[str, tuple[object, ...]]] = []
        self._pass_is_due = False
        self._interruptions = 0
        self._compare_at = 0.0
        for loop in (self._elect, self._watch, self._schedule):
            self._every(loop)

    def _new_roster(self) -> Roster:
        return Roster(self._entitled.get, 2 * WORKER_LEASE)

    def _every(self, loop: Callable[[], float]) -> None:
        """Run a loop's step again and again, each after the seconds that the last one gave."""

        def step() -> None:
            if self._timeline.now < self.frozen_until:
                self._timeline.at(self.frozen_until, step)
                return
            try:
                pause = loop()
            except Away:
                self._failed()
                pause = 0.5
            self._timeline.after(pause, step)

        self._timeline.after(self._world.random.random(), step)

    @property
    def leads(self) -> bool:
        return self._epoch is not None and self._timeline.now < self._trusted_until

    def _failed(self) -> None:
        self._knows_all = False
        self._vigil.begin(self._timeline.now)

    # --- election -------------------------------------------------------------------------------

    def _elect(self) -> float:
        sent = self._timeline.now
        if self._epoch is not None and self._database.renew_lease(self._epoch, LEASE):
            self._trusted_until = sent + TRUST
            return RENEW
        self._epoch = self._database.take_lease(LEASE)
        if self._epoch is not None:
            self._trusted_until = sent + TRUST
            self._roster = self._new_roster()
            self._knows_all = False
            self._vigil.begin(sent)
            self._world.count("elections")
        return RENEW

    # --- the feed -------------------------------------------------------------------------------

    def hear(self, kind: str, *what: object) -> None:
        """A hint of a committed change has arrived."""
        if not self.leads:
            return
        self._inbox.append((kind, what))
        self._wake()

    def _wake(self) -> None:
        if not self._pass_is_due:
            self._pass_is_due = True
            self._timeline.after(0.005, self._woken)

    def _woken(self) -> None:
        self._pass_is_due = False
        if self._timeline.now < self.frozen_until:
            self._timeline.at(self.frozen_until, self._woken)
            return
        try:
            self._step()
        except Away:
            self._failed()

    # --- scheduler ------------------------------------------------------------------------------

    def _schedule(self) -> float:
        self._step()
        return 3.0

    def _step(self) -> None:
        now = self._timeline.now
        if not self.leads:
            self._inbox.clear()
            return
        roster = self._roster
        roster.tick(now)
        if self._interruptions != self._world.broker_interruptions:
            self._interruptions, self._knows_all = self._world.broker_interruptions, False
            self._vigil.begin(now)
        self._hear_out()
        if not self._knows_all:
            roster.forget_slots()
            self._learn_fleet()
            roster.learn_held(self._database.read_held())
            self._database.backlog.tell_all(roster.lanes)
            self._knows_all, self._compare_at = True, now + 3.0
        elif self._fleet_is_stale:
            self._learn_fleet()
        elif now >= self._compare_at:
            self._compare_at = now + 3.0
            self._learn_fleet()
            roster.forget_idle()
            workers = [view.worker_id for view in roster.fleet.views()]
            roster.learn_held(self._database.read_held(workers), workers)
            self._database.backlog.tell_all(roster.lanes)
        if self._pass():
            self._wake()

    def _hear_out(self) -> None:
        for kind, what in self._inbox:
            self._take_in(kind, what)
        self._inbox.clear()

    def _take_in(self, kind: str, what: tuple[object, ...]) -> None:
        match kind, what:
            case "fleet", _:
                self._fleet_is_stale = True
            case "ready", (str(customer), int(lane), float(rank)):
                self._roster.lanes.note(customer, lane, rank)
            case "released", (str(customer), str(workload), int(generation), bool(ran), worker):
                self._roster.released((customer, workload), generation, ran=ran)
                if not ran:
                    self._roster.refused(str(worker), self._timeline.now)

    def _learn_fleet(self) -> None:
        self._fleet_is_stale = False
        views = []
        for row in self._database.workers.values():
            if not row.is_dead:
                spec = self._world.specs[row.worker_id]
                views.append(WorkerView(row.worker_id, row.incarnation, spec.capacity, spec.tags, spec.types))
        self._roster.learn_fleet(views)

    def _pass(self) -> bool:
        roster, epoch = self._roster, self._epoch
        agenda = roster.choose(400)
        self._world.count("passes")
        if not agenda.turns:
            return agenda.blocked > 0
        with_suspects = roster.may_try_suspects
        read = self._database.read(agenda, with_suspects=with_suspects)
        for placement in roster.place(agenda, read, with_suspects=with_suspects):
            self._assign(placement, epoch)
        return True

    def _assign(self, placement: Placement, epoch: int | None) -> None:
        stored = self._database.workloads[placement.key]
        worker = placement.worker
        state = stored.state
        if state.status.is_queued:
            move = transitions.schedule(
                state, self._database.moment(), ACTOR, worker.worker_id, worker.incarnation, 0
            )
            if self._database.move(placement.key, state.version, move, epoch):
                self._roster.keep(placement, stored.state.generation)
                self._world.dispatched(placement.key)
                self._push(placement.key)
                return
        self._roster.give_up(placement)
        if self._epoch != self._database.epoch:
            self._epoch = None

    def place_at_once(self, arrivals: Sequence[Arrival]) -> tuple[list[Placement], int] | None:
        """What it has just been asked to store goes to workers in the same transaction, as far as it is the next.

        Gives the places and the epoch to write under. The one who asks writes, and then says what became of it.
        """
        if not self.leads or self._timeline.now < self.frozen_until or self._epoch is None:
            return None
        self._roster.tick(self._timeline.now)
        self._hear_out()
        is_sure = self._knows_all and not self._fleet_is_stale
        if not is_sure or self._interruptions != self._world.broker_interruptions:
            return None
        placements = place_at_once(self._roster, arrivals, len(arrivals))
        return (placements, self._epoch) if placements else None

    def placed(self, placements: Sequence[Placement], *, is_written: bool) -> None:
        """What `place_at_once` gave is written, or isn't."""
        for placement in placements:
            if is_written:
                self._roster.keep(placement, self._database.workloads[placement.key].state.generation)
                self._world.dispatched(placement.key)
                self._push(placement.key)
            else:
                self._roster.give_up(placement)

    def _push(self, key: Key) -> None:
        state = self._database.workloads[key].state
        self._world.send_to_worker(state.worker_id or "", state.incarnation or "", key, state.generation)

    # --- monitor --------------------------------------------------------------------------------

    def _watch(self) -> float:
        now = self._timeline.now
        if not self.leads:
            return 1.0
        if self._interruptions != self._world.broker_interruptions or self._world.broker_is_away:
            self._vigil.begin(now)
        self._database.answer()
        live = [row for row in self._database.workers.values() if not row.is_dead]
        signs = [Sign(row.worker_id, row.incarnation, now - row.heard_at) for row in live]
        judgement = self._vigil.judge(now, signs)
        for sign in judgement.ask:
            self._world.count("asked")
            if self._world.worker_answers(sign.worker_id, sign.incarnation):
                self._database.beat(sign.worker_id, sign.incarnation)
                self._vigil.answered(sign)
            else:
                self._vigil.unanswered(now, sign)
        condemned = self._vigil.condemned(now)
        self._vigil.died(now, condemned)
        for sign in condemned:
            self._bury(sign)
        orphaned = sorted(self._database.orphaned())
        self._vigil.died(now, [pair for pair in orphaned if not self._left(*pair)])
        for worker_id, incarnation in orphaned:
            self._lose(worker_id, incarnation)
        self._chase()
        return max(0.02, min(1.0, judgement.wait_seconds + 0.005))

    def _bury(self, sign: Sign) -> None:
        row = self._database.workers[sign.worker_id]
        silent = self._timeline.now - row.heard_at >= WORKER_LEASE
        if self._epoch == self._database.epoch and row.incarnation == sign.incarnation and silent:
            row.is_dead, row.reason = True, "lost"
            self._world.buried(sign.worker_id, sign.incarnation)
            self._world.tell("fleet")
            self._lose(sign.worker_id, sign.incarnation)

    def _left(self, worker_id: str, incarnation: str) -> bool:
        row = self._database.workers.get(worker_id)
        return row is not None and row.incarnation == incarnation and row.reason == "stopped"

    def _lose(self, worker_id: str, incarnation: str) -> None:
        died = not self._left(worker_id, incarnation)
        dying = self._vigil.is_fleet_dying(self._timeline.now)
        for key, stored in list(self._database.held.items()):
            state = stored.state
            if (state.worker_id, state.incarnation) != (worker_id, incarnation):
                continue
            move = transitions.lose_worker(
                state, self._database.moment(), ACTOR, "lost", died=died, fleet_is_dying=dying
            )
            if self._database.move(key, state.version, move, self._epoch):
                stored.deaths += died
                self._world.released(key, state, ran=True)

    def _chase(self) -> None:
        now = self._timeline.now
        for key, stored in list(self._database.held.items()):
            state = stored.state
            if state.status is not Status.SCHEDULED or state.scheduled_at is None:
                continue
            age = (self._database.moment() - state.scheduled_at).total_seconds()
            row = self._database.workers.get(state.worker_id or "")
            if age < ANSWER:
                continue
            if age < UNANSWERED:
                self._push(key)
            elif row is not None and now - row.heard_at < WORKER_LEASE * ASK_SHARE:
                move = transitions.unschedule(state, self._database.moment(), ACTOR, "never answered")
                if self._database.move(key, state.version, move, self._epoch):
                    self._world.released(key, state, ran=False)
