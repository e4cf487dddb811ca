"""Starts, limits, watches and kills the processes of one agent's attempts: ``python -m niyanta.worker.launcher``.

One small process per agent, without user code, without threads, with nothing but the standard library. It is the
parent of every runner and the reaper of all their descendants, so it can end a whole tree, daemons included. It
kills everything when the agent is gone (its socket closes), and on its own when the agent hasn't renewed its lease: a
frozen agent's attempts stop.

Limits and the kill are the kernel's where there are usable cgroups (`niyanta.worker.launcher.cgroups`). Elsewhere the
launcher looks itself, four times a second, at what each attempt's processes use, and finds them by session, parent
and environment.

Runners are forked from a template that has imported the app (`niyanta.worker.runner.template`), or started as fresh
interpreters where that can't be.

Programs are JSON lines on the socket; a ``spawn`` comes with three descriptors: control, stdout, stderr.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace

from niyanta.domain.limits import GRACE_SECONDS
from niyanta.worker.box.policy import Policy
from niyanta.worker.launcher import processtree
from niyanta.worker.launcher.cgroups import Cgroups, Group
from niyanta.worker.launcher.channel import AgentChannel
from niyanta.worker.launcher.forks import Forked, Template, Unfit
from niyanta.worker.launcher.over import Over

_TICK_SECONDS = 0.25
_ENDING_TICK_SECONDS = 0.01
_MOST_ENDING_SECONDS = 2.0
"""How long to wait for killed processes to be gone; one that hangs in the kernel must not hold up the others."""
_CLOSING_SECONDS = 1.0
_NOT_YET = -1
"""The root of a slot whose process hasn't been forked yet."""


@dataclass
class Slot:
    """One attempt's processes."""

    name: str
    root: int
    group: Group | None
    exclusive: bool = False
    memory_bytes: float = float("inf")
    processes: float = float("inf")
    kill_at: float = float("inf")
    is_asked: bool = False
    """Whether all of its processes were sent SIGTERM, and have until ``kill_at``."""
    code: int | None = None
    """The root's exit status; the slot ends once the rest of its tree is gone as well."""
    ending_since: float = 0.0
    over: Over | None = None
    """Why, where the launcher ended it by itself."""
    used_bytes: int = field(default=0)
    asked_alone: bool = False
    """Whether the agent waits to hear if nothing is left of the attempt but its own process."""


@dataclass(frozen=True)
class Programs:
    """How processes are started."""

    runner: list[str]
    """The command line of a fresh interpreter, but for its policy, its folder and its control socket."""
    template: list[str]
    """That of the process to fork from, but for its socket; empty when there is to be none."""
    environment: dict[str, str]
    policy: Policy = field(default_factory=Policy)


class Launcher:
    """The loop around one agent's slots: what the agent commands, what ends, what has used too much."""

    def __init__(self, agent: AgentChannel, programs: Programs, scratch: str, cgroups: Cgroups) -> None:
        self.agent = agent
        self.argv = programs.runner
        self.scratch = scratch
        self.cgroups = cgroups
        self.policy = programs.policy
        self.environment = programs.environment
        self.template = Template(programs.template, self.environment, scratch) if programs.template else None
        self.ended_early: dict[int, int] = {}
        """Exit statuses of processes that ended before the template said whose they were."""
        self.slots: dict[str, Slot] = {}
        self.leaving: list[Group] = []
        self.alive_until = self.exclusive_until = float("inf")
        self.enforce_at = 0.0

    def run(self) -> None:
        """Serve the agent until it is gone, then end everything."""
        woken_read, woken_write = os.pipe()
        os.set_blocking(woken_write, False)
        signal.set_wakeup_fd(woken_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self.agent.tell({"event": "limits", "kernel": self.cgroups.controllers, "walls": self.policy.walls})
        agent = self.agent.fileno()
        while True:
            writing = [agent] if self.agent.has_more_to_tell else []
            reading = [agent, woken_read]
            if self.template is not None:
                reading.append(self.template.socket.fileno())
            ready, writable, _ = select.select(reading, writing, [], self.tick())
            if woken_read in ready:
                os.read(woken_read, 512)
            if self.template is not None and self.template.socket.fileno() in ready:
                self.hear(self.template.receive())
            if writable:
                self.agent.flush()
            if agent in ready:
                if (commands := self.agent.receive()) is None:
                    break
                for command in commands:
                    self.obey(command)
            self.look_after()
        if self.template is not None:
            self.hear(self.template.close(_CLOSING_SECONDS))
        for slot in self.slots.values():
            self.kill(slot)
            slot.code = -signal.SIGKILL if slot.root == _NOT_YET else slot.code
        while self.slots:
            self.look_after()
            time.sleep(_ENDING_TICK_SECONDS)
        self.cgroups.close()

    def tick(self) -> float:
        """Seconds until something has to be looked at, whatever happens."""
        if any(slot.code is not None for slot in self.slots.values()):
            return _ENDING_TICK_SECONDS
        return max(0.0, min(_TICK_SECONDS, self.enforce_at - time.monotonic()))

    def look_after(self) -> None:
        """Reap, enforce, and let go of what has ended."""
        self.reap()
        if self.template is not None:
            self.template.flush()
            if self.template.is_late():
                self.template.kill()
        table = processtree.Table() if self.needs_table() else None
        strays = table is not None and self.end_strays(table)
        # Much may happen between two looks at what attempts use, and each look costs a system call or more a slot.
        enforcing = time.monotonic() >= self.enforce_at
        if enforcing:
            self.enforce_at = time.monotonic() + _TICK_SECONDS
        for slot in list(self.slots.values()):
            if slot.code is not None:
                self.finish(slot, table, strays)
            elif enforcing or time.monotonic() >= slot.kill_at:
                self.enforce(slot, table)
        self.leaving = [group for group in self.leaving if not group.remove()]

    def needs_table(self) -> bool:
        """Whether some slot's processes have to be looked for in ``/proc``."""
        return any(slot.group is None for slot in self.slots.values())

    # --- the agent's commands -------------------------------------------------------------------

    def obey(self, command: dict[str, object]) -> None:
        """Do what one command says. What it names may have ended meanwhile."""
        slot = self.slots.get(str(command.get("slot")))
        match command:
            case {"do": "spawn", "slot": str(name), "strict": bool(strict), "network": bool(network), "user": user}:
                policy = replace(self.policy, strict=strict, network=network, user=int(str(user)))
                self.spawn(name, self.agent.take_fds(3), policy)
            case {"do": "limit", "memory_mb": int(memory), "cores": int() | float() as cores, "processes": int(most)}:
                if slot is not None:
                    self.limit(slot, memory << 20, cores, most)
            case {"do": "alone"} if slot is not None:
                slot.asked_alone = True
                self.say_alone(slot)
            case {"do": "kill"} if slot is not None:
                for pid in self.members(slot, None):
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGTERM)
                # What is exclusive mustn't outlive its lease to clean up, should that be renewed meanwhile.
                latest = self.exclusive_until if slot.exclusive else float("inf")
                slot.kill_at = min(slot.kill_at, time.monotonic() + GRACE_SECONDS, latest)
                slot.is_asked = True
            case {"do": "kill_now"} if slot is not None:
                self.kill(slot)
            case {"do": "exclusive"} if slot is not None:
                slot.exclusive = True
            case {"do": "alive", "until": float(until), "exclusive_until": float(exclusive)}:
                self.alive_until, self.exclusive_until = until, exclusive

    def spawn(self, name: str, fds: list[int], policy: Policy) -> None:
        """Get a process for a slot: forked, or a fresh interpreter."""
        try:
            group = self.cgroups.make(name) if self.cgroups else None
        except OSError as exc:
            self.refuse(name, fds, exc)
            return
        self.slots[name] = Slot(name, _NOT_YET, group)
        if self.template is not None and replace(policy, user=0) == self.policy:
            self.template.ask(name, [] if group is None else group.directories(), fds, policy.user)
        else:
            self.start(name, fds, policy)

    def hear(self, said: list[Forked | Unfit]) -> None:
        """Take note of what the template has said."""
        for words in said:
            match words:
                case Forked(slot=name, pid=pid, error=None) if name in self.slots:
                    slot = self.slots[name]
                    slot.root = pid
                    self.agent.tell({"event": "spawned", "slot": name, "pid": pid})
                    self.say_alone(slot)
                    if (status := self.ended_early.pop(pid, None)) is not None:
                        self.root_ended(slot, status)
                case Forked(slot=name, error=str(error)) if name in self.slots:
                    self.refuse(name, [], error, over=Over.TEMPLATE)
                case Unfit():
                    self.template = None
                    self.agent.tell({"event": "no_forks", "reason": words.reason})
                    for name, fds, user in words.slots:
                        self.start(name, fds, replace(self.policy, user=user))
        if not any(slot.root == _NOT_YET for slot in self.slots.values()):
            self.ended_early.clear()

    def refuse(self, name: str, fds: list[int], why: object, over: Over | None = None) -> None:
        """Say that a process could not be started.

        A fork that was under way when the template died may still come to life. It finds its slot gone, and ends.
        """
        slot = self.slots.pop(name, None)
        if slot is not None and slot.group is not None:
            self.leaving.append(slot.group)
        for fd in fds:
            os.close(fd)
        self.agent.tell({"event": "exited", "slot": name, "code": 127, "over": over, "used_mb": 0, "error": str(why)})

    def start(self, name: str, fds: list[int], policy: Policy) -> None:
        """Start a fresh interpreter for a slot."""
        slot = self.slots[name]
        group = slot.group
        try:
            process = subprocess.Popen(
                [*self.argv, policy.encode(), os.path.join(self.scratch, name), str(fds[0])],
                env={**self.environment, processtree.SLOT_VARIABLE: name},
                stdin=subprocess.DEVNULL,
                stdout=fds[1],
                stderr=fds[2],
                pass_fds=fds[:1],
                start_new_session=True,
                # Safe here: there are no threads that a fork could harm.
                preexec_fn=group.enter if group is not None else None,
            )
            process.returncode = 0  # we reap it ourselves, together with all that is reparented to us
            slot.root = process.pid
            self.agent.tell({"event": "spawned", "slot": name, "pid": process.pid})
        except (OSError, subprocess.SubprocessError) as exc:
            self.refuse(name, fds, exc)
            return
        for fd in fds:
            os.close(fd)

    def limit(self, slot: Slot, memory_bytes: int, cores: float, processes: int) -> None:
        """Set a slot's limits, and say so; what has used more already is ended."""
        slot.memory_bytes, slot.processes = memory_bytes, processes
        if slot.group is not None:
            try:
                fits = slot.group.limit(memory_bytes, cores, processes)
            except OSError as exc:
                self.agent.tell({"event": "limited", "slot": slot.name, "error": str(exc)})
                return
            if not fits:
                self.end(slot, Over.MEMORY, slot.group.most_memory_bytes() or 0)
        self.agent.tell({"event": "limited", "slot": slot.name})

    # --- what the launcher does by itself ---------------------------------------------------------

    def reap(self) -> None:
        """Take the exit statuses of all that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = next((slot for slot in self.slots.values() if slot.root == pid), None)
            if slot is not None:
                self.root_ended(slot, status)
            elif any(slot.root == _NOT_YET for slot in self.slots.values()):
                self.ended_early[pid] = status

    def root_ended(self, slot: Slot, status: int) -> None:
        """Note how a slot's own process ended; `finish` does the rest."""
        slot.code = os.waitstatus_to_exitcode(status)
        slot.ending_since = time.monotonic()
        if slot.group is not None and slot.over is None and slot.group.out_of_memory():
            slot.over = Over.MEMORY

    def enforce(self, slot: Slot, table: processtree.Table | None) -> None:
        """End a slot whose lease is over, whose time to clean up is, or which has used too much."""
        now = time.monotonic()
        if now >= self.lease_ends(slot):
            self.end(slot, Over.LEASE, 0)
        elif now >= slot.kill_at:
            self.kill(slot)
        elif slot.group is not None and slot.group.out_of_memory():
            self.end(slot, Over.MEMORY, 0)
        elif slot.memory_bytes != float("inf"):
            kept = self.cgroups.controllers if slot.group is not None else {}
            members = self.members(slot, table) if not {"memory", "pids"} <= kept.keys() else set()
            if "pids" not in kept and len(members) > slot.processes:
                self.end(slot, Over.PROCESSES, 0)
            elif "memory" not in kept:
                used = processtree.memory_bytes(members, slot.memory_bytes)
                if used > slot.memory_bytes:
                    self.end(slot, Over.MEMORY, used)

    def lease_ends(self, slot: Slot) -> float:
        """Until when it may run without a word of the agent's."""
        return self.exclusive_until if slot.exclusive else self.alive_until

    def end(self, slot: Slot, why: Over, used_bytes: int) -> None:
        """Kill a slot's processes, for a reason that is told when they are gone."""
        slot.over = slot.over or why
        slot.used_bytes = used_bytes
        self.kill(slot)

    def end_strays(self, table: processtree.Table) -> bool:
        """Without cgroups: kill what left its session and its environment behind, as it belongs to nobody we know."""
        roots = {slot.root for slot in self.slots.values()}
        if self.template is not None:
            roots.add(self.template.pid)
        strays = table.strays(os.getpid(), roots, self.slots.keys())
        for pid in strays:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return bool(strays)

    def finish(self, slot: Slot, table: processtree.Table | None, strays: bool) -> None:
        """The root has ended: end what it left running, and say so once that is gone.

        Where all were asked to end, the others have as long for it as the root had.
        """
        left, now = self.members(slot, table) or strays, time.monotonic()
        if left and slot.is_asked and now < min(slot.kill_at, self.lease_ends(slot)):
            slot.ending_since = now
            return
        if left and now - slot.ending_since < _MOST_ENDING_SECONDS:
            self.kill(slot)
            return
        del self.slots[slot.name]
        used = slot.used_bytes
        if slot.group is not None:
            used = used or slot.group.most_memory_bytes() or 0
            self.leaving.append(slot.group)
        self.agent.tell(
            {"event": "exited", "slot": slot.name, "code": slot.code, "over": slot.over, "used_mb": used >> 20}
        )

    def members(self, slot: Slot, table: processtree.Table | None) -> set[int]:
        """A slot's processes, as far as they can be found."""
        if slot.group is not None:
            return slot.group.members()
        return (table or processtree.Table()).members(slot.name, slot.root, os.getpid())

    def say_alone(self, slot: Slot) -> None:
        """Answer the agent, once the template has said which process is the slot's: an attempt may be faster."""
        if slot.asked_alone and slot.root != _NOT_YET:
            slot.asked_alone = False
            self.agent.tell({"event": "alone", "slot": slot.name, "alone": self.is_alone(slot)})

    def is_alone(self, slot: Slot) -> bool:
        """Whether nothing is left of an attempt but its own process, with which all is well."""
        if slot.code is not None or slot.over is not None:
            return False
        if slot.group is not None:
            return slot.group.members() == {slot.root} and not slot.group.out_of_memory()
        table = processtree.Table()
        return not self.end_strays(table) and self.members(slot, table) == {slot.root}

    def kill(self, slot: Slot) -> None:
        """SIGKILL the whole tree."""
        slot.kill_at = 0.0
        if slot.group is not None:
            slot.group.kill()
            return
        for _ in range(5):  # a process may fork while we look
            members = self.members(slot, None)
            for pid in members:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not members:
                return
