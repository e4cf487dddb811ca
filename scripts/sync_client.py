"""Makes ``niyanta.client.synchronous`` from the asynchronous client, so that the two can't differ.

Each public method keeps its name, arguments, types and docstring; its body runs the asynchronous one over a link that
blocks. Run by ``make generate``; ``make verify`` fails when the file isn't what its source says.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "src" / "niyanta" / "client"
TARGET = CLIENT / "synchronous.py"
PARTS = {
    "workloads": "AsyncWorkloads",
    "failures": "AsyncFailures",
    "checkpoints": "AsyncCheckpoints",
    "configs": "AsyncConfigs",
    "customer": "AsyncAccount",
    "tokens": "AsyncTokens",
    "admin": "AsyncAdmin",
}
NAMED_IN = (
    "arguments",
    "checkpoints",
    "configs",
    "drains",
    "explanations",
    "failure_models",
    "join_tokens",
    "live",
    "models",
    "operator_actions",
    "sessions",
    "status",
    "system",
)
TRANSPORTS = {"admin": "admin"}  # the rest share one

HEAD = '''"""The client without ``await``. Made by ``make generate`` from the asynchronous one; not edited by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Unpack

'''

CLIENT_CLASS = '''

class Client:
    """A connection to Niyanta; arguments, attributes and errors as for `AsyncClient`.

    Each call runs in the thread that makes it, and many may share a client. One that nobody closes is closed quietly
    when it and all of its parts are gone, or the program ends.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        own = find_credentials(api_key, base_url)
        self._base_url = own.base_url
        self._link = BlockingHttpLink(checked_base_url(own.base_url))
        transport = Transport(own, timeout, max_retries, self._link)
        admin = Transport(find_credentials(api_key, base_url, admin=True), timeout, max_retries, self._link)
PARTS

    def close(self) -> None:
        """Close the connections. Idempotent; the client can't be used afterwards."""
        run(self._link.close())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(base_url={self._base_url!r})"
'''


def render() -> str:
    """The whole module."""
    trees = {module: ast.parse((CLIENT / f"{module}.py").read_text(encoding="utf-8")) for module in PARTS}
    classes = {module: _class(trees[module], name) for module, name in PARTS.items()}
    body = "\n\n".join(_facade(part) for part in classes.values())
    used = {name.id for part in classes.values() for name in ast.walk(part) if isinstance(name, ast.Name)}
    known = {module: sorted(_exported(module) & used) for module in NAMED_IN}
    imports = [
        "from niyanta.client.blocking_link import BlockingHttpLink",
        "from niyanta.client.driver import iterate, run",
        "from niyanta.client.links import checked_base_url",
        *(
            f"from niyanta.client.{module} import {', '.join(sorted(names))}"
            for module, names in known.items()
            if names
        ),
        "from niyanta.client.transport import Transport, find_credentials",
        *(f"from niyanta.client.{module} import {name}" for module, name in PARTS.items()),
    ]
    parts = "\n".join(
        f"        self.{module} = {name.removeprefix('Async')}({name}({TRANSPORTS.get(module, 'transport')}))"
        for module, name in PARTS.items()
    )
    source = (
        HEAD + "\n".join(imports) + '\n\n__all__ = ["Client"]\n\n\n' + body + CLIENT_CLASS.replace("PARTS", parts)
    )
    return _formatted(source)


def _exported(module: str) -> set[str]:
    """The public names of a module of the client."""
    tree = ast.parse((CLIENT / f"{module}.py").read_text(encoding="utf-8"))
    assigned = (item for item in tree.body if isinstance(item, ast.Assign))
    names = next(item.value for item in assigned if ast.unparse(item.targets[0]) == "__all__")
    return set(ast.literal_eval(names))


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(item for item in tree.body if isinstance(item, ast.ClassDef) and item.name == name)


def _facade(asynchronous: ast.ClassDef) -> str:
    name = asynchronous.name
    methods = [
        _method(item)
        for item in asynchronous.body
        if isinstance(item, ast.AsyncFunctionDef) and not item.name.startswith("_")
    ]
    docstring = ast.get_docstring(asynchronous) or ""
    init = f"    def __init__(self, asynchronous: {name}) -> None:\n        self._asynchronous = asynchronous\n"
    return f'class {name.removeprefix("Async")}:\n    """{docstring}"""\n\n{init}\n' + "\n".join(methods)


def _method(item: ast.AsyncFunctionDef) -> str:
    arguments = item.args
    passed = [argument.arg for argument in arguments.args[1:]]
    passed += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    if arguments.kwarg is not None:
        passed.append(f"**{arguments.kwarg.arg}")
    returns = ast.unparse(item.returns) if item.returns else "None"
    verb = "run"
    if returns.startswith("AsyncIterator["):
        returns, verb = returns.removeprefix("Async"), "iterate"
    call = f"{verb}(self._asynchronous.{item.name}({', '.join(passed)}))"
    keyword = "" if returns == "None" else "return "
    docstring = ast.get_docstring(item, clean=False) or ""
    return (
        f"    def {item.name}({ast.unparse(arguments)}) -> {returns}:\n"
        f'        """{docstring}"""\n'
        f"        {keyword}{call}\n"
    )


def _formatted(source: str) -> str:
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    for arguments in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        command = [*ruff, *arguments, "--stdin-filename", str(TARGET), "-"]
        source = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    return source


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
