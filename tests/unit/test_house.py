"""The rules of the house that neither ruff, mypy nor import-linter can check."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import niyanta
import niyanta.client

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "niyanta"

PUBLIC_NAMES = {
    "ApiError",
    "AsyncClient",
    "CheckpointError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "BrokerRefusedError",
    "ConnectionFailedError",
    "Context",
    "ForbiddenError",
    "InternalError",
    "InvalidInputError",
    "InvalidStateError",
    "NiyantaError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermanentError",
    "NotAcceptableError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "Status",
    "SyncContext",
    "TransientError",
    "UnauthorizedError",
    "UnsupportedMediaTypeError",
    "WaitTimeoutError",
    "Worker",
    "WorkloadCancelledError",
    "WorkloadFailedError",
    "__version__",
}

# docs/glossary.md has a better word for each, or the word says too little.
UNUSED_WORDS = {"common", "helper", "helpers", "job", "jobs", "manager", "tenant", "util", "utils"}

# What sets an attribute that is named in a string.
PATCHING = {"setattr", "delattr", "patch", "object"}

# Public in spite of the underscore: so the standard library has them.
PUBLIC_WITH_UNDERSCORE = {"_asdict", "_exit", "_fields", "_replace"}

# Pickle of data from outside runs code; nothing that crosses a process or is stored may need it.
FORBIDDEN_MODULES = {"marshal", "pickle", "shelve"}


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _defined_names(tree: ast.AST) -> Iterator[str]:
    for entry in ast.walk(tree):
        if isinstance(entry, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield entry.name


def _imported_modules(tree: ast.AST) -> Iterator[str]:
    for entry in ast.walk(tree):
        if isinstance(entry, ast.Import):
            yield from (alias.name for alias in entry.names)
        elif isinstance(entry, ast.ImportFrom) and entry.module and not entry.level:
            yield entry.module


def test_public_names_are_frozen() -> None:
    assert set(niyanta.__all__) == PUBLIC_NAMES


def test_dir_lists_the_public_names() -> None:
    assert set(dir(niyanta)) >= PUBLIC_NAMES
    assert set(dir(niyanta.client)) >= {"AsyncClient", "Client"}


def test_every_public_name_is_there() -> None:
    assert [name for name in niyanta.__all__ if not hasattr(niyanta, name)] == []


def test_client_loads_no_server_and_no_worker() -> None:
    code = "import sys; from niyanta import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("niyanta.server", "niyanta.worker", "asyncpg", "nats")
    assert [name for name in done.stdout.split() if name.startswith(heavy)] == []


def test_names_keep_to_the_glossary() -> None:
    offending = []
    for path in _modules():
        names = [path.stem, *_defined_names(_parse(path))]
        offending += [f"{path.relative_to(ROOT)}: {name}" for name in names if _words(name) & UNUSED_WORDS]
    assert offending == []


def test_no_module_unpickles() -> None:
    offending = []
    for path in _modules():
        imported = set(_imported_modules(_parse(path)))
        offending += [f"{path.relative_to(ROOT)}: {name}" for name in imported & FORBIDDEN_MODULES]
    assert offending == []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _patched(tree: ast.AST) -> Iterator[str]:
    """Private names that code outside of their class sets: by assignment, or by `setattr` and its like."""
    for entry in ast.walk(tree):
        if isinstance(entry, ast.Attribute) and not isinstance(entry.ctx, ast.Load):
            if _is_private(entry.attr) and ast.unparse(entry.value) not in ("self", "cls"):
                yield f"{entry.lineno}: {ast.unparse(entry)}"
        elif isinstance(entry, ast.Call) and ast.unparse(entry.func).rpartition(".")[2] in PATCHING:
            for given in (*entry.args, *(keyword.value for keyword in entry.keywords)):
                name = given.value if isinstance(given, ast.Constant) else None
                if isinstance(name, str) and _is_private(name.rpartition(".")[2]):
                    yield f"{entry.lineno}: {name}"


def test_no_test_patches_a_private_name() -> None:
    offending = [
        f"{path.relative_to(ROOT)}:{found}"
        for folder in ("tests", "bench", "chaos", "mutants", "simulation", "fuzz", "supply")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in _patched(_parse(path))
    ]
    assert offending == [], "give the product a parameter with a default, or test what it does"


@pytest.mark.parametrize(
    "line",
    [
        "patch.setattr('niyanta.x._LIMIT', 1)",
        "patch.setattr(module, '_LIMIT', 1)",
        "patch.object(module, '_limit')",
        "setattr(module, '_limit', 1)",
        "module._limit = 1",
        "a.b._limit += 1",
        "a._one, self.b = 1, 2",
        "del module._limit",
    ],
)
def test_a_patched_private_name_is_found(line: str) -> None:
    assert len(list(_patched(ast.parse(line)))) == 1


def test_what_is_public_or_ones_own_may_be_set() -> None:
    for line in ("self._limit = 1", "patch.setattr(module, 'LIMIT', 1)", "patch.setattr(A, '__call__', f)", "_x = 1"):
        assert list(_patched(ast.parse(line))) == [], line


def _read(tree: ast.AST) -> Iterator[str]:
    """Private names that code outside of their class or module reads or imports."""
    for entry in ast.walk(tree):
        if isinstance(entry, ast.Attribute) and isinstance(entry.ctx, ast.Load):
            if (
                _is_private(entry.attr)
                and entry.attr not in PUBLIC_WITH_UNDERSCORE
                and ast.unparse(entry.value) not in ("self", "cls")
            ):
                yield f"{entry.lineno}: {ast.unparse(entry)}"
        elif isinstance(entry, ast.ImportFrom):
            yield from (f"{entry.lineno}: {alias.name}" for alias in entry.names if _is_private(alias.name))


def test_no_test_reads_a_private_name() -> None:
    offending = [
        f"{path.relative_to(ROOT)}:{found}"
        for folder in ("tests", "bench", "chaos", "mutants", "simulation", "fuzz", "supply", "scripts")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in _read(_parse(path))
    ]
    assert offending == [], "give the object a name that a reader would want, or test what it does"


@pytest.mark.parametrize("line", ["x = module._LIMIT", "a._b()", "super()._run()", "from a.b import _c"])
def test_a_private_name_that_is_read_is_found(line: str) -> None:
    assert len(list(_read(ast.parse(line)))) == 1


def test_what_is_public_or_ones_own_may_be_read() -> None:
    for line in ("self._x", "cls._x", "os._exit(1)", "url._replace(a=1)", "a.__class__", "from a import b as _b"):
        assert list(_read(ast.parse(line))) == [], line


def test_unit_tests_stand_in_the_rooms_of_what_they_test() -> None:
    folders = {path.relative_to(ROOT / "tests" / "unit").parent for path in (ROOT / "tests" / "unit").rglob("*.py")}
    # These are beside the product, not in it.
    assert [str(folder) for folder in sorted(folders) if not (SOURCE / folder).is_dir()] == [
        "chaos",
        "fuzz",
        "mutants",
        "supply",
    ]


def test_what_tests_import_stands_in_one_folder() -> None:
    lying = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_")
        and path.name != "conftest.py"
        # What mypy alone reads is imported by nobody.
        and not path.is_relative_to(ROOT / "tests" / "support")
        and path.parent.name != "typed"
    ]
    assert lying == []


def _imports() -> dict[str, set[str]]:
    """Which of our modules each of them imports, wherever in the file it does."""
    paths = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for path in _modules()}
    names = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        imported: set[str] = set()
        for entry in ast.walk(_parse(path)):
            if isinstance(entry, ast.Import):
                imported |= {alias.name for alias in entry.names}
            elif isinstance(entry, ast.ImportFrom) and entry.module:
                inner = {f"{entry.module}.{alias.name}" for alias in entry.names}
                imported |= {one if one in names else entry.module for one in inner}
        found[name] = (imported & set(names)) - {name}
    return found


def test_no_modules_import_each_other() -> None:
    waiting = _imports()
    while ready := {name for name, imported in waiting.items() if not imported & set(waiting)}:
        waiting = {name: imported for name, imported in waiting.items() if name not in ready}
    assert sorted(waiting) == [], "a circle, or above one"


def test_links_in_the_documents_lead_somewhere() -> None:
    assert list(_script("check_links").broken_links()) == []


def test_the_tour_leads_to_what_it_names() -> None:
    tour = (ROOT / "docs" / "code-tour.md").read_text(encoding="utf-8")
    stops = re.findall(r"\[`([\w.]+)`\]\(\.\./(src/[^)]+\.py)\)", tour)
    assert len(stops) > 30
    lost = []
    for name, path in stops:
        found: list[ast.stmt] = _parse(ROOT / path).body
        for part in name.split("."):
            found = next((getattr(entry, "body", []) for entry in found if getattr(entry, "name", None) == part), [])
        if not found:
            lost.append(f"{name} in {path}")
    assert lost == []


def test_each_guarantee_names_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    promises = re.split(r"\n\*\*\d+\. ", page.partition("\n## Last measured")[0])[1:]
    assert len(promises) >= 13
    lost = []
    for promise in promises:
        tests = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[^)]+\.py)\)", promise)
        assert tests, promise
        assert "\n- Not promised: " in promise, promise
        lost += [
            f"{name} in {path}"
            for name, path in tests
            if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
        ]
    assert lost == []


def test_the_states_page_is_what_the_table_says() -> None:
    page = _script("state_diagram")
    assert page.PAGE.read_text(encoding="utf-8") == page.render()


def test_the_client_without_await_is_made_from_the_other() -> None:
    source = _script("sync_client")
    assert source.TARGET.read_text(encoding="utf-8") == source.render()


def test_decisions_are_numbered_listed_and_whole() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert page.name in index
        assert text.startswith(f"# {page.name[:4]}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_changelog_has_a_place_for_what_comes() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## [Unreleased]\n" in changelog


def _locked() -> dict[str, list[str]]:
    """Lines of each package's entry in the lock file."""
    entries: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            current = entries.setdefault(line.split("==")[0], [])
        if not line.startswith("#"):
            current.append(line)
    return entries


def test_lock_names_no_index() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_lock_has_a_hash_for_every_package() -> None:
    assert [name for name, lines in _locked().items() if "--hash=sha256:" not in "".join(lines)] == []


def test_lock_has_every_dependency_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[\[<>=~!; ]", line, maxsplit=1)[0] for line in wanted} - {"niyanta"}
    assert names - set(_locked()) == set(), "run `make lock`"


@pytest.mark.parametrize(
    "verb",
    ["setup", "demo", "dev", "test", "go", "lint", "types", "bench", "chaos", "verify", "docs", "site", "lock"],
)
def test_every_verb_is_in_the_help(verb: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{verb}:.*## \w", makefile, re.MULTILINE)


def test_verbs_let_python_keep_what_it_compiled() -> None:
    """Whatever the environment says: the many processes of a test run would compile all that they import."""
    probe = ["make", "--no-print-directory", "--eval", "probe:;@echo kept=$$PYTHONDONTWRITEBYTECODE", "probe"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(probe, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "kept=\n"
