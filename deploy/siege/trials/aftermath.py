"""What the ward must have made of the time in which the broker was out of reach."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from dataflows.couriers.bodies import message_id
from dataflows.events import SECOND_NS, AlarmEvent, Vitals
from deploy.siege.trials.script import Episode

STALE_S: Final = 30  # by the design: what arrives with older evidence does not page, and its vitals are marked late
EDGE_NS: Final = 2 * SECOND_NS  # a second so close to where the mark begins or ends may have it or not
LONG_S: Final = 100.0  # an outage that has room for slower conditions that are over in time
LEARNED_S: Final = 30.0  # of the run: a heart is known long before

Fate = Literal["quiet", "missed", "paged"]


class Case(NamedTuple):
    """What a patient has, and what must become of it."""

    fate: Fate
    condition: str = ""
    episodes: tuple[Episode, ...] = ()


class Edges(NamedTuple):
    """When the broker went, when it came back, and when all that had waited was worked off (unix time, ns)."""

    gone_ns: int
    back_ns: int
    live_ns: int


class Fates(NamedTuple):
    """What became of the scripted conditions."""

    missed: int  # that were over long before the broker came back ...
    recorded: int  # ... of which so many are recorded as missed
    said: int  # ... and the receiver was told so
    held: int  # that still held ...
    paged: int  # ... and paged
    wrong: list[str]


def cases(gone_s: float, away_s: float, after_s: float) -> tuple[Case, ...]:
    """Cases for an outage that begins at `gone_s` of the run; what holds goes on until `after_s` after its end."""
    back_s, end_s = gone_s + away_s, gone_s + away_s + after_s
    found = [Case("quiet"), Case("missed", "asystole", (Episode("asystole", gone_s + 2.0, gone_s + 9.0),))]
    if away_s >= LONG_S:
        slow = Episode("bradycardia", gone_s + 8.0, gone_s + 38.0, 32.0)
        fast = Episode("tachycardia", gone_s + 8.0, gone_s + 38.0, 175.0)
        found += [Case("missed", "extreme-bradycardia", (slow,)), Case("missed", "extreme-tachycardia", (fast,))]
    # The older evidence of the first comes too late to page, the newer does not.
    fast = Episode("tachycardia", max(back_s - 50.0, gone_s + 5.0), end_s, 175.0)
    slow = Episode("bradycardia", back_s - 15.0, end_s, 32.0)
    found += [Case("paged", "extreme-tachycardia", (fast,)), Case("paged", "extreme-bradycardia", (slow,))]
    if gone_s >= LEARNED_S:  # it stood before the broker went, and is over when it comes back
        found.append(Case("paged", "asystole", (Episode("asystole", gone_s - 12.0, gone_s + 4.0),)))
    return tuple(found)


def judge_fates(cases_of: Sequence[tuple[str, Case]], events: Iterable[AlarmEvent], told: Collection[str]) -> Fates:
    """Hold the events of patients' hearts against what each patient's case calls for.

    Parameters
    ----------
    cases_of
        Patients and their cases.
    events
        From the store.
    told
        Ids of the webhooks that the receiver took.
    """
    hearts = [event for event in events if event.category == "physiological"]
    missed = recorded = said = held = paged = 0
    wrong = []
    for patient, case in cases_of:
        mine = [event for event in hearts if event.patient == patient]
        active = [event for event in mine if event.state == "active"]
        strange = active if case.fate != "paged" else [event for event in active if event.condition != case.condition]
        wrong += [f"{patient}: {event.condition} paged and should not" for event in strange]
        if case.fate == "missed":
            kept = [event for event in mine if (event.condition, event.state) == (case.condition, "missed")]
            heard = [event for event in kept if message_id(event) in told]
            missed, recorded, said = missed + 1, recorded + bool(kept), said + bool(heard)
            if not kept:
                wrong.append(f"{patient}: {case.condition} was over when the broker came back, and is not recorded")
            elif not heard:
                wrong.append(f"{patient}: {case.condition} was missed, and the receiver of webhooks was not told so")
        elif case.fate == "paged":
            heard = [event for event in active if event.condition == case.condition and message_id(event) in told]
            held, paged = held + 1, paged + bool(heard)
            if not heard:
                wrong.append(f"{patient}: {case.condition} holds, and did not page")
    return Fates(missed, recorded, said, held, paged, wrong)


def gaps(vitals: Iterable[Vitals]) -> tuple[int, int]:
    """Seconds from each patient's first to the last of all, and how many of them have no row."""
    found: dict[str, set[int]] = {}
    for row in vitals:
        found.setdefault(row.patient, set()).add(row.second)
    last = min((max(seconds) for seconds in found.values()), default=0)
    expected = sum(last + 1 - min(seconds) for seconds in found.values())
    return expected, expected - sum(sum(second <= last for second in seconds) for seconds in found.values())


def wrongly_marked(vitals: Iterable[Vitals], edges: Edges) -> list[Vitals]:
    """Seconds that are marked late and came in time, or came more than 30 s late and are not marked.

    What was measured less than 30 s before the broker came back may be late or not: that depends on how long the queue
    took.
    """
    surely_late_ns = edges.back_ns - STALE_S * SECOND_NS - EDGE_NS
    maybe_late_ns = edges.live_ns - STALE_S * SECOND_NS + EDGE_NS
    wrong = []
    for row in vitals:
        end_ns = (row.second + 1) * SECOND_NS
        if row.late:
            right = edges.gone_ns - EDGE_NS <= end_ns <= maybe_late_ns
        else:
            right = not edges.gone_ns + EDGE_NS <= end_ns <= surely_late_ns
        if not right:
            wrong.append(row)
    return wrong
