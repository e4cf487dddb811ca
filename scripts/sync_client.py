"""Makes ``niyanta.client.synchronous`` from the asynchronous client, so that the two can't differ.

Each public method keeps its name, arguments, types and docstring; its body runs the asynchronous one on the client's
loop. Run by ``make generate``; ``make verify`` fails when the file isn't what its source says.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "src" / "niyanta" / "client"
TARGET = CLIENT / "synchronous.py"
PARTS = {"workloads": "AsyncWorkloads", "configs": "AsyncConfigs", "customer": "AsyncAccount", "admin": "AsyncAdmin"}

HEAD = '''"""The client without ``await``. Made by ``make generate`` from the asynchronous one; not edited by hand."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

'''

CLIENT_CLASS = '''

def _close(loop: LoopThread, client: AsyncClient) -> None:
    loop.run(client.close())
    loop.stop()


class Client:
    """A connection to Niyanta; arguments and attributes as for `AsyncClient`."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 4,
    ) -> None:
        client = AsyncClient(api_key, base_url, timeout, max_retries)
        loop = LoopThread()
PARTS
        self._repr = repr(client).removeprefix("Async")
        self._finalizer = weakref.finalize(self, _close, loop, client)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._finalizer()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._repr
'''


def render() -> str:
    """The whole module."""
    trees = {module: ast.parse((CLIENT / f"{module}.py").read_text(encoding="utf-8")) for module in PARTS}
    classes = {module: _class(trees[module], name) for module, name in PARTS.items()}
    body = "\n\n".join(_facade(part) for part in classes.values())
    used = {name.id for part in classes.values() for name in ast.walk(part) if isinstance(name, ast.Name)}
    models = ast.parse((CLIENT / "models.py").read_text(encoding="utf-8"))
    known = sorted(item.name for item in models.body if isinstance(item, ast.ClassDef) and item.name in used)
    imports = [
        "from niyanta.client.asynchronous import AsyncClient",
        "from niyanta.client.loop import LoopThread",
        f"from niyanta.client.models import {', '.join(known)}",
        *(f"from niyanta.client.{module} import {name}" for module, name in PARTS.items()),
    ]
    parts = "\n".join(
        f"        self.{module} = {name.removeprefix('Async')}(loop, client.{module})"
        for module, name in PARTS.items()
    )
    source = (
        HEAD + "\n".join(imports) + '\n\n__all__ = ["Client"]\n\n\n' + body + CLIENT_CLASS.replace("PARTS", parts)
    )
    return _formatted(source)


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
    init = (
        f"    def __init__(self, loop: LoopThread, asynchronous: {name}) -> None:\n"
        "        self._loop = loop\n"
        "        self._asynchronous = asynchronous\n"
    )
    return f'class {name.removeprefix("Async")}:\n    """{docstring}"""\n\n{init}\n' + "\n".join(methods)


def _method(item: ast.AsyncFunctionDef) -> str:
    arguments = item.args
    passed = [argument.arg for argument in arguments.args[1:]]
    passed += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    returns = ast.unparse(item.returns) if item.returns else "None"
    verb = "run"
    if returns.startswith("AsyncIterator["):
        returns, verb = returns.removeprefix("Async"), "iterate"
    call = f"self._loop.{verb}(self._asynchronous.{item.name}({', '.join(passed)}))"
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
