"""Signatures and models as people write them: they work, or say at import what to write instead."""

from __future__ import annotations

import dataclasses
import decimal
import enum
import functools
import ipaddress
import pathlib
import sys
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Optional, Union

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from niyanta import ConfigurationError, PermanentError, Worker
from niyanta.domain.json_schema import Schema

if TYPE_CHECKING:
    from niyanta import Context, SyncContext


class Model(pydantic.BaseModel):
    count: int
    ratio: float = 0.5
    on: bool = False


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True, extra="forbid")
    source_path: str = pydantic.Field(alias="sourcePath")


class OnlyAliased(pydantic.BaseModel):
    source_path: str = pydantic.Field(alias="sourcePath")


class Choices(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    path: str = pydantic.Field(validation_alias=pydantic.AliasChoices("path", "file", pydantic.AliasPath("in", 0)))


class Before(pydantic.BaseModel):
    words: list[str]

    @pydantic.field_validator("words", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value


class WholeBefore(pydantic.BaseModel):
    x: int

    @pydantic.model_validator(mode="before")
    @classmethod
    def shorthand(cls, value: Any) -> Any:
        return {"x": value["y"]} if "y" in value else value


class After(pydantic.BaseModel):
    x: int

    @pydantic.model_validator(mode="after")
    def odd(self) -> After:
        if self.x % 2 == 0:
            raise ValueError("x must be odd")
        return self


class Stripped(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(str_strip_whitespace=True, coerce_numbers_to_str=True)
    code: str = pydantic.Field(max_length=3, pattern=r"^[A-Z]+$")


class Lowered(pydantic.BaseModel):
    code: Annotated[str, pydantic.StringConstraints(to_lower=True, pattern=r"^[a-z]+$")]


class Size(enum.IntEnum):
    SMALL = 1


class Lenient(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient | None:
        return cls.A if str(value).lower() == "a" else None


class Kinds(pydantic.BaseModel):
    size: Size = Size.SMALL
    lenient: Lenient = Lenient.A
    price: decimal.Decimal = decimal.Decimal(1)
    path: pathlib.Path = pathlib.Path()
    day: typing.Any = None
    seen: set[int] = pydantic.Field(default=set(), max_length=2)
    step: float = pydantic.Field(default=0.1, multiple_of=0.1)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    lives: int


class Pets(pydantic.BaseModel):
    pet: Cat | Dog = pydantic.Field(discriminator="kind")


@pydantic.dataclasses.dataclass
class Checked:
    x: int

    @pydantic.field_validator("x")
    @classmethod
    def positive(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("x must be positive")
        return value


@dataclasses.dataclass
class Holding:
    inner: Model


@dataclasses.dataclass
class Plain:
    where: pathlib.Path
    price: decimal.Decimal = decimal.Decimal(0)
    address: ipaddress.IPv4Address | None = None


class Typed(TypedDict, total=False):
    name: str
    model: Model


class Struct(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    frame_rate: int


@attrs.define
class Attrs:
    x: int = attrs.field(validator=attrs.validators.gt(3))


class Pair(NamedTuple):
    a: int


class Unknown:
    pass


class OldTyped(typing.TypedDict):
    model: Model


def made(function: Callable[..., Any], **options: Any) -> Any:
    worker = Worker(id="w")
    worker.workload("x", **options)(function)
    return worker.handlers["x"]


def handler_of(kind: Any, *default: Any) -> Any:
    def handle(ctx: Any, params: Any) -> Any:
        return params

    handle.__annotations__["params"] = kind
    handle.__defaults__ = default or None
    return made(handle)


ACCEPTED = [
    (Model, {"count": 5}),
    (Model, {"count": "5", "ratio": "0.5", "on": "yes"}),
    (Model, {"count": 5.0, "ratio": 1, "on": 1}),
    (Model, {"count": True}),
    (Optional[Model], {"count": 5}),  # noqa: UP045 -- as people write it
    (Model | None, {"count": "5"}),
    (Union[Model, After], {"x": 3}),  # noqa: UP007
    (Annotated[Model, pydantic.Field(description="x")], {"count": 5}),
    (Aliased, {"sourcePath": "a"}),
    (Aliased, {"source_path": "a"}),
    (OnlyAliased, {"sourcePath": "a"}),
    (Choices, {"path": "a"}),
    (Choices, {"file": "a"}),
    (Choices, {"in": ["a"]}),
    (Before, {"words": "a,b"}),
    (Before, {"words": ["a"]}),
    (WholeBefore, {"y": 1}),
    (After, {"x": 3}),
    (Stripped, {"code": "  ABC  "}),
    (Stripped, {"code": " A"}),
    (Lowered, {"code": "abc"}),
    (Kinds, {"size": "1", "lenient": "A", "price": 1.5, "path": "/x", "seen": [1, 1, 1, 2], "step": 0.3}),
    (Kinds, {"price": "1.5", "seen": ["1"]}),
    (Pets, {"pet": {"kind": "cat", "lives": "9"}}),
    (Checked, {"x": 1}),
    (Checked, {"x": "1"}),
    (Holding, {"inner": {"count": "5"}}),
    (Typed, {"name": "a", "model": {"count": "1"}}),
    (Typed, {}),
    (Plain, {"where": "/x", "price": 1.5, "address": "127.0.0.1"}),
    (Plain, {"where": "x", "price": "1.5"}),
    (Struct, {"frameRate": 5}),
    (Attrs, {"x": 4}),
    (dict[str, int], {"a": 1}),
    (dict[str, Model], {"a": {"count": "1"}}),
    (dict, {"a": [1]}),
    (Any, {"a": [1]}),
    (typing.Mapping, {"a": 1}),
    (Annotated[dict[str, int], annotated_types.MaxLen(2)], {"a": 1}),
]


@pytest.mark.parametrize(("kind", "params"), ACCEPTED)
def test_what_the_model_takes_the_schema_takes(kind: Any, params: dict[str, Any]) -> None:
    handler = handler_of(kind)
    handler.arguments(None, msgspec.json.encode(params))
    if handler.input_schema is not None:
        assert Schema(handler.input_schema).problems(params) == []


REFUSED = [
    (Model, {"count": "five"}, "count"),
    (Model, {}, "count"),
    (Aliased, {"path": "a"}, "source"),
    (OnlyAliased, {"source_path": "a"}, "sourcePath"),
    (After, {"x": 2}, "x must be odd"),
    (Checked, {"x": -1}, "x must be positive"),
    (Holding, {"inner": {}}, "count"),
    (Stripped, {"code": "ABCD"}, "code"),
    (Plain, {"where": 5}, "where"),
    (Plain, {"where": "x", "address": "none"}, "address"),
    (Struct, {"frameRate": "5"}, "frameRate"),
    (Attrs, {"x": 1}, "must be > 3"),
]


@pytest.mark.parametrize(("kind", "params", "says"), REFUSED)
def test_what_the_model_refuses_fails_for_good_with_its_words(kind: Any, params: Any, says: str) -> None:
    with pytest.raises(PermanentError, match="don't fit the handler") as found:
        handler_of(kind).arguments(None, msgspec.json.encode(params))
    assert says in str(found.value)


@pytest.mark.parametrize(("kind", "params"), [(Model, {}), (Checked, {}), (Struct, {"frame": 1}), (Plain, {})])
def test_what_can_not_fit_is_refused_ahead(kind: Any, params: Any) -> None:
    assert Schema(handler_of(kind).input_schema).problems(params) != []


def test_values_are_of_the_model_s_own_types() -> None:
    _, params = handler_of(Plain).arguments(None, b'{"where": "/a/b", "price": 1.5, "address": "10.0.0.1"}')
    assert params == Plain(pathlib.Path("/a/b"), decimal.Decimal("1.5"), ipaddress.IPv4Address("10.0.0.1"))
    _, checked = handler_of(Checked).arguments(None, b'{"x": "7"}')
    assert checked == Checked(7)


@pytest.mark.parametrize(("kind", "default"), [(Model, Model(count=9)), (Optional[Model], None), (Struct, Struct(9))])  # noqa: UP045
def test_the_default_is_used_when_nothing_is_given(kind: Any, default: Any) -> None:
    handler = handler_of(kind, default)
    assert handler.arguments(None, b" {} ")[1] == default
    assert Schema(handler.input_schema).problems({}) == []
    given: Any = {"count": 5} if kind is not Struct else {"frameRate": 5}
    assert (
        handler.arguments(None, msgspec.json.encode(given))[1] == msgspec.convert(given, kind)
        if kind is Struct
        else True
    )
    assert Schema(handler.input_schema).problems(given) == []
    assert Schema(handler.input_schema).problems({"other": 1}) != []


def test_a_default_is_not_shared_between_attempts() -> None:
    handler = handler_of(dict, {"seen": []})
    handler.arguments(None, b"{}")[1]["seen"].append(1)
    assert handler.arguments(None, b"{}")[1] == {"seen": []}


@pytest.mark.parametrize("kind", [int, str, list[int], Pair, int | None, list[Model], bytes, pathlib.Path])
def test_parameters_that_no_object_fits_are_refused_at_import(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="JSON object"):
        handler_of(kind)


UNDECODABLE: list[Any] = [Unknown, "Missing", Callable, Struct | Plain]
if sys.version_info < (3, 12):
    UNDECODABLE.append(OldTyped)  # pydantic wants that of typing_extensions


@pytest.mark.parametrize("kind", UNDECODABLE)
def test_types_that_nobody_can_decode_are_refused_at_import(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="of 'x'"):
        handler_of(kind)


# --- signatures ---------------------------------------------------------------------------------


def test_a_context_that_only_type_checkers_know() -> None:
    async def handle(ctx: Context, params: Model) -> None: ...

    def sync(ctx: SyncContext) -> None: ...

    assert made(handle).is_async
    assert made(handle).input_schema is not None
    assert not made(sync).is_async


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Thing:
    async def method(self, ctx: Any, params: Model) -> int:
        return params.count

    async def __call__(self, ctx: Any, params: Model) -> int:
        return params.count

    @staticmethod
    async def static(ctx: Any, params: Model) -> int:
        return params.count


async def work(ctx: Any, params: Model) -> int:
    return params.count


async def work_on(extra: int, ctx: Any, params: Model) -> int:
    return params.count + extra


@pytest.mark.parametrize(
    "function",
    [
        logged(work),
        logged(logged(work)),
        functools.partial(work_on, 0),
        Thing().method,
        Thing(),
        Thing.static,
        Thing.__dict__["static"],
    ],
)
@pytest.mark.parametrize("isolation", ["process", "inline"])
async def test_async_handlers_in_other_clothes_are_async(function: Any, isolation: str) -> None:
    handler = made(function, isolation=isolation)
    assert handler.is_async
    assert await handler.call(None, b'{"count": "3"}') == 3


def test_generators_are_refused() -> None:
    def generator(ctx: Any) -> Any:
        yield 1

    async def async_generator(ctx: Any) -> Any:
        yield 1

    for function in (generator, async_generator, logged(generator), functools.partial(async_generator)):
        with pytest.raises(ConfigurationError, match="is a generator"):
            made(function)


def test_a_forgotten_name_or_object_is_said() -> None:
    worker = Worker(id="w")
    with pytest.raises(ConfigurationError, match=r'@worker\.workload\("name"\)'):
        worker.workload(lambda ctx: None)  # type: ignore[arg-type]
    for function in (Thing.method, Thing.__call__):
        with pytest.raises(ConfigurationError, match="method without its object"):
            worker.workload("x")(function)
    with pytest.raises(ConfigurationError, match="must be a function"):
        worker.workload("x")("work")  # type: ignore[type-var]


def test_the_context_comes_first() -> None:
    import niyanta

    def handle(params: Model, ctx: Any) -> None: ...

    handle.__annotations__["ctx"] = niyanta.Context
    with pytest.raises(ConfigurationError, match="the context comes first"):
        made(handle)


@pytest.mark.parametrize(
    "name", ["", " ", "two words", "a/b", "-a", ".a", "ä", "a" * 101, "a\n", "a\0", 5, None, b"a", "a:b", "a*"]
)
def test_names_that_configs_refuse_are_refused_at_import(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="a workload type is"):
        Worker(id="w").workload(name)(lambda ctx: None)
    with pytest.raises(ConfigurationError, match="a workload type is"):
        Worker(id="w").command(name, ["true"])


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "0", "a" * 100])
def test_names_that_configs_take(name: str) -> None:
    Worker(id="w").workload(name)(lambda ctx: None)
