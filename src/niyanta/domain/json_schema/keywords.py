"""Each keyword of JSON Schema: from its argument to the check that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeGuard

from niyanta.domain.json_schema.checks import Check, CheckRun, Path, SchemaError, all_of, every, frozen, test
from niyanta.domain.json_schema.compiler import Build, Compiler
from niyanta.domain.json_value import Json

__all__ = ["KEYWORDS"]


def _is_whole(value: Json) -> TypeGuard[int | float]:
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_number(value: Json) -> TypeGuard[int | float]:
    return type(value) is int or type(value) is float


TYPES: dict[str, Callable[[Json], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": _is_whole,
    "number": _is_number,
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def _type(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    given = argument if isinstance(argument, list) else [argument]
    names = [name for name in given if isinstance(name, str) and name in TYPES]
    if not names or len(names) < len(given):
        raise SchemaError(at, f"must be one or more of: {', '.join(TYPES)}")
    tests = [TYPES[name] for name in names]
    return test(None, lambda v, run: any(test(v) for test in tests), f"must be of type {' or '.join(names)}")


def _enum(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    if not isinstance(argument, list):
        raise SchemaError(at, "must be an array")
    allowed = frozenset(frozen(one) for one in argument)
    shown = ", ".join(str(one)[:40] for one in argument[:10]) + (", …" if len(argument) > 10 else "")
    return test(None, lambda v, run: frozen(v, run) in allowed, f"must be one of: {shown}")


def _const(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    wanted = frozen(argument)
    return test(None, lambda v, run: frozen(v, run) == wanted, f"must be {str(argument)[:100]}")


def _bound(word: str, holds: Callable[[float, float], bool]) -> Build:
    def build(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
        if not _is_number(argument):
            raise SchemaError(at, "must be a number")
        return test((int, float), lambda v, run: holds(v, argument), f"must be {word} {argument}")

    return build


def _multiple_of(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    if not _is_number(argument) or argument <= 0:
        raise SchemaError(at, "must be a number above 0")
    divisor = Fraction(str(argument))  # by its decimal digits: 0.3 is a multiple of 0.1
    return test((int, float), lambda v, run: Fraction(str(v)) % divisor == 0, f"must be a multiple of {argument}")


def _count(applies: type, word: str, what: str, holds: Callable[[int, int], bool]) -> Build:
    def build(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
        most = _whole(argument, at)
        return test(applies, lambda v, run: holds(len(v), most), f"must have at {word} {most} {what}")

    return build


def _whole(argument: Json, at: str) -> int:
    if not _is_whole(argument) or argument < 0:
        raise SchemaError(at, "must be a whole number, 0 or more")
    return int(argument)


def _pattern(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    pattern = compiler.pattern(argument, at)
    return test(str, lambda v, run: pattern.search(v, run.spend), f"must match {str(argument)[:100]}")


def _unique_items(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check | None:
    if not isinstance(argument, bool):
        raise SchemaError(at, "must be true or false")
    if not argument:
        return None
    return test(list, lambda v, run: len({frozen(one, run) for one in v}) == len(v), "must not have equal items")


def _names(argument: Json, at: str) -> list[str]:
    names = [name for name in argument if isinstance(name, str)] if isinstance(argument, list) else []
    if not isinstance(argument, list) or len(names) < len(argument):
        raise SchemaError(at, "must be an array of strings")
    return names


def _required(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    names = _names(argument, at)

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        run.spend(len(names) // 8)
        missing = [name for name in names if name not in value]
        if missing and report:
            for name in missing:
                run.report(path, f"needs the property '{name[:100]}'")
        return not missing

    return check


def _dependent_required(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    rules = {
        name: _required(compiler, needs, schema, f"{at}/{name}") for name, needs in _object(argument, at).items()
    }
    return _dependent(rules)


def _dependent_schemas(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    return _dependent({name: compiler.compile(s, f"{at}/{name}") for name, s in _object(argument, at).items()})


def _dependent(rules: Mapping[str, Check]) -> Check:
    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        run.spend(len(rules) // 8)
        found = (rule(value, path, run, report) for name, rule in rules.items() if name in value)
        return every(found, report)

    return check


def _object(argument: Json, at: str) -> dict[str, Json]:
    if not isinstance(argument, dict):
        raise SchemaError(at, "must be an object")
    return argument


def _definitions(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> None:
    for name, inner in _object(argument, at).items():
        compiler.compile(inner, f"{at}/{name}")


def _properties(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    known = {name: compiler.compile(inner, f"{at}/{name}") for name, inner in _object(argument, at).items()}

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        run.spend(len(value) // 8)
        found = (known[name](inner, Path(path, name), run, report) for name, inner in value.items() if name in known)
        return every(found, report)

    return check


def _pattern_properties(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    known = [
        (compiler.pattern(source, at), compiler.compile(inner, f"{at}/{source}"))
        for source, inner in _object(argument, at).items()
    ]

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        found = (
            one(inner, Path(path, name), run, report)
            for name, inner in value.items()
            for pattern, one in known
            if pattern.search(name, run.spend)
        )
        return every(found, report)

    return check


def _additional_properties(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    rest = compiler.compile(argument, at)
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    patterns = [compiler.pattern(source, at) for source in _object(schema.get("patternProperties", {}), at)]

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        run.spend(len(value) // 8)
        found = (
            rest(inner, Path(path, name), run, report)
            for name, inner in value.items()
            if name not in known and not any(pattern.search(name, run.spend) for pattern in patterns)
        )
        return every(found, report)

    return check


def _property_names(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    one = compiler.compile(argument, at)

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, dict):
            return True
        return every((one(name, Path(path, name), run, report) for name in value), report)

    return check


def _prefix_items(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    first = _schemas(compiler, argument, at)

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, list):
            return True
        pairs = enumerate(zip(first, value, strict=False))
        return every((one(inner, Path(path, number), run, report) for number, (one, inner) in pairs), report)

    return check


def _items(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    one = compiler.compile(argument, at)
    prefix = schema.get("prefixItems", ())
    skip = len(prefix) if isinstance(prefix, list) else 0

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if not isinstance(value, list):
            return True
        found = (one(value[number], Path(path, number), run, report) for number in range(skip, len(value)))
        return every(found, report)

    return check


def _contains(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    one = compiler.compile(argument, at)
    least = _whole(schema.get("minContains", 1), at)
    most = _whole(schema["maxContains"], at) if "maxContains" in schema else None

    def holds(value: list[Json], run: CheckRun) -> bool:
        found = sum(one(inner, None, run, False) for inner in value)
        return found >= least and (most is None or found <= most)

    upper = "" if most is None else f" and at most {most}"
    return test(list, holds, f"must contain at least {least}{upper} items that fit")


def _schemas(compiler: Compiler, argument: Json, at: str) -> list[Check]:
    if not isinstance(argument, list) or not argument:
        raise SchemaError(at, "must be an array of schemas, at least one")
    return [compiler.compile(inner, f"{at}/{number}") for number, inner in enumerate(argument)]


def _every(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    return all_of(_schemas(compiler, argument, at))


def _any(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    checks = _schemas(compiler, argument, at)
    return test(
        None,
        lambda v, run: any(check(v, None, run, False) for check in checks),
        f"must fit at least one of {len(checks)} alternatives",
    )


def _one(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    checks = _schemas(compiler, argument, at)
    return test(
        None,
        lambda v, run: sum(check(v, None, run, False) for check in checks) == 1,
        f"must fit exactly one of {len(checks)} alternatives",
    )


def _not(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    inner = compiler.compile(argument, at)
    return test(None, lambda v, run: not inner(v, None, run, False), "is of a kind that is not allowed")


def _if(compiler: Compiler, argument: Json, schema: Mapping[str, Json], at: str) -> Check:
    condition = compiler.compile(argument, at)
    outer = at.rpartition("/")[0]
    then = compiler.compile(schema.get("then", True), f"{outer}/then")
    otherwise = compiler.compile(schema.get("else", True), f"{outer}/else")

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        chosen = then if condition(value, None, run, False) else otherwise
        return chosen(value, path, run, report)

    return check


KEYWORDS: dict[str, Build] = {
    "$ref": lambda compiler, argument, schema, at: compiler.reference(argument, at),
    "$defs": _definitions,
    "definitions": _definitions,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _bound("at least", lambda value, bound: value >= bound),
    "maximum": _bound("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": _bound("more than", lambda value, bound: value > bound),
    "exclusiveMaximum": _bound("less than", lambda value, bound: value < bound),
    "multipleOf": _multiple_of,
    "minLength": _count(str, "least", "characters", lambda length, bound: length >= bound),
    "maxLength": _count(str, "most", "characters", lambda length, bound: length <= bound),
    "minItems": _count(list, "least", "items", lambda length, bound: length >= bound),
    "maxItems": _count(list, "most", "items", lambda length, bound: length <= bound),
    "minProperties": _count(dict, "least", "properties", lambda length, bound: length >= bound),
    "maxProperties": _count(dict, "most", "properties", lambda length, bound: length <= bound),
    "pattern": _pattern,
    "uniqueItems": _unique_items,
    "required": _required,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "prefixItems": _prefix_items,
    "items": _items,
    "contains": _contains,
    "allOf": _every,
    "anyOf": _any,
    "oneOf": _one,
    "not": _not,
    "if": _if,
}
