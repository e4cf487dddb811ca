"""Parameters in the rarer forms of dataclasses, typed dicts, structs, attrs and pydantic: the model decides."""

from __future__ import annotations

import abc
import dataclasses
import datetime
import enum
import functools
import typing
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, NewType, NotRequired, Required, TypeVar

import annotated_types
import attrs
import msgspec
import pydantic
import pydantic.v1
import pytest
from typing_extensions import ReadOnly, TypedDict

from niyanta import ConfigurationError, PermanentError, Worker
from niyanta.domain.json_schema import Schema

T = TypeVar("T")
UserId = NewType("UserId", int)
Tree = dict[str, Any]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Mixed(enum.Enum):
    RED = "red"
    TWO = 2


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Lenient(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient | None:
        return cls.A if str(value).lower() == "a" else None


@dataclasses.dataclass
class Early:
    """``__post_init__`` is given what is no field."""

    x: int
    factor: dataclasses.InitVar[int] = 2

    def __post_init__(self, factor: int) -> None:
        self.x *= factor


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    x: int
    seen: list[int] = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(default=7, init=False)
    kind: ClassVar[str] = "closed"


@dataclasses.dataclass
class Checking:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is below zero")


@dataclasses.dataclass(init=False)
class OwnInit:
    """Its maker isn't that of the dataclass."""

    x: int

    def __init__(self, x: int) -> None:
        if x < 0:
            raise ValueError("x is below zero")
        self.x = x * 10


@dataclasses.dataclass
class Holding:
    """Whose own maker is inside."""

    inner: OwnInit | None = None


@dataclasses.dataclass
class Parent:
    x: int


@dataclasses.dataclass
class Child(Parent):
    y: int = 5


@dataclasses.dataclass
class Box(Generic[T]):
    inside: T


@dataclasses.dataclass
class Kinds:
    colour: Colour = Colour.RED
    bits: Bits = Bits.A
    lenient: Lenient = Lenient.A
    word: Literal["a", "b", 3, None] = "a"
    user: UserId = UserId(1)
    at: datetime.datetime | None = None
    day: datetime.date | None = None
    lasts: datetime.timedelta | None = None
    key: uuid.UUID | None = None
    pair: tuple[int, str] = (1, "a")
    many: tuple[int, ...] = ()
    seen: frozenset[int] = frozenset()
    either: int | str | None = None
    nested: Mapping[str, Sequence[Child]] = dataclasses.field(default_factory=dict)
    data: bytes = b""
    anything: Any = None


class Dict(TypedDict):
    needed: Required[int]
    other: NotRequired[str]


class Fixed(TypedDict):
    fixed: ReadOnly[int]


class TreeNode(msgspec.Struct):
    value: int
    children: list[TreeNode] = []


class Tagged(msgspec.Struct, tag="one"):
    x: int


class OtherTagged(msgspec.Struct, tag="two"):
    y: int


class Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    x: Annotated[int, msgspec.Meta(ge=1)]
    y: int | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.x == 13:
            raise ValueError("not thirteen")


def _shouted(words: list[str]) -> list[str]:
    return [word.upper() for word in words]


@attrs.define
class Converted:
    """Whose maker turns what it is given into something else."""

    x: int = attrs.field(converter=int)
    words: list[str] = attrs.field(factory=list, converter=_shouted)


@attrs.define(init=False)
class OwnAttrs:
    x: int

    def __init__(self, x: int) -> None:
        self.x = x * 10


@attrs.frozen
class Plain:
    x: int
    y: int = 3


class Root(pydantic.RootModel[dict[str, int]]):
    pass


class RootOfList(pydantic.RootModel[list[int]]):
    pass


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True, extra="allow")
    x: int
    at: datetime.datetime | None = None


class Of(pydantic.BaseModel, Generic[T]):
    inside: T


class Rich(pydantic.BaseModel):
    secret: pydantic.SecretStr = pydantic.SecretStr("")
    inner: pydantic.Json[list[int]] = pydantic.Field(default="[]", validate_default=True)
    url: pydantic.AnyUrl | None = None
    lasts: datetime.timedelta = datetime.timedelta(0)
    size: pydantic.ByteSize = pydantic.ByteSize(0)
    even: Annotated[int, pydantic.AfterValidator(lambda value: value - value % 2)] = 0

    _hidden: int = pydantic.PrivateAttr(default=1)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return self.even * 2

    def model_post_init(self, context: Any, /) -> None:
        self._hidden = self.even


with warnings.catch_warnings():
    warnings.simplefilter("ignore", pydantic.warnings.PydanticDeprecatedSince20)

    class OldStyle(pydantic.BaseModel):
        """As written for pydantic 1, by pydantic 2."""

        x: int
        y: int = 0

        @pydantic.validator("x", pre=True)
        @classmethod
        def _from_text(cls, value: Any) -> Any:
            return value.removesuffix("px") if isinstance(value, str) else value

        @pydantic.root_validator(skip_on_failure=True)
        @classmethod
        def _whole(cls, values: dict[str, Any]) -> dict[str, Any]:
            if values["y"] > values["x"]:
                raise ValueError("y is above x")
            return values

        class Config:
            extra = "forbid"


Made = pydantic.create_model("Made", x=(int, ...), y=(str, "a"))


@pydantic.dataclasses.dataclass
class CheckedEarly:
    x: int
    factor: dataclasses.InitVar[int] = 2

    def __post_init__(self, factor: int) -> None:
        self.x *= factor


class Loaded(abc.ABC):  # noqa: B024 -- people write them
    pass


def handler_of(kind: Any) -> Any:
    def handle(ctx: Any, params: Any) -> Any:
        return params

    handle.__annotations__["params"] = kind
    return made(handle)


def made(function: Callable[..., Any]) -> Any:
    worker = Worker(id="w")
    worker.workload("x")(function)
    return worker.handlers["x"]


NOON = datetime.datetime(2025, 10, 27, 12, tzinfo=datetime.UTC)

ACCEPTED: list[tuple[Any, dict[str, Any], Any]] = [
    (CheckedEarly, {"x": "2", "factor": 5}, CheckedEarly(2, 5)),
    (Closed, {"x": 1, "seen": [1]}, Closed(x=1, seen=[1])),
    (Closed, {"x": 1}, Closed(x=1)),
    (Checking, {"x": 1}, Checking(1)),
    (Child, {"x": 1, "y": 2}, Child(1, 2)),
    (Box[int], {"inside": 1}, Box(1)),
    (Box[Child], {"inside": {"x": 1}}, Box(Child(1))),
    (
        Kinds,
        {
            "colour": "blue",
            "bits": 3,
            "lenient": "A",
            "word": 3,
            "user": 9,
            "at": "2025-10-27T12:00:00+02:00",
            "day": "2025-10-27",
            "lasts": "PT1H",
            "key": "00000000-0000-0000-0000-000000000001",
            "pair": [2, "b"],
            "many": [1, 2, 3],
            "seen": [1, 1],
            "either": "x",
            "nested": {"a": [{"x": 1}]},
            "data": "YQ==",
            "anything": [{}],
        },
        Kinds(
            Colour.BLUE,
            Bits.A | Bits.B,
            Lenient.A,
            3,
            UserId(9),
            datetime.datetime(2025, 10, 27, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            datetime.date(2025, 10, 27),
            datetime.timedelta(hours=1),
            uuid.UUID(int=1),
            (2, "b"),
            (1, 2, 3),
            frozenset({1}),
            "x",
            {"a": [Child(1)]},
            b"a",
            [{}],
        ),
    ),
    (Kinds, {"word": None, "either": 5}, Kinds(word=None, either=5)),
    (Dict, {"needed": 1}, {"needed": 1}),
    (Dict, {"needed": 1, "other": "a"}, {"needed": 1, "other": "a"}),
    (TreeNode, {"value": 1, "children": [{"value": 2}]}, TreeNode(1, [TreeNode(2)])),
    (Tagged | OtherTagged, {"type": "two", "y": 1}, OtherTagged(1)),
    (Kept, {"x": 1}, Kept(x=1)),
    (Plain, {"x": 1}, Plain(1)),
    (Root, {"a": 1}, Root({"a": 1})),
    (Strict, {"x": 1, "more": [1]}, Strict.model_validate({"x": 1, "more": [1]})),
    (Strict, {"x": 1, "at": "2025-10-27T12:00:00Z"}, Strict(x=1, at=NOON)),
    (Of[int], {"inside": "5"}, Of[int](inside=5)),
    (Of[Child], {"inside": {"x": 1}}, Of[Child](inside=Child(1))),
    (
        Rich,
        {"secret": "s", "inner": "[1]", "url": "https://a.example/", "lasts": 5, "size": "1 MiB", "even": 5},
        Rich(
            secret=pydantic.SecretStr("s"),
            inner="[1]",  # type: ignore[arg-type] # which the model decodes
            url=pydantic.AnyUrl("https://a.example/"),
            lasts=datetime.timedelta(seconds=5),
            size=pydantic.ByteSize(1 << 20),
            even=4,
        ),
    ),
    (OldStyle, {"x": "5px"}, OldStyle(x=5)),
    (Made, {"x": 1}, Made(x=1)),
    (Annotated[dict[str, UserId], annotated_types.Len(1, 2)], {"a": 1}, {"a": 1}),
    (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
    (dict[str, list[Child]], {"a": [{"x": 1}]}, {"a": [Child(1)]}),
    (typing.Mapping[str, Any], {"a": [1]}, {"a": [1]}),
]


@pytest.mark.parametrize(("kind", "params", "expected"), ACCEPTED)
def test_what_the_model_takes_is_what_the_handler_gets(kind: Any, params: dict[str, Any], expected: Any) -> None:
    handler = handler_of(kind)
    assert handler.arguments(None, msgspec.json.encode(params))[1] == expected
    if handler.input_schema is not None:
        assert Schema(handler.input_schema).problems(params) == []


REFUSED = [
    (Checking, {"x": -1}, "x is below zero"),
    (Box[int], {"inside": "a"}, "inside"),
    (Kinds, {"colour": "green"}, "colour"),
    (Kinds, {"word": "c"}, "word"),
    (Kinds, {"day": "2025-02-30"}, "day"),
    (Kinds, {"pair": [1]}, "pair"),
    (Dict, {"other": "a"}, "needed"),
    (TreeNode, {"value": 1, "children": [{}]}, "value"),
    (Tagged | OtherTagged, {"type": "three"}, "three"),
    (Kept, {"x": 13}, "not thirteen"),
    (Kept, {"x": 0}, "x"),
    (Root, {"a": "b"}, "a"),
    (Strict, {"x": "1"}, "x"),
    (Of[int], {"inside": "a"}, "inside"),
    (Rich, {"inner": "[a]"}, "inner"),
    (OldStyle, {"x": 1, "y": 2}, "y is above x"),
    (OldStyle, {"x": 1, "z": 2}, "z"),
]


@pytest.mark.parametrize(("kind", "params", "says"), REFUSED)
def test_what_the_model_refuses_fails_for_good_with_its_words(kind: Any, params: Any, says: str) -> None:
    with pytest.raises(PermanentError, match="don't fit the handler") as found:
        handler_of(kind).arguments(None, msgspec.json.encode(params))
    assert says in str(found.value)


class First(pydantic.v1.BaseModel):
    x: int


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (RootOfList, "JSON object"),
        (First, "is a model of pydantic 1"),
        (dict[str, First], "is a model of pydantic 1"),
        (Literal["a"], "JSON object"),
        (Colour, "JSON object"),
        (UserId, "JSON object"),
        (datetime.datetime, "JSON object"),
        (Mixed, "all str or all int"),
        (Fixed, "ReadOnly"),
        (Early, "`InitVar` fields are not supported"),
        (OwnInit, "has an __init__ of its own, which is not called"),
        (Holding, "has an __init__ of its own, which is not called"),
        (dict[str, OwnAttrs], "has an __init__ of its own, which is not called"),
        (Converted, "has converters, which aren't run"),
        (Loaded, "of 'x'"),
        (type, "of 'x'"),
        (Callable[[int], int], "of 'x'"),
        (Tagged | Child, "of 'x'"),
    ],
)
def test_what_can_not_be_input_is_refused_at_import(kind: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        handler_of(kind)


# --- signatures -----------------------------------------------------------------------------------


def test_parameters_by_position_alone() -> None:
    def handle(ctx: Any, params: Child, /) -> int:
        return params.x

    assert made(handle).call(None, b'{"x": 1}') == 1


def test_what_is_bound_beside_the_parameters_stays_as_it_is() -> None:
    def handle(ctx: Any, params: Child, *, model: int = 1, clock: Any = None) -> int:
        return params.x * model

    assert made(handle).call(None, b'{"x": 2}') == 2
    assert made(functools.partial(handle, model=10)).call(None, b'{"x": 2}') == 20


def test_handlers_that_take_anything_else_are_refused_at_import() -> None:
    def anything(*args: Any) -> None: ...

    def none() -> None: ...

    def three(ctx: Any, params: Child, third: int = 3) -> None: ...

    def named(ctx: Any, *, params: Child) -> None: ...

    def more(ctx: Any, params: Child, **options: Any) -> None: ...

    def instead(ctx: Any, *, width: int = 640) -> None: ...

    def missing(ctx: Any, params: Child, *, model: str) -> None: ...

    for function in (anything, none, three, named, more, instead, missing):
        with pytest.raises(ConfigurationError, match=r"the handler of 'x' must take \(ctx\) or \(ctx, params\)"):
            made(function)


def test_kinds_of_callables() -> None:
    class WithClassMethod:
        @classmethod
        def work(cls, ctx: Any, params: Child) -> int:
            return params.x

    class Counting:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, ctx: Any, params: Child) -> int:
            self.calls += 1
            return params.x + self.calls

    assert made(WithClassMethod.work).call(None, b'{"x": 1}') == 1
    assert made(WithClassMethod().work).call(None, b'{"x": 1}') == 1
    assert made(Counting()).call(None, b'{"x": 1}') == 2
    assert made(lambda ctx: 5).call(None, b"{}") == 5
    with pytest.raises(ConfigurationError, match="of 'x'"):
        made(Counting)
