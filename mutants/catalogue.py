"""The guards, by what they guard against.

An entry whose text isn't found any more says so in a quick test: follow the change, or take the guard's successor.
"""

from __future__ import annotations

from mutants.mutant import Mutant

__all__ = ["MUTANTS"]

_FENCING = (
    Mutant(
        "late event",
        "events of an attempt that was superseded change nothing",
        "if change is None or change.state.generation != event.ref.generation:",
        "if change is None:",
        "integration/test_store_model.py::test_the_store_does_what_the_model_says",
    ),
    Mutant(
        "another worker's event",
        "events count only from the incarnation that holds the workload",
        "if state.incarnation != batch.incarnation or state.worker_id != batch.worker_id:",
        "if state.worker_id is None:",
        "integration/test_store_model.py::test_the_store_does_what_the_model_says",
    ),
    Mutant(
        "event that comes twice",
        "an event that is sent again is applied once",
        "if sequence <= state.event_sequence:",
        "if sequence <= 0:",
        "integration/test_coordinator.py::test_resent_events_change_nothing",
    ),
    Mutant(
        "old version",
        "a decision that was made on a state that has changed since writes nothing",
        "AND w.workload_id = c.workload_id AND w.version = c.expected_version",
        "AND w.workload_id = c.workload_id AND c.expected_version > 0",
        "integration/test_store_model.py::test_the_store_does_what_the_model_says",
    ),
    Mutant(
        "event overtaken",
        "of two events of one attempt that are applied at once none undoes the other",
        "AND w.event_sequence = coalesce(c.expected_events, 0)",
        "AND coalesce(c.expected_events, 0) >= 0",
        "integration/test_mover.py::test_without_a_lock_it_is_said_when_somebody_else_was_quicker",
    ),
    Mutant(
        "old leader",
        "a leader writes nothing after another has begun",
        "WHERE (:epoch::bigint IS NULL OR EXISTS (SELECT FROM fence))",
        "WHERE (:epoch::bigint IS NULL OR (SELECT count(*) FROM fence) >= 0)",
        "integration/test_mover.py::test_an_older_epoch_writes_nothing",
    ),
    Mutant(
        "lease taken early",
        "nobody becomes the leader while another's lease runs",
        "WHERE expires_at < clock_timestamp() RETURNING epoch;",
        "WHERE expires_at < clock_timestamp() + interval '1 minute' RETURNING epoch;",
        "integration/test_election.py::test_two_never_lead_at_once",
    ),
    Mutant(
        "trust without end",
        "a leader that can't renew its lease stops to lead before the lease runs out",
        "return self._epoch if time.monotonic() < self._trusted_until else None",
        "return self._epoch if self._trusted_until else None",
        "integration/test_election.py::test_trust_ends_before_the_lease_does",
    ),
    Mutant(
        "restored epoch",
        "after a restore of the database to an older epoch its leaders are obeyed again",
        "if reply.epoch:\n            self.epoch = reply.epoch",
        "if reply.epoch:\n            self.epoch = max(self.epoch, reply.epoch)",
        "e2e/test_worker_agent.py::test_a_service_that_is_restored_to_an_older_epoch_is_obeyed_again",
    ),
)
_MOVES = (
    Mutant(
        "any move",
        "a workload moves only along the table of states",
        "if (event, old.status, target) not in _LEGAL:",
        "if target is None:",
        "unit/domain/test_transitions.py::test_every_move_from_every_state",
    ),
    Mutant(
        "pause without a checkpoint",
        "a workload is PAUSED only with a checkpoint that was saved for it",
        "if old.pause_phase is not PausePhase.GRANTED:",
        "if old.pause_phase is None:",
        "unit/domain/test_transitions.py::test_a_pause_needs_a_checkpoint_after_it_was_asked_for",
    ),
    Mutant(
        "pause that nobody waits for",
        "a pause that gets no checkpoint in time leaves the workload running, and it isn't paused later",
        "if old.pause_phase is not PausePhase.REQUESTED:\n        return Move(old, None)",
        "if old.pause_phase is not None:\n        return Move(old, None)",
        "integration/test_coordinator.py::test_a_pause_that_gets_no_checkpoint_is_withdrawn",
    ),
    Mutant(
        "damaged checkpoint",
        "a checkpoint that arrives damaged is never kept as a good one",
        "if hashlib.sha256(body.data).digest() != body.sha256:",
        "if len(hashlib.sha256(body.data).digest()) != len(body.sha256):",
        "integration/test_worker_checkpoints.py::test_a_checkpoint_that_arrives_damaged_is_refused",
    ),
)
_SUBMISSION = (
    Mutant(
        "key used twice",
        "one idempotency key never makes two workloads",
        "earlier = used.get(request.key) if request.key is not None else None",
        "earlier = used.get(request.key) if request.key is None else None",
        "api/test_workloads_idempotency.py::test_racing_duplicates_on_two_replicas_make_one",
    ),
    Mutant(
        "queue without a lock",
        "a queue's limit is exact, however many replicas take submissions",
        " ORDER BY u.customer_id FOR NO KEY UPDATE;",
        " ORDER BY u.customer_id;",
        "integration/test_submissions_at_once.py::test_the_room_of_a_queue_is_given_once",
    ),
    Mutant(
        "room without a lock",
        "a queue's limit is exact for submissions that are checked and stored by one statement, too",
        " ORDER BY u.customer_id FOR NO KEY UPDATE OF u\n), fence",
        " ORDER BY u.customer_id\n), fence",
        "integration/test_submissions_at_once.py::test_what_is_stored_by_one_statement_leaves_others_their_limit",
    ),
    Mutant(
        "assigned by an old leader",
        "of two leaders only the newest assigns, what it stores itself, too",
        "(:epoch::bigint IS NULL OR EXISTS (SELECT FROM fence) AND NOT EXISTS (",
        "(:epoch::bigint IS NULL OR NOT EXISTS (",
        "integration/test_shortcut.py::test_a_leader_that_was_succeeded_assigns_nothing",
    ),
    Mutant(
        "older one passed by",
        "what is assigned as it is stored goes before nothing of its lane, though no hint told of it",
        "g.queue_rank > (",
        "false AND g.queue_rank > (",
        "integration/test_shortcut.py::test_what_waits_in_the_lane_goes_first_even_if_nobody_told_of_it",
    ),
    Mutant(
        "key for a part",
        "the answer that is kept with an idempotency key is the one that was given",
        "WHERE g.place > coalesce(r.places, 0))",
        "WHERE false)",
        "integration/test_submissions_at_once.py::test_what_comes_with_a_key_is_stored_whole_or_left_to_be_decided",
    ),
    Mutant(
        "outcome guessed",
        "what became of a COMMIT whose answer was lost is read when its transaction is over, not before",
        "await self._store.admit(conn, [request.customer_id])\n                    # In a statement",
        "# In a statement",
        "integration/test_unknown_outcomes.py::test_a_commit_that_arrives_late_is_acknowledged",
    ),
    Mutant(
        "statement that arrives late",
        "a submission of which it was said that it isn't stored is stored no more",
        "fits AND in_time AND (:epoch",
        "fits AND (in_time OR true) AND (:epoch",
        "integration/test_unknown_outcomes.py::test_a_statement_that_arrives_after_the_answer_stores_nothing",
    ),
    Mutant(
        "foreign workload",
        "a customer can't read another's workload",
        "USING (customer_id, workload_id)\n WHERE customer_id = :customer_id AND workload_id = :workload_id;",
        "USING (customer_id, workload_id)\n WHERE (customer_id = :customer_id OR true) "
        "AND workload_id = :workload_id;",
        "api/test_row_security.py::test_what_is_asked_for_one_gives_ones_own_without_row_level_security",
    ),
)
_DEATHS = (
    Mutant(
        "death before the start",
        "a workload that ends its worker before its start is committed fails after three, and not never",
        "streak = old.death_streak + (1 if died else 0)",
        "streak = old.death_streak + (1 if died and old.status is Status.RUNNING else 0)",
        "integration/test_silent_workers.py::test_a_workload_that_ends_its_worker_before_the_start_is_found_out",
    ),
    Mutant(
        "suspects together",
        "suspects are tried one to a worker, so that they can't take the fleet down together",
        "return len(self._trials) < max(1, len(self.fleet) // 4)",
        "return len(self._trials) < 1_000_000",
        "unit/domain/test_roster.py::test_suspects_are_tried_one_to_a_worker_and_on_a_quarter_of_the_fleet",
    ),
    Mutant(
        "fleet that dies at large",
        "when most of the fleet dies at once no workload is failed for it",
        "    if fleet_is_dying:\n",
        "    if fleet_is_dying and not died:\n",
        "unit/domain/test_transitions.py::test_deaths_of_the_fleet_at_large_make_suspects_but_fail_nothing",
    ),
    Mutant(
        "no brake",
        "no worker is declared dead before one whole lease of undisturbed observation",
        "if now < self._since + self._lease:",
        "if now < self._since:",
        "unit/domain/test_vigil.py::test_nobody_dies_before_a_whole_lease_of_observation",
    ),
    Mutant(
        "beat waited for",
        "a beat that a frozen coordinator took is sent again at once, to another",
        "timeout_seconds=max(_LEAST_BEAT_SECONDS, self.lease.seconds * _ANSWER_SHARE),",
        "timeout_seconds=max(_LEAST_BEAT_SECONDS, self.lease.seconds),",
        "unit/worker/agent/test_unanswered.py::test_a_beat_is_sent_again_at_once_and_many_fit_into_a_lease",
    ),
    Mutant(
        "coordinator without a database",
        "a coordinator without a working database leaves events and registrations to the others",
        "return self._failures < _FAILURES",
        "return self._failures < 1_000_000",
        "integration/test_attendance.py::test_without_its_database_it_leaves_and_with_it_it_joins",
    ),
    Mutant(
        "monitor behind customers",
        "load on the API delays no burial",
        "connection(Pool.VITAL) as conn:\n            workers = await self._workers.all(conn)\n            due",
        'connection("api") as conn:\n            workers = await self._workers.all(conn)\n            due',
        "integration/test_silent_workers.py::test_load_on_the_api_delays_no_burial",
    ),
    Mutant(
        "lease from the answer",
        "a worker's lease counts from the moment it sent the beat, so that a slow answer never lengthens it",
        "self._heard_at = sent\n",
        "self._heard_at = self._clock()\n",
        "unit/worker/agent/test_lease.py::test_a_lease_counts_from_the_send_of_the_last_answered_beat",
    ),
    Mutant(
        "exclusive goes on",
        "an attempt of an exclusive type stops by itself before its lease can be handed on",
        "if (lease.exclusive_left_seconds if attempt.exclusive else lease.left_seconds) < 0:",
        "if lease.left_seconds < 0:",
        "e2e/test_worker_agent.py::test_an_agent_ends_an_exclusive_attempt_though_its_launcher_knows_of_no_lease",
    ),
    Mutant(
        "exclusive goes on under a frozen agent",
        "an exclusive attempt ends before its lease can be handed on, also when its agent is frozen",
        "if now >= (self.exclusive_until if slot.exclusive else self.alive_until):",
        "if now >= self.alive_until:",
        "chaos/test_worker_faults.py::test_a_frozen_agent_s_attempts_end_with_their_lease",
    ),
    Mutant(
        "buried unasked",
        "the leader asks a silent worker itself before it declares it dead",
        "return await self._commands.speak(sign.worker_id, sign.incarnation, seconds)",
        "return None",
        "integration/test_silent_workers.py::test_a_worker_that_answers_when_asked_is_not_dead",
    ),
    Mutant(
        "refused over and over",
        "a worker that refuses an assignment rests for a while, twice as long each time",
        "rest.until = now + rest.seconds",
        "rest.until = now",
        "unit/domain/test_roster.py::test_a_worker_that_refuses_is_given_nothing_for_a_while_longer_each_time",
    ),
    Mutant(
        "slot that isn't free",
        "what a worker says it still holds counts, until it says otherwise",
        "view.lingering = count",
        "view.lingering = 0 * count",
        "unit/domain/test_roster.py::test_slots_that_a_worker_says_are_held_count",
    ),
)
_ONE_PARTY = (
    Mutant(
        "crowd of lanes",
        "one customer's thousands of placement classes cost no pass of the scheduler more",
        "while seat.has_lanes() and self._failed.get(customer_id, 0) < _MOST_FAILURES_EACH:",
        "while seat.has_lanes():",
        "unit/domain/test_roster.py::test_a_crowd_that_comes_to_be_blocked_at_once_is_looked_at_a_few_lanes_at_a_time",
    ),
    Mutant(
        "lane taken twice",
        "a workload is assigned once in a pass",
        "if self._started.get(customer_id, 0) < allowed.slots:\n            self._take_lane",
        "if allowed.slots:\n            self._take_lane",
        "unit/domain/test_roster.py::test_a_lane_that_its_customer_s_limit_left_out_is_not_read_twice_later",
    ),
    Mutant(
        "turns by count",
        "customers share run-seconds, not starts",
        "return min(TURN_MOST_SECONDS, max(TURN_LEAST_SECONDS, seconds))",
        "return TURN_LEAST_SECONDS if seconds < TURN_MOST_SECONDS else TURN_MOST_SECONDS",
        "unit/domain/test_roster.py::test_run_seconds_are_shared_not_dispatches",
    ),
    Mutant(
        "more than allowed",
        "no customer holds more slots than it may",
        "if allowed is None or allowed.slots <= 0:\n            bay.close",
        "if allowed is None:\n            bay.close",
        "unit/domain/test_roster.py::test_capacity_and_allowance_are_never_exceeded",
    ),
    Mutant(
        "large message that nobody answers",
        "an input that needs several frames holds up nobody's scheduling",
        "if (first.headers or {}).get(REPLY_HEADER) == NO_REPLY:",
        'if (first.headers or {}).get(REPLY_HEADER) == "":',
        "integration/test_commands.py::test_a_large_message_has_arrived_when_its_last_frame_has",
    ),
    Mutant(
        "lock waited for by all",
        "one customer's hung transaction holds up no other customer's events",
        "SHARED_LOCK_SECONDS = 0.25",
        "SHARED_LOCK_SECONDS = 40.0",
        "integration/test_bad_events.py::test_a_hung_transaction_of_one_customer_holds_up_no_other",
    ),
    Mutant(
        "event that can't be read",
        "an event that can't be read fails its own attempt, and the rest of its batch is applied",
        "except UNREADABLE:\n        envelope",
        "except RecursionError:\n        envelope",
        "integration/test_bad_events.py::test_an_event_that_can_not_be_read_fails_its_workload_and_no_other",
    ),
    Mutant(
        "result that is no JSON",
        "a result is kept only if it is the strict JSON that the API takes from customers",
        'return f"the result can\'t be kept: {exc.message}"',
        "return exc.message and None",
        "integration/test_bad_events.py::test_a_result_that_is_no_good_json_fails_its_workload_for_good",
    ),
    Mutant(
        "strangers without end",
        "connections without credentials are bounded, in all and of one source",
        "if len(of_source) > self._most_per_source and",
        "if len(of_source) > 1_000_000 and",
        "api/test_strangers.py::test_idle_strangers_make_room_for_the_newest",
    ),
    Mutant(
        "swallowed cancel",
        "a wait that is cancelled ends, also when the cancel came together with what it waited for",
        "if cancels_asked() > before:\n            raise asyncio.CancelledError",
        "if cancels_asked() > before + 1_000:\n            raise asyncio.CancelledError",
        "integration/test_broker_cancels.py::test_a_cancel_that_comes_together_with_the_answer_is_heeded",
    ),
    Mutant(
        "cancel that nobody asked for",
        "a loop that is cut off by a cancel which nobody asked for begins anew, and isn't missing from then on",
        "if cancels_asked() > before:\n                raise\n            log",
        "if cancels_asked() >= before:\n                raise\n            log",
        "unit/wire/test_cancels.py::test_a_loop_goes_on_after_a_cancel_that_nobody_asked_for",
    ),
    Mutant(
        "partitions at once",
        "replicas make and drop partitions one at a time",
        "IF NOT pg_try_advisory_xact_lock(hashtext('niyanta.make_partitions')) THEN",
        "IF NOT pg_try_advisory_xact_lock((random() * 1e9)::bigint) THEN",
        "integration/test_store_upkeep.py::test_many_replicas_may_make_and_drop_partitions_at_once",
    ),
    Mutant(
        "conflict that nobody retries",
        "a deadlock that PostgreSQL broke is run again, and nobody hears of it",
        "for _ in range(_MOST_TRIES - 1):",
        "for _ in range(0):",
        "integration/test_mover.py::test_a_deadlock_has_it_decided_and_written_again",
    ),
    Mutant(
        "another's server",
        "an embedded engine takes no other program's server for its own",
        "if not self._listens():\n            return False",
        "self._listens()",
        "integration/test_embedded.py::test_two_postgres_that_picked_the_same_port_both_start",
    ),
    Mutant(
        "another's broker",
        "an embedded broker takes no stranger's for its own, though it takes the same token",
        "if self._server_name.encode() not in greeting:",
        "if not greeting:",
        "integration/test_embedded.py::test_a_broker_that_answers_in_the_place_of_ours_is_not_taken_for_it",
    ),
    Mutant(
        "revoked key remembered",
        "a revoked key ends at once on every replica",
        "changed_at = self._changed_at.get(known.identity.customer_id)",
        "changed_at = self._changed_at.get(credential)",
        "unit/server/access/test_identity.py::test_a_revoked_key_ends_at_once_when_the_feed_says_so_and_within_a_second_anyway",
    ),
    Mutant(
        "events without bound",
        "while the database hangs, events stay with their workers, and a coordinator's memory is bounded",
        "if self._group.is_full:\n            return self._encode(BatchReply(ok=False))",
        "if self._group.is_full and not batch.worker_id:\n            return self._encode(BatchReply(ok=False))",
        "unit/server/fleet/test_bounded_queues.py::test_events_stay_with_their_workers",
    ),
)

MUTANTS = (*_FENCING, *_MOVES, *_SUBMISSION, *_DEATHS, *_ONE_PARTY)
"""All of them."""
