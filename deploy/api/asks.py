"""What may be asked of the HTTP API and said to it: queries and bodies, refused if anything in them is unknown."""

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from dataflows.events import AlarmState, Condition, Priority

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
# Alarms of the whole ward belong to no site, and say so by a sign.
Site = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{1,64}|[*])$")]
_AT = "[A-Za-z0-9_-]{1,64}~[0-9]{1,19}"  # partition and row
Cursor = Annotated[str, Meta(max_length=2000, pattern=f"^{_AT}([.]{_AT})*$")]
Note = Annotated[str, Meta(max_length=1000)]
T = TypeVar("T", bound=msgspec.Struct)


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query or body: nothing in it is unknown."""


class AlarmsAsked(Asked, frozen=True):
    """Which alarms."""

    site: Site | None = None
    patient: Name | None = None
    condition: tuple[Condition, ...] = ()  # any of these
    state: tuple[AlarmState, ...] = ()  # now
    priority: tuple[Priority, ...] = ()
    since: Annotated[datetime, Meta(tz=True)] | None = None  # of the newest change
    until: Annotated[datetime, Meta(tz=True)] | None = None  # exclusive
    after: Cursor | None = None  # what has changed since, the oldest change first
    before: Cursor | None = None  # older changes, the newest first
    limit: Annotated[int, Meta(ge=1, le=500)] = 100

    def __post_init__(self) -> None:
        """Refuse two directions at once."""
        if self.after and self.before:
            raise ValueError("after and before were both given: go one way at a time")


class ListAsked(Asked, frozen=True):
    """Which devices or patients."""

    site: Name | None = None
    after: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}$")] | None = None  # SITE/NAME
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class VitalsAsked(Asked, frozen=True):
    """Which seconds: the newest ones, or those after one."""

    seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    after: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None  # unix time


class Said(Asked, frozen=True):
    """Something said of an alarm."""

    note: Note = ""  # why
    actor: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = None  # who, where the token is a system's


class Commented(Asked, frozen=True):
    """A comment."""

    note: Annotated[str, Meta(min_length=1, max_length=1000)]
    actor: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = None


class Shelved(Said, frozen=True, kw_only=True):
    """For how long."""

    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class ShelvedCondition(Shelved, frozen=True, kw_only=True):
    """Which condition, whether an alarm stands or not, and for how long."""

    condition: Condition


class UnshelvedCondition(Said, frozen=True, kw_only=True):
    """Which condition."""

    condition: Condition


class Marked(Said, frozen=True, kw_only=True):
    """What it was."""

    was: Literal["true", "false"]


class Limits(Said, frozen=True, kw_only=True):
    """A patient's own alarm limits for a vital; null: the ward's."""

    vital: Literal["hr", "resp", "spo2", "temp"]
    low: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    high: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None

    def __post_init__(self) -> None:
        """Refuse limits between which nothing lies."""
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low = {self.low:g} came, need low < high = {self.high:g}")


def query_of(kind: type[T], pairs: list[tuple[str, str]]) -> T:
    """Read the pairs of a query; one that may be given several times is a list.

    Raises
    ------
    ValueError
        Something is unknown or malformed, or was given twice.

    Examples
    --------
    >>> query_of(AlarmsAsked, [("state", "active"), ("state", "latched"), ("limit", "5")]).state
    ('active', 'latched')
    """
    many = {field.name for field in msgspec.structs.fields(kind) if field.default == ()}
    given: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name in many:
            given.setdefault(name, []).append(value)  # type: ignore[union-attr]  # those in `many` are lists
        elif name in given:
            raise ValueError(f"{name} was given twice: give it once")
        else:
            given[name] = value
    return msgspec.convert(given, kind, strict=False)
