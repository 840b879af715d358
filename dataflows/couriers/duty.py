"""When a receiver may be disturbed: quiet hours of its own, and the shifts of its team; by the clock on the wall.

Both are spans of the local day. A span that ends before it begins goes past midnight; its days are those on which it
begins.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal, NamedTuple, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
_SPAN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Span(NamedTuple):
    """A part of some days of the week; one that ends when it begins lasts for 24 h."""

    start: time
    end: time
    days: tuple[Day, ...] = DAYS


def span_of(text: str, days: Sequence[Day] = DAYS) -> Span:
    """Read "HH:MM-HH:MM".

    Raises
    ------
    ValueError
        It is not of that form, or there is no day.

    Examples
    --------
    >>> span_of("22:00-07:00").end
    datetime.time(7, 0)
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of the day: need HH:MM-HH:MM, such as 22:00-07:00")
    if not days:
        raise ValueError(f"the span {text} has no days: name some of {' '.join(DAYS)}")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    return Span(time(hour, minute), time(end_hour, end_minute), tuple(days))


class Shift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a team is on duty; of a team that has no shift it is always."""

    team: str
    hours: str  # HH:MM-HH:MM
    days: tuple[Day, ...] = DAYS

    def __post_init__(self) -> None:
        """Check once."""
        span_of(self.hours, self.days)


class Duty(NamedTuple):
    """When one receiver may be disturbed."""

    quiet: tuple[Span, ...] = ()
    shifts: tuple[Span, ...] = ()  # of its team; none: always
    zone: tzinfo = UTC

    @classmethod
    def of(cls, quiet: str, team: str = "", plan: Sequence[Shift] = (), zone: str = "UTC") -> Self:
        """Read a receiver's quiet hours, and of the plan of shifts those of its team.

        Raises
        ------
        ValueError
            The zone is not known here, or the team has no shift while others have.
        """
        shifts = tuple(span_of(shift.hours, shift.days) for shift in plan if shift.team == team)
        if team and plan and not shifts:
            teams = ", ".join(sorted({shift.team for shift in plan}))
            raise ValueError(f"team {team!r} has no shift: give it one, or name one of {teams}")
        return cls((span_of(quiet),) if quiet else (), shifts, zone_of(zone))

    def due_ns(self, now_ns: int, *, loud: bool) -> int:
        """When something may be told; 0: now.

        Parameters
        ----------
        now_ns
            Wall clock.
        loud
            It breaks quiet hours; a team that is not on duty is not told of it either, as another one is.
        """
        now = datetime.fromtimestamp(now_ns / 1e9, UTC)
        due = begins(self.shifts, now, self.zone) if self.shifts else now
        if not loud and due == now and (quiet_end := ends(self.quiet, now, self.zone)) is not None:
            due = quiet_end
        return 0 if due == now else int(due.timestamp()) * 1_000_000_000


def zone_of(name: str) -> tzinfo:
    """Return the time zone of this name.

    Raises
    ------
    ValueError
        It is not known on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"zone {name!r} is not known here: need one such as Europe/Vienna, and tzdata") from error


def ends(spans: Iterable[Span], now: datetime, zone: tzinfo) -> datetime | None:
    """When the spans that hold now are all over; None: none holds now.

    Examples
    --------
    >>> night = [span_of("22:00-07:00")]
    >>> ends(night, datetime(2026, 3, 1, 23, 30, tzinfo=UTC), ZoneInfo("UTC"))
    datetime.datetime(2026, 3, 2, 7, 0, tzinfo=datetime.timezone.utc)
    >>> ends(night, datetime(2026, 3, 1, 7, 0, tzinfo=UTC), ZoneInfo("UTC"))
    """
    instances = _instances(spans, now, zone)
    over = now
    while reached := [end for start, end in instances if start <= over < end]:
        over = max(reached)
        if over - now > timedelta(days=7):  # it never ends
            break
    return None if over == now else over


def begins(spans: Iterable[Span], now: datetime, zone: tzinfo) -> datetime:
    """When a span holds next: now, if one does.

    Examples
    --------
    >>> early = [span_of("06:00-14:00", ["mon"])]
    >>> begins(early, datetime(2026, 3, 1, 7, 0, tzinfo=UTC), ZoneInfo("Europe/Vienna"))  # a Sunday
    datetime.datetime(2026, 3, 2, 5, 0, tzinfo=datetime.timezone.utc)
    """
    instances = _instances(spans, now, zone)
    if any(start <= now < end for start, end in instances):
        return now
    return min(start for start, _ in instances if start > now)


def _instances(spans: Iterable[Span], now: datetime, zone: tzinfo) -> list[tuple[datetime, datetime]]:
    """Every span of the days around, in UTC."""
    today = now.astimezone(zone).date()
    found = []
    for span in spans:
        for offset in range(-2, 10):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in span.days:
                last = day if span.end > span.start else day + timedelta(days=1)
                found.append((_at(day, span.start, zone), _at(last, span.end, zone)))
    return found


def _at(day: date, when: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, when, zone).astimezone(UTC)
