"""The shape of the code: sizes, circles, names, and drawings that say what the code does."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from niyanta import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
GENERATED = ("niyanta/wire/v1/", "niyanta/client/synchronous.py")

MOST_MODULE_LINES = 400
LONGER_MODULES: dict[str, str] = {}
"""None needs to be, so far."""

MOST_FUNCTION_LINES = 50
LONGER_FUNCTIONS: dict[str, str] = {
    "niyanta.server.rest.frame.frame.RestFrame._server_of": "what every request goes through, in its order",
    "niyanta.server.wiring.Assembly.__init__": "one line for each part of a coordinator",
}

_CLIENT = "the client's view of it, which is installed without the server"
SHARED_CLASS_NAMES: dict[str, str] = {
    **dict.fromkeys(
        (
            *(
                "ApiKey",
                "AuditEvent",
                "Customer",
                "CustomerLimits",
                "CustomerUsage",
                "ItemError",
                "LogLine",
                "LogPage",
            ),
            *("Pagination", "Period", "ResourceLimits", "Statistics", "StatisticsSummary", "Status", "Submission"),
            "RunSeconds",
            *("EstimateAccuracy", "ExplainedReason", "Explanation", "QueuePosition", "TimeEstimate"),
            *("Checkpoint", "CustomerShare", "LeaderState", "QueueState"),
            *("TierLimits", "TypeStatistics", "Update", "Workload", "WorkloadConfig"),
        ),
        _CLIENT,
    ),
    "Credentials": "what `niyanta dev` writes, and what a client finds of it",
    "Entry": "of a folder in an example; of the list of commands",
    "Place": "of a file, in an example; in a list",
    "Progress": "each example is read by itself",
    "Turn": "a customer's; a picture's, in an example",
}
"""Public types of one name in several modules, with the reason: two names for one thing would be worse."""

CONTROL_FLOW: dict[str, str] = {
    "AttemptEnded": "leaves a handler whose attempt is over, past every ``except Exception``",
    "Killed": "stands for the end of a process, in tests of handlers",
}
"""Exceptions that aren't errors: raised to leave, not to complain."""

READS_ENVIRONMENT: dict[str, str] = {
    "niyanta/client/transport.py": "where a client finds the address and the key",
    "niyanta/client/tls.py": "which certificate a client shows",
    "niyanta/embedded/postgres.py": "whose programs are started",
    "niyanta/worker/program.py": "the settings of a worker's program",
    "niyanta/worker/handlers/command.py": "passes it on to programs",
    "niyanta/worker/launcher/program.py": "passes it on to runners, less what isn't theirs",
    "niyanta/worker/box/box.py": "has temporary files and the home directory in an attempt's own folder",
    "niyanta/worker/box/outside.py": "where temporary files are made",
    "niyanta/worker/box/policy.py": "what the operator opens and closes",
    "niyanta/worker/runner/surroundings.py": "puts back what an attempt has changed in it",
    "niyanta/worker/runner/template.py": "names the slot in it",
    "niyanta/examples/storage/allowed.py": "what the operator allows",
    "niyanta/examples/storage/objects.py": "the settings of an S3 client",
}
"""Modules besides settings and the command line that may look at the process's environment, with the reason."""


MOST_LINES_WITH_ANY = 21

OPENED_BY_WIRING = ("Database.open", "Broker", "ObjectStore")


def _modules() -> list[str]:
    found = (str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
    return sorted(name for name in found if not name.startswith(GENERATED))


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse((SOURCE / name).read_text(encoding="utf-8"), filename=name)


def _dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _run_time_imports(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports but those that only a type checker sees."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _run_time_imports(statement.orelse)
        else:
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from _run_time_imports(getattr(statement, field, []))


def _imports() -> dict[str, set[str]]:
    """Module to the modules of the project that it imports, wherever in it the import stands."""
    names = {_dotted(name) for name in _modules()}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for path in _modules():
        name = _dotted(path)
        for statement in _run_time_imports(_tree(path).body):
            if isinstance(statement, ast.Import):
                wanted = {alias.name for alias in statement.names}
            else:
                wanted = set()
                for alias in statement.names:
                    whole = f"{statement.module}.{alias.name}"
                    wanted.add(whole if whole in names else statement.module or "")
            graph[name] |= (wanted & names) - {name}
    return graph


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module. Source: Tarjan, 1972."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            circle = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_no_imports_go_in_a_circle() -> None:
    assert _circles(_imports()) == []


def test_a_circle_would_be_found() -> None:
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


def test_modules_are_short() -> None:
    lines = {name: len((SOURCE / name).read_text(encoding="utf-8").splitlines()) for name in _modules()}
    assert {name: n for name, n in lines.items() if n > MOST_MODULE_LINES and name not in LONGER_MODULES} == {}
    assert [name for name in LONGER_MODULES if lines.get(name, 0) <= MOST_MODULE_LINES] == [], "no exception needed"


def _functions(tree: ast.Module, prefix: str) -> Iterator[tuple[str, int]]:
    def walk(body: Iterable[ast.AST], inside: str) -> Iterator[tuple[str, int]]:
        for entry in body:
            if isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{inside}.{entry.name}"
                yield name, _code_lines(entry)
                yield from walk(entry.body, name)
            elif isinstance(entry, ast.ClassDef):
                yield from walk(entry.body, f"{inside}.{entry.name}")

    return walk(tree.body, prefix)


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    documented = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    spoken = 0 if documented is None else (documented.end_lineno or 0) - documented.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - spoken


def test_functions_are_short() -> None:
    lines = {name: n for path in _modules() for name, n in _functions(_tree(path), _dotted(path))}
    assert {name: n for name, n in lines.items() if n > MOST_FUNCTION_LINES and name not in LONGER_FUNCTIONS} == {}
    assert [name for name in LONGER_FUNCTIONS if lines.get(name, 0) <= MOST_FUNCTION_LINES] == [], (
        "no exception needed"
    )


def _classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in _modules():
        for entry in _tree(path).body:
            if isinstance(entry, ast.ClassDef):
                yield _dotted(path), entry


def _aliases() -> Iterator[tuple[str, str]]:
    """Names for types that are put together from others."""
    for path in _modules():
        for entry in _tree(path).body:
            target = entry.targets[0] if isinstance(entry, ast.Assign) else getattr(entry, "target", None)
            made = isinstance(getattr(entry, "value", None), ast.Subscript | ast.BinOp)
            if made and isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][a-z]\w*", target.id):
                yield _dotted(path), target.id


def test_public_types_share_a_name_only_when_listed() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, entry in _classes():
        if not entry.name.startswith("_"):
            homes[entry.name].append(module)
    for module, name in _aliases():
        homes[name].append(module)
    shared = {name: where for name, where in homes.items() if len(where) > 1}
    assert {name: where for name, where in shared.items() if name not in SHARED_CLASS_NAMES} == {}
    assert sorted(set(SHARED_CLASS_NAMES) - set(shared)) == [], "no longer shared"


def _constants(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Those that stand in it; of a branch is only ever one taken, so those of branches don't count."""
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        yield from (one.id for one in targets if isinstance(one, ast.Name) and one.id.isupper())


def test_no_constant_takes_the_name_of_another() -> None:
    twice = {
        f"{_dotted(path)}.{name}"
        for path in _modules()
        for name, count in Counter(_constants(_tree(path).body)).items()
        if count > 1
    }
    assert twice == set()


def _raised() -> dict[str, set[str]]:
    """Every exception class of the project and its bases' names."""
    classes = {entry.name: {ast.unparse(base).split(".")[-1] for base in entry.bases} for _, entry in _classes()}
    exceptions = {
        "BaseException",
        "Exception",
        "ValueError",
        "RuntimeError",
        "TimeoutError",
        "OSError",
        "LookupError",
    }
    grown = True
    while grown:
        more = {name for name, bases in classes.items() if bases & exceptions} - exceptions
        grown = bool(more)
        exceptions |= more
    return {name: bases for name, bases in classes.items() if name in exceptions}


def test_errors_are_named_so() -> None:
    assert [n for n in _raised() if not n.endswith("Error") and n.lstrip("_") not in CONTROL_FLOW] == []


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^((?:[│ ]   |[├└]── )*)([A-Z]\w+Error)\b", line):
            depth = len(found[1]) // 4
            del above[depth:]
            if above:
                drawn[found[2]] = above[-1]
            above.append(found[2])
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.NiyantaError) and kind is not errors.NiyantaError
    }
    assert drawn == real


def test_the_drawing_says_how_errors_travel() -> None:
    rows = {
        found[1]: found.groups()[1:]
        for found in re.finditer(r"(\w+Error) +([A-Z_]+) +(\d{3}) +([A-Z_]+)$", errors.__doc__ or "", re.MULTILINE)
    }
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]
    told = {kind.__name__: (kind.code, str(kind.http_status), kind.grpc_code) for kind in kinds}
    del told["ApiError"]
    assert rows == told


def test_the_environment_is_read_in_few_places() -> None:
    reading = {
        path
        for path in _modules()
        if any(
            isinstance(entry, ast.Attribute)
            and entry.attr in ("environ", "getenv")
            and ast.unparse(entry.value) == "os"
            for entry in ast.walk(_tree(path))
        )
    }
    allowed = {path for path in reading if path.endswith("settings.py") or path.startswith("niyanta/cli/")}
    assert sorted(reading - allowed - set(READS_ENVIRONMENT)) == []
    assert sorted(set(READS_ENVIRONMENT) - reading) == [], "no longer read there"


@pytest.mark.parametrize("package", ["niyanta.server.services", "niyanta.server.leader", "niyanta.server.rest"])
def test_parts_are_put_together_in_the_wiring_only(package: str) -> None:
    """No database, broker or object store is opened where it is used."""
    opened: list[str] = []
    for path in _modules():
        if _dotted(path).startswith(package):
            opened += [
                f"{path}:{entry.lineno}"
                for entry in ast.walk(_tree(path))
                if isinstance(entry, ast.Call) and ast.unparse(entry.func) in OPENED_BY_WIRING
            ]
    assert opened == []


def _lines_with_any() -> Iterator[tuple[str, bool]]:
    """Lines above the store that give up a type, and whether a reason stands on them or above."""
    for name in _modules():
        if "/store/" not in name:
            before = ""
            for number, line in enumerate((SOURCE / name).read_text(encoding="utf-8").splitlines(), 1):
                if re.search(r"row\[|-> Any|: Any", re.sub("# Any: .*", "", line)):
                    yield f"{name}:{number}", "# Any: " in line or before.lstrip().startswith("# Any: ")
                before = line


def test_values_have_types_above_the_store() -> None:
    found = list(_lines_with_any())
    assert [place for place, has_reason in found if not has_reason] == [], "say why nothing else can be said"
    assert len(found) <= MOST_LINES_WITH_ANY
