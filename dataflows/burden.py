"""How heavy alarms are on those who answer them: counted from the events of the store.

An alarm counts where it was raised (what was over before it could page counts as `missed` only). Its priority is the
highest that it had. Its repeats are raises of the same condition of the same patient within ten minutes, and comings
back within its own life. Exposure is the time that patients were admitted, by the rows of their beds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np

from dataflows.events import SECOND_NS, AlarmEvent, AlarmKind, BedState, Condition, Priority

REPEAT_NS: Final = 600 * SECOND_NS
FLOOD_NS: Final = 600 * SECOND_NS
FLOOD_ALARMS: Final = 10  # in so long, on one ward
BED_NS: Final = 3_700 * SECOND_NS  # a bed says so often, at least, that somebody lies in it
DAY_NS: Final = 86_400 * SECOND_NS
_RANK: Final[dict[Priority, int]] = {"low": 0, "medium": 1, "high": 2}


class Life(NamedTuple):
    """What became of one alarm."""

    site: str
    ward: str
    patient: str
    condition: Condition
    category: AlarmKind
    priority: Priority  # the highest that it had
    raised_ns: int  # arrival; 0: it never paged
    acknowledged_ns: int  # arrival; 0: nobody did
    ended_ns: int  # arrival; 0: it goes on
    occurrences: int
    mark: Literal["", "true", "false"]
    escalated: bool
    missed: bool  # it was over before its late evidence came
    onset_ns: int


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms of one kind, in one time."""

    condition: str  # empty: of any
    priority: str  # empty: of any
    raised: int
    per_patient_day: float  # NaN: nobody was there
    acknowledged: float  # share
    acknowledged_s_p50: float
    acknowledged_s_p90: float
    repeats: int  # of the same patient and condition, within ten minutes
    escalated: int
    missed: int  # over before their late evidence came: they paged nobody
    marked_true: int
    marked_false: int
    false_share: float  # of those that were marked


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a ward had ten alarms or more within any ten minutes."""

    site: str
    ward: str
    from_ns: int
    to_ns: int
    alarms: int


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """The burden of a time."""

    from_ns: int
    to_ns: int
    patient_days: float
    total: Count
    by_priority: tuple[Count, ...]
    by_condition: tuple[Count, ...]  # and priority; the most frequent first
    floods: tuple[Flood, ...]


def lives(events: Iterable[AlarmEvent]) -> list[Life]:
    """What became of each alarm, by the time it was raised."""
    histories: defaultdict[tuple[str, str], list[AlarmEvent]] = defaultdict(list)
    for event in events:
        histories[event.site, event.id].append(event)
    return sorted(map(_life, histories.values()), key=lambda life: (life.raised_ns, life.onset_ns, life.patient))


def burden(found: Sequence[Life], from_ns: int, to_ns: int, patient_ns: float) -> Burden:
    """Count what was raised in ``[from_ns, to_ns)``.

    Parameters
    ----------
    found
        Alarms of any time; those before it tell which ones are repeats.
    from_ns, to_ns
        Arrival, ns.
    patient_ns
        Time that patients were there within it, added up.
    """
    repeats = _repeats(found)
    within = [(life, again) for life, again in zip(found, repeats, strict=True) if from_ns <= _when(life) < to_ns]
    days = patient_ns / DAY_NS
    kinds = Counter((life.condition, life.priority) for life, _ in within if life.raised_ns)
    kinds.update(dict.fromkeys(((life.condition, life.priority) for life, _ in within), 0))
    return Burden(
        from_ns=from_ns,
        to_ns=to_ns,
        patient_days=days,
        total=_count("", "", within, days),
        by_priority=tuple(
            _count("", priority, [one for one in within if one[0].priority == priority], days)
            for priority in ("high", "medium", "low")
        ),
        by_condition=tuple(
            _count(*kind, [one for one in within if (one[0].condition, one[0].priority) == kind], days)
            for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        ),
        floods=tuple(flood for flood in floods(found) if from_ns <= flood.from_ns < to_ns),
    )


def floods(found: Iterable[Life]) -> Iterator[Flood]:
    """Times in which a ward had ten alarms or more within any ten minutes, by ward and time."""
    raised: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for life in found:
        if life.raised_ns:
            raised[life.site, life.ward].append(life.raised_ns)
    for (site, ward), unsorted in sorted(raised.items()):
        times = np.sort(np.array(unsorted, np.int64))
        first = np.searchsorted(times, times - FLOOD_NS, side="right")  # of the ten minutes that end with each
        wet = np.zeros(len(times) + 1, np.int64)
        for last in np.flatnonzero(np.arange(len(times)) - first + 1 >= FLOOD_ALARMS):
            wet[first[last]] += 1
            wet[last + 1] -= 1
        inside = np.concatenate(([0], np.cumsum(wet[:-1]) > 0, [0])).astype(np.int64)
        begins, ends = np.flatnonzero(np.diff(inside) == 1), np.flatnonzero(np.diff(inside) == -1)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield Flood(site=site, ward=ward, from_ns=int(times[begin]), to_ns=int(times[end - 1]), alarms=end - begin)


def exposure_ns(beds: Iterable[BedState], from_ns: int, to_ns: int, site: str | None = None) -> int:
    """Time that patients lay in their beds within ``[from_ns, to_ns)``, added up, ns."""
    rows: defaultdict[tuple[str, str], list[BedState]] = defaultdict(list)
    for bed in beds:
        if site is None or bed.site == site:
            rows[bed.site, bed.patient].append(bed)
    total = 0
    for said in rows.values():
        said.sort(key=lambda bed: bed.at_ns)
        ends = [bed.at_ns for bed in said[1:]] + [to_ns]
        for bed, end in zip(said, ends, strict=True):
            if bed.admitted:
                last = min(end, bed.at_ns + BED_NS, to_ns)
                total += max(0, last - max(bed.at_ns, from_ns))
    return total


def _life(history: list[AlarmEvent]) -> Life:
    history.sort(key=lambda event: event.step)
    first, last = history[0], history[-1]
    raised = next((event.arrival_ns for event in history if event.state == "active"), 0)
    # The event that acknowledges one that latched ends it, too.
    seen = next((event.arrival_ns for event in history if "acknowledged" in {event.state, event.change}), 0)
    over = last.arrival_ns if last.state in {"ended", "retracted"} else 0
    return Life(
        site=first.site,
        ward=first.ward,
        patient=first.patient,
        condition=first.condition,
        category=first.category,
        priority=max((event.priority for event in history), key=_RANK.__getitem__),
        raised_ns=raised,
        acknowledged_ns=seen,
        ended_ns=over,
        occurrences=max(event.occurrences for event in history),
        mark=next((event.mark for event in reversed(history) if event.mark), ""),
        escalated=any(event.change == "escalated" for event in history),
        missed=not raised and any(event.state == "missed" for event in history),
        onset_ns=first.onset_ns,
    )


def _when(life: Life) -> int:
    return life.raised_ns or life.onset_ns


def _repeats(found: Sequence[Life]) -> list[int]:
    """How often each alarm was a repeat: once where one of its kind was raised shortly before, and each coming back."""
    newest: dict[tuple[str, str, str], int] = {}
    repeats = []
    for life in found:
        kind = (life.site, life.patient, life.condition)
        before = newest.get(kind)
        is_soon = bool(life.raised_ns) and before is not None and life.raised_ns - before <= REPEAT_NS
        repeats.append((is_soon + life.occurrences - 1) if life.raised_ns else 0)
        if life.raised_ns:
            newest[kind] = life.raised_ns
    return repeats


def _count(condition: str, priority: str, members: Sequence[tuple[Life, int]], days: float) -> Count:
    raised = [life for life, _ in members if life.raised_ns]
    waits = [(life.acknowledged_ns - life.raised_ns) / SECOND_NS for life in raised if life.acknowledged_ns]
    p50, p90 = np.percentile(waits, [50, 90]).tolist() if waits else (np.nan, np.nan)
    marks = Counter(life.mark for life in raised)
    marked = marks["true"] + marks["false"]
    return Count(
        condition=condition,
        priority=priority,
        raised=len(raised),
        per_patient_day=len(raised) / days if days > 0.0 else np.nan,
        acknowledged=len(waits) / len(raised) if raised else np.nan,
        acknowledged_s_p50=p50,
        acknowledged_s_p90=p90,
        repeats=sum(again for _, again in members),
        escalated=sum(life.escalated for life in raised),
        missed=sum(life.missed for life, _ in members),
        marked_true=marks["true"],
        marked_false=marks["false"],
        false_share=marks["false"] / marked if marked else np.nan,
    )
