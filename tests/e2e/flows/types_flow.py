"""Every type that flytekit can send, there and back."""

import enum
import typing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from flytekit import task, workflow
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile
from pydantic import BaseModel


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    n: int = 0


@dataclass
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    tags: typing.List[str] = field(default_factory=list)


class Model(BaseModel):
    a: int
    b: typing.Optional[str] = None


class Odd:
    """A class that only pickle knows."""

    def __init__(self, value: int) -> None:
        self.value = value


class Pair(typing.NamedTuple):
    left: int
    right: str


@dataclass
class Flight:
    leaves: datetime
    takes: timedelta


@task
def t_flight(v: datetime) -> Flight:
    return Flight(leaves=v, takes=timedelta(minutes=90))


@task
def t_int(v: int) -> int:
    return v + 1


@task
def t_float(v: float) -> float:
    return v * 2


@task
def t_str(v: str) -> str:
    return v + "!"


@task
def t_bool(v: bool) -> bool:
    return not v


@task
def t_datetime(v: datetime) -> datetime:
    return v + timedelta(days=1)


@task
def t_timedelta(v: timedelta) -> timedelta:
    return v * 2


@task
def t_optional(v: typing.Optional[int]) -> typing.Optional[int]:
    return None if v is None else v + 1


@task
def t_union(v: typing.Union[int, str]) -> typing.Union[int, str]:
    return str(v) if isinstance(v, int) else len(v)


@task
def t_list(v: typing.List[int]) -> typing.List[int]:
    return [*v, len(v)]


@task
def t_dict(v: typing.Dict[str, int]) -> typing.Dict[str, int]:
    return {**v, "n": len(v)}


@task
def t_nested(
    v: typing.Dict[str, typing.List[typing.Dict[str, int]]],
) -> typing.List[typing.List[int]]:
    return [[n for d in ds for n in d.values()] for _, ds in sorted(v.items())]


@task
def t_dataclass(v: Outer) -> Outer:
    return Outer(name=v.name.upper(), inner=Inner(n=v.inner.n + 1), tags=[*v.tags, "t"])


@task
def t_model(v: Model) -> Model:
    return Model(a=v.a + 1, b=v.b or "none")


@task
def t_enum(v: Color) -> Color:
    return Color.BLUE if v is Color.RED else Color.RED


@task
def t_pair(v: int) -> Pair:
    return Pair(left=v, right=str(v))


@task
def t_file(v: FlyteFile) -> FlyteFile:
    text = Path(v.download()).read_text()
    out = Path("out.txt").absolute()
    out.write_text(text.upper())
    return FlyteFile(str(out))


@task
def t_directory(v: FlyteFile) -> FlyteDirectory:
    folder = Path("folder").absolute()
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (folder / name).write_text(name + Path(v.download()).read_text())
    return FlyteDirectory(str(folder))


@task
def t_directory_size(v: FlyteDirectory) -> int:
    return sum(len(p.read_text()) for p in Path(v.download()).iterdir())


@task
def t_frame(v: int) -> pd.DataFrame:
    return pd.DataFrame({"x": range(v), "y": [str(i) for i in range(v)]})


@task
def t_frame_sum(v: pd.DataFrame) -> int:
    return int(v["x"].sum())


@task
def t_pickle(v: int) -> Odd:
    return Odd(v)


@task
def t_unpickle(v: Odd) -> int:
    return v.value


@task
def t_empty(
    xs: typing.List[int], d: typing.Dict[str, str]
) -> typing.Tuple[typing.List[int], typing.Dict[str, str]]:
    return xs, d


@task
def t_big(n: int) -> str:
    return "x" * n


@task
def t_len(v: str) -> int:
    return len(v)


@task
def t_nothing(v: int) -> None:
    print("nothing to say about", v)


@workflow
def plain(
    i: int = 1,
    f: float = 1.5,
    s: str = "hi",
    b: bool = True,
    when: datetime = datetime(2026, 1, 1),
    span: timedelta = timedelta(hours=1),
) -> typing.Tuple[int, float, str, bool, datetime, timedelta]:
    t_nothing(v=i)
    return (
        t_int(v=i),
        t_float(v=f),
        t_str(v=s),
        t_bool(v=b),
        t_datetime(v=when),
        t_timedelta(v=span),
    )


@workflow
def optionals(
    o: typing.Optional[int] = None,
    u: typing.Union[int, str] = "abc",
) -> typing.Tuple[typing.Optional[int], typing.Union[int, str]]:
    return t_optional(v=o), t_union(v=u)


@workflow
def collections(
    xs: typing.List[int],
    d: typing.Dict[str, int],
    n: typing.Dict[str, typing.List[typing.Dict[str, int]]],
    nothing: typing.List[int] = [],
    none: typing.Dict[str, str] = {},
) -> typing.Tuple[
    typing.List[int],
    typing.Dict[str, int],
    typing.List[typing.List[int]],
    typing.List[int],
    typing.Dict[str, str],
]:
    e, f = t_empty(xs=nothing, d=none)
    return t_list(v=xs), t_dict(v=d), t_nested(v=n), e, f


@workflow
def objects(
    o: Outer, m: Model, c: Color
) -> typing.Tuple[Outer, Model, Color, int, str]:
    out = t_dataclass(v=o)
    pair = t_pair(v=out.inner.n)
    return out, t_model(v=m), t_enum(v=c), pair.left, pair.right


@workflow
def moments(v: datetime) -> typing.Tuple[datetime, timedelta]:
    flight = t_flight(v=v)
    return t_datetime(v=flight.leaves), t_timedelta(v=flight.takes)


@workflow
def files(v: FlyteFile) -> typing.Tuple[FlyteFile, int]:
    up = t_file(v=v)
    return up, t_directory_size(v=t_directory(v=up))


@workflow
def frames(n: int) -> typing.Tuple[pd.DataFrame, int]:
    df = t_frame(v=n)
    return df, t_frame_sum(v=df)


@workflow
def pickles(n: int) -> int:
    return t_unpickle(v=t_pickle(v=n))


@workflow
def big(n: int) -> int:
    return t_len(v=t_big(n=n))


@workflow
def big_through(s: str) -> typing.Tuple[str, int]:
    return t_str(v=s), t_len(v=s)
