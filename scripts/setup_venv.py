"""Makes .venv hold exactly what requirements.lock says, and this project, editable.

Runs on any Python 3.11 or newer with nothing installed. Works with uv when it is on PATH and with venv and
pip otherwise. Safe to run twice, at once from two shells, after an interruption, and after the checkout
moved: a stamp written last says for which lock file, project file and place the environment was made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK_FILE = ROOT / "requirements.lock"
STAMP = VENV / ".niyanta-ready"
# When .venv is active, the Python that runs this is the one inside it, which may be about to be replaced.
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
# Another environment that happens to be active, or an install for one user, must not get in the way.
UNWANTED = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}


def wanted_stamp() -> str:
    """What the stamp holds when there is nothing to do."""
    digest = hashlib.sha256()
    for path in (LOCK_FILE, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes() + b"\0")
    return f"{digest.hexdigest()} {VENV}\n"


def is_ready() -> bool:
    return STAMP.is_file() and STAMP.read_text() == wanted_stamp() and _runs(PYTHON, "import niyanta")


def _runs(python: Path, code: str) -> bool:
    try:
        command = [str(python), "-c", code]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    except OSError:
        return False


def is_sound() -> bool:
    """Whether the environment works and was made at this place: the scripts inside name their place."""
    activate = VENV / "bin" / "activate"
    return (
        activate.is_file()
        and str(VENV) in activate.read_text()
        and _runs(PYTHON, "import sys; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)")
    )


def run(*command: str | Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    subprocess.run([str(part) for part in command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=True)


def find_uv() -> str | None:
    """The uv on PATH, leaving out the one inside the environment that may be about to be replaced."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("uv", path=os.pathsep.join(p for p in places if Path(p) != VENV / "bin"))


def install_with_uv(uv: str) -> None:
    if not is_sound():
        run(uv, "venv", "--quiet", "--clear", "--python", BASE_PYTHON, VENV)
    install = (uv, "pip", "install", "--quiet", "--python", PYTHON)
    run(*install, "--require-hashes", "-r", LOCK_FILE)
    run(*install, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def install_with_pip() -> None:
    if not is_sound():
        shutil.rmtree(VENV, ignore_errors=True)
        try:
            run(BASE_PYTHON, "-m", "venv", VENV)
        except subprocess.CalledProcessError:
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit(
                f"{BASE_PYTHON} can't make a virtual environment. On Debian and Ubuntu install "
                f"python{sys.version_info[0]}.{sys.version_info[1]}-venv; or install uv. Then run it again."
            )
    if not _runs(PYTHON, "import pip"):
        run(PYTHON, "-m", "ensurepip")
    install = (PYTHON, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
    run(*install, "--require-hashes", "-r", LOCK_FILE)
    run(*install, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def main() -> None:
    # The lock file lies beside the environment, which may be replaced while it is held.
    with (ROOT / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if is_ready():
            return
        print("Making .venv ready; the first time this takes a minute …", file=sys.stderr, flush=True)
        STAMP.unlink(missing_ok=True)
        uv = find_uv()
        try:
            if uv:
                install_with_uv(uv)
            else:
                install_with_pip()
        except subprocess.CalledProcessError as error:
            sys.exit(f"setup failed: {' '.join(error.cmd)} ended with {error.returncode}")
        STAMP.write_text(wanted_stamp())
        print(f"Ready: {VENV}", file=sys.stderr)


if __name__ == "__main__":
    main()
