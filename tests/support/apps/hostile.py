"""Handlers that try to get out of their box, and one that does what honest handlers do."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from niyanta import SyncContext, Worker

worker = Worker(capacity=4)
_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_IOPRIO_SET, _IOPRIO_WHO_PROCESS = {"x86_64": 251, "aarch64": 30}, 1
_IPC_INFO = 3


def attempted(action: Any, *arguments: Any) -> str:
    """What an attack came to: the error's name, or ``open``."""
    try:
        action(*arguments)
    except OSError as exc:
        return type(exc).__name__
    return "open"


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(64)


def ancestors() -> list[int]:
    """The launcher, the agent, and whoever started that."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 1 and len(found) < 3:
        found.append(pid)
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


@worker.workload("look_at")
def look_at(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    """Read other processes' memory, environment and descriptors."""
    room = ctypes.create_string_buffer(8)
    piece = (ctypes.c_size_t * 2)(ctypes.addressof(room), 8)  # struct iovec
    found = {}
    for pid in [*ancestors(), *params.get("pids", [])]:
        for name in ("environ", "mem", "maps"):
            found[f"{pid} {name}"] = attempted(read, f"/proc/{pid}/{name}")
        found[f"{pid} fd"] = attempted(os.readlink, f"/proc/{pid}/fd/0")
        for request in (_PTRACE_ATTACH, _PTRACE_SEIZE):
            refused = _libc.ptrace(request, pid, 0, 0) == -1
            found[f"{pid} ptrace {request}"] = "refused" if refused else "open"
        refused = _libc.process_vm_readv(pid, piece, 1, piece, 1, 0) == -1  # with nothing to read it asks nobody
        found[f"{pid} process_vm_readv"] = "refused" if refused else "open"
    return found


@worker.workload("look_around")
def look_around(ctx: SyncContext) -> dict[str, list[int]]:
    """All processes that there are to be seen, and those that are our own: this one, and one that it starts."""
    child = subprocess.Popen(["/bin/sleep", "30"])
    try:
        seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
        deadline = time.monotonic() + 10
        while "sleep" not in Path(f"/proc/{child.pid}/cmdline").read_text():  # empty while it begins
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    return {"seen": seen, "own": sorted([os.getpid(), child.pid])}


@worker.workload("kill_others")
def kill_others(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    return {
        f"{pid} {number}": attempted(os.kill, pid, number)
        for pid in [*ancestors(), *params.get("pids", [])]
        for number in (0, signal.SIGTERM, signal.SIGKILL)
    }


@worker.workload("change_others")
def change_others(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    """Set other processes' limits and turns, each to what it is already."""
    found = {}
    for pid in [*ancestors(), *params["pids"]]:
        found[f"{pid} limit"] = attempted(resource.prlimit, pid, resource.RLIMIT_CORE)
        found[f"{pid} nice"] = attempted(os.setpriority, os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
        found[f"{pid} scheduler"] = attempted(os.sched_setscheduler, pid, os.SCHED_OTHER, os.sched_param(0))
        found[f"{pid} parameters"] = attempted(os.sched_setparam, pid, os.sched_param(0))
        refused = _libc.syscall(_IOPRIO_SET[os.uname().machine], _IOPRIO_WHO_PROCESS, pid, 0) == -1
        found[f"{pid} disk"] = "refused" if refused else "open"
    found["user's nice"] = attempted(os.setpriority, os.PRIO_USER, os.getuid(), 0)
    _libc.shmat.restype = ctypes.c_void_p
    shared = _libc.shmat(params["memory"], None, 0) != ctypes.c_void_p(-1).value
    found["shared memory"] = "open" if shared else "refused"
    for name in ("shmctl", "semctl", "msgctl"):  # with nothing to change it asks nobody
        found[name] = "open" if getattr(_libc, name)(0, 0, _IPC_INFO, 0) != -1 else "refused"
    return found


@worker.workload("change_files")
def change_files(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    """Change of files what isn't their content, each to what it is already."""
    found = {}
    for path in params["paths"]:
        seen = os.stat(path)
        found[f"{path} mode"] = attempted(os.chmod, path, seen.st_mode)
        found[f"{path} owner"] = attempted(os.chown, path, seen.st_uid, seen.st_gid)
        found[f"{path} times"] = attempted(
            lambda path=path, seen=seen: os.utime(path, (seen.st_atime, seen.st_mtime))
        )
        found[f"{path} attribute"] = attempted(os.setxattr, path, "user.niyanta", b"")
        with contextlib.suppress(OSError):
            held = os.open(path, os.O_RDONLY)
            found[f"{path} mode, opened"] = attempted(os.fchmod, held, seen.st_mode)
            os.close(held)
    return found


@worker.workload("change_oneself")
def change_oneself(ctx: SyncContext) -> str:
    """What honest programs do."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(1)
    os.setpriority(os.PRIO_PROCESS, 0, 2)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    return subprocess.run(["nice", "-n", "3", "nice"], capture_output=True, text=True, check=True).stdout.strip()


@worker.workload("read_file")
def read_file(ctx: SyncContext, params: dict[str, Any]) -> str:
    return Path(params["path"]).read_text()


@worker.workload("open_files")
def open_files(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    """Read what is named, directly and by a link in our own folder."""
    found = {}
    for path in params["paths"]:
        found[path] = attempted(read if not os.path.isdir(path) else os.listdir, path)
        link = Path(tempfile.mkdtemp()) / "link"
        link.symlink_to(path)
        found[f"{path} by link"] = attempted(read if not os.path.isdir(path) else os.listdir, str(link))
        found[f"{path} by hard link"] = attempted(os.link, path, ctx.work_dir / "hard")
        found[f"{path} moved"] = attempted(os.rename, path, ctx.work_dir / "moved")
    return found


@worker.workload("write_files")
def write_files(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    found = {}
    for folder in [*params["folders"], str(ctx.work_dir.parent), str(ctx.work_dir.parent.parent)]:
        found[f"{folder} new"] = attempted(lambda at=folder: Path(at, "planted").write_text("x"))
        found[f"{folder} folder"] = attempted(lambda at=folder: Path(at, "planted.d").mkdir())
    found["own folder swapped"] = attempted(os.rename, ctx.work_dir, ctx.work_dir.parent / "tmp" / "elsewhere")
    return found


@worker.workload("change_machine")
def change_machine(ctx: SyncContext) -> dict[str, str]:
    """System calls that lead out of the box, and sockets that go around its walls."""
    calls: dict[str, Any] = {
        "unshare": lambda: _libc.unshare(0x10000000),
        "mount": lambda: _libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
        "keyctl": lambda: _libc.syscall(250, 0, -3, 0, 0, 0),
        "bpf": lambda: _libc.syscall(321, 0, 0, 0),
        "perf_event_open": lambda: _libc.syscall(298, 0, 0, -1, -1, 0),
        "io_uring_setup": lambda: _libc.syscall(425, 1, 0),
        "kexec_load": lambda: _libc.syscall(246, 0, 0, 0, 0),
        "clone into namespaces": lambda: _libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0),
        "setuid": lambda: _libc.setuid(12345),
        "sethostname": lambda: _libc.sethostname(b"x", 1),
    }
    found = {name: "refused" if call() == -1 else "open" for name, call in calls.items()}
    for name, family, kind, protocol in (
        ("packets", socket.AF_PACKET, socket.SOCK_RAW, 0),
        ("raw", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        ("mptcp", socket.AF_INET, socket.SOCK_STREAM, 262),
        ("vsock", socket.AF_VSOCK, socket.SOCK_STREAM, 0),
    ):
        found[name] = attempted(socket.socket, family, kind, protocol)
    with open("/proc/self/status") as file:
        lines = {line.partition(":")[0]: line.partition(":")[2] for line in file}
    found |= {name: lines[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
    return found


@worker.workload("connect")
def connect(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    found = {}
    for port in params["ports"]:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
            with socket.socket(family) as one:
                found[f"{port} {host}"] = attempted(one.connect, (host, port))
        with socket.socket() as one:
            found[f"{port} fast"] = attempted(one.sendto, b"", socket.MSG_FASTOPEN, ("127.0.0.1", port))
    return found


@worker.workload("connect_by_name")
def connect_by_name(ctx: SyncContext, params: dict[str, Any]) -> dict[str, str]:
    """Speak to programs of the machine by sockets that have a name, directly and by a link in our own folder."""
    found = {}
    for path in params["paths"]:
        Path("link").symlink_to(path)  # in our own folder, by a name that is short enough for a socket
        for name, target in ((path, path), (f"{path} by link", "link")):
            with socket.socket(socket.AF_UNIX) as one:
                found[name] = attempted(one.connect, target)
        Path("link").unlink()
    return found


@worker.workload("plant_checkpoint")
def plant_checkpoint(ctx: SyncContext, params: dict[str, Any]) -> None:
    """Have the agent read, in our place, what we can't."""
    temporary = ctx.work_dir.parent / "tmp"

    def in_the_way(path: Path) -> None:
        path.symlink_to(params["path"])

    real: Any = Path.write_bytes
    Path.write_bytes = lambda self, data: in_the_way(self) or 1  # type: ignore[func-returns-value, method-assign]
    try:
        ctx.save_checkpoint(b"x" * (11 << 20))
    finally:
        Path.write_bytes = real  # type: ignore[method-assign]
        shutil.rmtree(temporary, ignore_errors=True)


@worker.workload("bomb")
def bomb(ctx: SyncContext) -> int:
    """Fork until it is refused."""
    made = 0
    with contextlib.suppress(OSError):
        while made < 20_000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            made += 1
    return made


@worker.workload("fill_disk")
def fill_disk(ctx: SyncContext) -> None:
    """Beside the directory that it was given."""
    number = 0
    while True:
        number += 1
        with open(Path(tempfile.gettempdir()) / f"{number}", "wb") as file:
            file.write(bytes(4 << 20))


@worker.workload("leave_daemon")
def leave_daemon(ctx: SyncContext) -> int:
    """A process that has cut all that ties it to us."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            subprocess.run(["env", "-i", "sleep", "300"], check=False)
        os._exit(0)
    return int(os.read(reader, 32))


@worker.workload("stay")
def stay(ctx: SyncContext, params: dict[str, Any]) -> int:
    """Be there to be attacked."""
    (ctx.work_dir / "secret").write_text("of another customer")
    ctx.report_progress(1, f"{os.getpid()} {ctx.work_dir}")
    while not os.path.exists(params["until"]):
        time.sleep(0.02)
    return os.getpid()


@worker.workload("apart", isolation="strict", network="none")
def apart(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    """Look for what others have, and for a network; a network of our own is all there is."""
    own = Path("/tmp")
    ours = (ctx.work_dir, Path(__file__))  # the app is there too, where it lies there
    strangers = [name for name in os.listdir(own) if not any(path.is_relative_to(own / name) for path in ours)]
    found: dict[str, Any] = {"strangers": strangers}
    found |= {f"port {port}": attempted(socket.create_connection, ("127.0.0.1", port), 2) for port in params["ports"]}
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        found["own network"] = True
    found["interfaces"] = [name for _, name in socket.if_nameindex()]
    (own / "mine").write_text("x")
    found["shared memory"] = attempted(read, f"/dev/shm/{params['shared']}")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found["pool"] = pool.map(square, [2])
    return found


@worker.workload("silent", network="none")
def silent(ctx: SyncContext, params: dict[str, Any]) -> str:
    return attempted(socket.create_connection, ("127.0.0.1", params["port"]), 2)


def square(number: int) -> int:
    return number * number


@worker.workload("honest")
def honest(ctx: SyncContext, params: dict[str, Any]) -> dict[str, Any]:
    """What handlers do."""
    import decimal
    import email.mime.text
    import xml.etree.ElementTree as XmlTree

    found: dict[str, Any] = {"lazy": [module.__name__ for module in (decimal, email.mime.text, XmlTree)]}
    with sqlite3.connect(ctx.work_dir / "a.db") as database:
        database.execute("create table t (x)")
        database.execute("insert into t values (1)")
        found["sqlite"] = database.execute("select count(*) from t").fetchone()[0]
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("x")
        found["tempfile"] = file.name.startswith(str(ctx.work_dir.parent))
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            found[method] = pool.map(square, [1, 2, 3])
    code = "import json, ssl, tempfile; tempfile.mkdtemp(); print(json.dumps([1]))"
    found["subprocess"] = subprocess.check_output([sys.executable, "-c", code], text=True)
    found["shell"] = subprocess.check_output(
        "echo hi | cat > out && ls > /dev/null && cat out", shell=True, text=True
    )
    with socket.create_connection(("127.0.0.1", params["port"]), timeout=5) as one:
        found["connected"] = one.recv(2).decode()
    found["name"] = socket.getaddrinfo("localhost", 80)[0][4][1]
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        found["served"] = True
    os.kill(os.getpid(), 0)
    home = Path.home() / ".cache"
    home.mkdir()
    found["home"] = home.is_dir()
    with open("/dev/null", "w") as null, open("/proc/cpuinfo") as cpus:
        null.write("x")
        found["processors"] = bool(cpus.read())
    os.symlink("a.db", ctx.work_dir / "link")
    os.link(ctx.work_dir / "a.db", ctx.work_dir / "hard")
    os.rename(ctx.work_dir / "hard", ctx.work_dir / "b.db")
    os.chmod(ctx.work_dir / "b.db", 0o700)
    return found


@worker.workload("ids", reuse=3)
def ids(ctx: SyncContext) -> dict[str, Any]:
    """Who this process is, after it has left files that it then closes, also to itself."""
    closed = ctx.work_dir / "a" / "b"
    closed.mkdir(parents=True)
    (closed / "left").write_text("over")
    (Path(tempfile.gettempdir()) / "left").write_text("over")
    closed.chmod(0)
    closed.parent.chmod(0)
    said = subprocess.run(["/bin/sh", "-c", "id -u; echo heard >/dev/stderr"], capture_output=True, check=True)
    modes = [oct(os.stat(path).st_mode & 0o777) for path in (ctx.work_dir, tempfile.gettempdir())]
    return {
        **{"uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "child": int(said.stdout)},
        **{"modes": modes, "pid": os.getpid(), "work": str(ctx.work_dir), "heard": said.stderr.decode().strip()},
        **{"capabilities": next(line for line in open("/proc/self/status") if line.startswith("CapPrm")).split()[1]},
    }


@worker.workload("move_folder")
def move_folder(ctx: SyncContext) -> dict[str, str]:
    """Put something else where the agent looks for our files."""
    top = Path(tempfile.gettempdir()).parent
    found = {name: attempted(os.rename, top / name, top / "other") for name in ("work", "tmp")}
    return {**found, "new": attempted(os.symlink, "/etc", top / "link")}


@worker.workload("linger")
def linger(ctx: SyncContext, params: dict[str, Any]) -> None:
    """Leave a daemon that heeds no signal, and stay until we are ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    else:
        ctx.report_progress(1, str(os.getuid()))
    while True:
        time.sleep(1)


@worker.workload("count_on")
def count_on(ctx: SyncContext) -> int:
    """Save what was saved before, and one more; then fail the first time."""
    number = (ctx.checkpoint or {"number": 0})["number"] + 1
    ctx.save_checkpoint({"number": number, "ballast": "x" * 200_000})
    return int(number)


worker.command("shell", ["/bin/sh", "-c", "echo '{\"uid\": '$(id -u)'}' > $NIYANTA_RESULT_FILE"])
