"""What the template does before it imports the app leaves nothing that the app could find."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from niyanta.worker.box.policy import Policy
from support.pace import pace

_SAYS_WHAT_IS = """
import asyncio, json, logging, os, resource, signal, sys, threading
from niyanta.worker.runner import output, rehearsal, runner

def what_is():
    return {
        "signals": [str(signal.getsignal(number)) for number in range(1, 65) if number not in (32, 33)],
        "mask": [int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "logging": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "threads": [threading.active_count(), len(os.listdir("/proc/self/task"))],
        "files": sorted(os.listdir("/proc/self/fd")),
        "limits": [resource.getrlimit(number) for number in range(resource.RLIMIT_NICE)],
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "policy": asyncio.events._event_loop_policy is None,
        "exit": __import__("atexit")._ncallbacks(),
        "folder": os.listdir(),
        "error": type(sys.stderr.buffer.raw._link).__name__,
    }

errors = output.take_over()
before = what_is()
rehearsal.rehearse(errors)
after = what_is()
print(json.dumps([before, after]))
asyncio.get_event_loop_policy().get_event_loop().close()  # as an app may say at its import
"""


_AS_A_TEMPLATE = """
import os
from niyanta.worker.runner import rehearsal, runner, template

done = []

def noted(name, function):
    return lambda *words: (done.append(name), function(*words))[1]

{change}
template.rehearse = noted("rehearsal", template.rehearse)
template.load_app = noted("import", template.load_app)
template.main()
print(*done, os.path.exists("imported"), flush=True)
os._exit(0)
"""
_WRONG = {
    "raises": "runner.attempts = lambda *_: 1 / 0",
    "silent": "runner.attempts = lambda shared, _: (shared.control.start(), (None, shared.control.close))[1]",
    "thread": """
import threading
old = runner.attempts
def attempts(*words):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return old(*words)
runner.attempts = attempts
""",
}


def _run(*words: str, cwd: Path, fds: tuple[int, ...] = ()) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60 * pace(),
        check=False,
        pass_fds=fds,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_all_is_as_it_was(tmp_path: Path) -> None:
    strict = ["-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning"]
    before, after = json.loads(_run(*strict, "-c", _SAYS_WHAT_IS, cwd=tmp_path))
    assert after == before


def _template(folder: Path, change: str) -> tuple[dict[str, object], list[str]]:
    """What a template tells the launcher, and what it has done in which order."""
    (folder / "app.py").write_text(
        "import niyanta\nopen('imported', 'w').close()\nworker = niyanta.Worker()\n"
        "@worker.workload('work')\ndef work(ctx: niyanta.SyncContext) -> None: ...\n"
    )
    launcher, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with launcher, theirs:
        launcher.settimeout(60 * pace())
        launcher.shutdown(socket.SHUT_WR)  # it asks for nothing
        words = [json.dumps([f"{folder}/app.py:worker"]), Policy(wanted=False).encode(), str(theirs.fileno())]
        done = _run("-c", _AS_A_TEMPLATE.replace("{change}", change), *words, cwd=folder, fds=(theirs.fileno(),))
        return json.loads(launcher.recv(65536)), done.split()


def test_the_app_is_imported_after_it(tmp_path: Path) -> None:
    told, done = _template(tmp_path, "")
    assert told == {"ready": True}
    assert done == ["rehearsal", "import", "True"]


@pytest.mark.parametrize("wrong", _WRONG)
def test_where_it_goes_wrong_there_are_no_forks(tmp_path: Path, wrong: str) -> None:
    told, done = _template(tmp_path, _WRONG[wrong])
    assert "the rehearsal has failed" in str(told["unfit"])
    assert done == ["rehearsal", "False"]
