"""The life of alarms of a bank of patients, each condition a column: evidence and clock give events to the table."""

from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.alarm_bank import (
    FIRST_RANK,
    HOLDS,
    OPEN,
    SHELF,
    AlarmBank,
    BoolArray,
    Happened,
    IntArray,
    Numbers,
    among,
    happen,
)
from dataflows.alarm_table import Event, Phase
from dataflows.events import SECOND_NS
from dataflows.priorities import HIDES, LADDER_S, MAX_AGE_S, PRIORITIES, RANK, STEPS
from dataflows.rules import COLUMN, N_CONDITIONS, RULES

FloatArray = NDArray[np.float64]

CONTINUITY_NS = 2 * SECOND_NS  # a condition that was not looked at for longer has not been holding all the while
STALE_NS = 30 * SECOND_NS  # older evidence neither raises nor clears
TRUE, FALSE, UNKNOWN, REFUTED = 1, 0, -1, -2  # what is known of a condition; refuted: what passed for it was none
NEVER_NS: Final = 1 << 62

DELAY_NS = np.array([round(rule.delay_s * SECOND_NS) for rule in RULES], np.int64)
_CLEAR_NS = np.array([round(rule.clear_s * SECOND_NS) for rule in RULES], np.int64)
_GAP_NS = np.array([round(rule.gap_s * SECOND_NS) if rule.gap_s else -1 for rule in RULES], np.int64)
_LATCHES = np.array([rule.latches for rule in RULES])
_STEPS = tuple((COLUMN[condition], step) for condition, steps in STEPS.items() for step in steps)
_RUNGS: Final = max(map(len, LADDER_S.values()))
_LADDER_NS = np.full((len(PRIORITIES), _RUNGS + 1), NEVER_NS, np.int64)
_AGE_NS = np.full(len(PRIORITIES), NEVER_NS, np.int64)
for _priority, _of in RANK.items():
    _AGE_NS[_of] = round(MAX_AGE_S[_priority] * SECOND_NS)
    for _rung, _after_s in enumerate(LADDER_S[_priority]):
        _LADDER_NS[_of, _rung] = round(_after_s * SECOND_NS)
_STEPPED = sorted({column for column, _ in _STEPS})
_HIDERS = [(COLUMN[hider], np.array([COLUMN[one] for one in hidden])) for hider, hidden in HIDES.items()]
_HIDING = [hider for hider, _ in _HIDERS]
_PAGES = OPEN & ~among(Phase.RESTING) | among(Phase.MISSED)  # and is signalled then
_SIGNALLED = among(Phase.ACTIVE, Phase.ACKNOWLEDGED)
_CLIMBS = among(Phase.ACTIVE, Phase.LATCHED)


class Evidence(NamedTuple):
    """What is known of every condition at one moment, shape (n_patients, N_CONDITIONS)."""

    truth: IntArray  # 1 true, 0 false, -1 not known, -2 refuted: what passed for it was something else
    onset_ns: IntArray
    value: FloatArray
    why: IntArray  # which of the rule's reasons
    u: FloatArray  # standard uncertainty of the value, same unit; NaN: not stated
    limit: FloatArray  # what the value was compared with, same unit; NaN: the rule's own
    confidence: FloatArray  # probability that it is true, 0..1; NaN: nobody states one


def nothing_known(n_patients: int) -> Evidence:
    """Return evidence that says nothing, to be filled in column by column."""
    shape = (n_patients, N_CONDITIONS)
    return Evidence(
        truth=np.full(shape, UNKNOWN, np.int64),
        onset_ns=np.zeros(shape, np.int64),
        value=np.full(shape, np.nan),
        why=np.zeros(shape, np.int64),
        u=np.full(shape, np.nan),
        limit=np.full(shape, np.nan),
        confidence=np.full(shape, np.nan),
    )


def event_of(  # noqa: PLR0911 - one answer for each case
    truth: int, *, held: bool, recurs: bool, stale: bool, done: bool, rises: bool, latches: bool
) -> Event:
    """Name what evidence makes happen.

    Parameters
    ----------
    truth
        As in `Evidence`.
    held, done
        The condition is true for its delay, and nothing worse hides it; it is not true for its clear time.
    recurs
        The last alarm of its kind has just ended.
    stale
        The evidence was older than 30 s on arrival.
    rises
        The alarm is signalled, and of a higher priority than before.
    latches
        The condition does.
    """
    if truth == UNKNOWN:
        return Event.NOTHING
    if truth == TRUE:
        if rises and not stale:
            return Event.WORSENS
        if not held:
            return Event.BEGINS
        return Event.HOLDS_LATE if stale else Event.RECURS if recurs else Event.HOLDS
    if not done:
        return Event.ABATES
    if stale:
        return Event.OVER_LATE
    if truth == REFUTED:
        return Event.REFUTED
    return Event.OVER_LATCHING if latches else Event.OVER


_BITS = ("held", "recurs", "stale", "done", "rises", "latches")
_EVENT_OF = np.zeros((4, 2 ** len(_BITS)), np.int8)
for _truth in (TRUE, FALSE, UNKNOWN, REFUTED):
    for _case in product((False, True), repeat=len(_BITS)):
        _code = sum(bit << place for place, bit in enumerate(_case))
        _EVENT_OF[_truth - REFUTED, _code] = event_of(_truth, **dict(zip(_BITS, _case, strict=True)))
_EVENT_OF = _EVENT_OF.ravel()  # one index is the quicker look


def step(
    bank: AlarmBank, evidence: Evidence, event_ns: IntArray, arrival_ns: IntArray, delay_ns: IntArray = DELAY_NS
) -> tuple[AlarmBank, Happened]:
    """Advance every alarm by one moment.

    Parameters
    ----------
    bank
        Alarms as they stand.
    evidence
        What is known now. Not known holds everything as it is.
    event_ns : shape (n_patients,)
        Time of the newest evidence. What was older than 30 s on arrival neither raises nor clears, but what it shows
        is recorded.
    arrival_ns : shape (n_patients,)
        Arrival of what brought it.
    delay_ns : shape (N_CONDITIONS,)
        How long each condition holds before it is an alarm.

    Returns
    -------
    AlarmBank
        Alarms after it.
    Happened
        What happened to each, and what of it is told.
    """
    now, arrival = event_ns[:, None], arrival_ns[:, None]
    stale = arrival - now > STALE_NS
    true, false = evidence.truth == TRUE, (evidence.truth == FALSE) | (evidence.truth == REFUTED)
    may_begin, missed = OPEN[bank.phase], bank.phase == Phase.MISSED

    fresh = may_begin & true & ((bank.begun_ns == 0) | (now - bank.true_ns > CONTINUITY_NS))
    begun = np.where(fresh, np.maximum(evidence.onset_ns, bank.ended_ns + 1), bank.begun_ns)
    begun = np.where(may_begin & false, 0, begun)
    ripe = true & (now - begun >= delay_ns)
    found = np.where(fresh | (begun == 0), 0, bank.found_ns)
    found = np.where(ripe & (found == 0), arrival, found)
    counts = false & ~may_begin & (~stale | missed)
    over = np.where(true, 0, np.where(counts & (bank.over_ns == 0), now, bank.over_ns))

    rank = _ranked(now - begun, evidence.value, true)
    hidden = _hidden(bank.phase, over, ripe & ~stale)
    bits = (
        ripe & ~hidden,
        (bank.closed == Phase.ENDED) & (begun - bank.ended_ns <= _GAP_NS),
        stale,
        counts & (now - over >= _CLEAR_NS),
        HOLDS[bank.phase] & (rank > bank.priority) & ~hidden,
        _LATCHES,
    )
    code = (evidence.truth - REFUTED) << len(bits)
    for place, bit in enumerate(bits):
        code |= bit.view(np.uint8) << place
    event = _EVENT_OF[code]
    watched = bank._replace(true_ns=np.where(true, now, bank.true_ns), over_ns=over, begun_ns=begun, found_ns=found)
    return happen(watched, event, event_ns, arrival_ns, rank)


def tick(bank: AlarmBank, arrival_ns: IntArray) -> tuple[AlarmBank, Happened]:
    """Advance every alarm by the clock alone: shelves, the ladder, the age of what was acknowledged.

    Parameters
    ----------
    bank
        Alarms as they stand.
    arrival_ns : shape (n_patients,)
        Time of the journal.
    """
    arrival, phase = arrival_ns[:, None], bank.phase
    expires = SHELF[phase] & (bank.until_ns <= arrival)
    unseen = expires & _LATCHES & (bank.occurrences > 0) & (bank.onset_ns >= bank.since_ns)
    climbs = _may_climb(bank) & (arrival - bank.since_ns >= _LADDER_NS[bank.priority, bank.level])
    climbs &= ~_hidden(phase, bank.over_ns, np.zeros(phase.shape, np.bool_))
    ages = (phase == Phase.ACKNOWLEDGED) & (bank.over_ns == 0) & (arrival - bank.since_ns >= _AGE_NS[bank.priority])
    event = np.zeros(phase.shape, np.int8)
    for cells, what in (
        (expires, Event.EXPIRES),
        (unseen, Event.EXPIRES_UNSEEN),
        (climbs, Event.CLIMBS),
        (ages, Event.AGES),
    ):
        event[cells] = what
    return happen(bank, event, arrival_ns, arrival_ns)


def may_climb(bank: AlarmBank, column: int) -> bool:
    """Whether there is a rung left for an alarm of the first row of a bank."""
    return bool(_LADDER_NS[bank.priority[0, column], bank.level[0, column]] < NEVER_NS)


def due_ns(bank: AlarmBank) -> int:
    """When the clock may next change an alarm; it may be past, as long as something holds that back."""
    phase = bank.phase
    due = np.where(SHELF[phase], bank.until_ns, NEVER_NS)
    due = np.where(_may_climb(bank), bank.since_ns + _LADDER_NS[bank.priority, bank.level], due)
    due = np.where(phase == Phase.ACKNOWLEDGED, bank.since_ns + _AGE_NS[bank.priority], due)
    return int(due.min(initial=NEVER_NS))


def _may_climb(bank: AlarmBank) -> BoolArray:
    may: BoolArray = _CLIMBS[bank.phase] & (bank.within == 0)
    return may


def _ranked(held_ns: IntArray, value: FloatArray, true: BoolArray) -> Numbers:
    """Rank of the priority that each condition has now."""
    rank = np.broadcast_to(FIRST_RANK, true.shape)
    if not true[:, _STEPPED].any():
        return rank
    for column, one in _STEPS:
        known = value[:, column]
        met = true[:, column] & (held_ns[:, column] >= round(one.after_s * SECOND_NS))
        met &= ((known >= one.least) | (one.least == -np.inf)) & ((known <= one.most) | (one.most == np.inf))
        if met.any():
            rank = rank.copy() if not rank.flags.writeable else rank
            rank[:, column] = np.maximum(rank[:, column], np.where(met, RANK[one.priority], 0))
    return rank


def _hidden(phase: Numbers, over_ns: IntArray, ripe: BoolArray) -> BoolArray:
    """Whether something worse is signalled, or is about to be."""
    signalled = (_SIGNALLED[phase] & (over_ns == 0)) | (_PAGES[phase] & ripe)
    hidden = np.zeros(phase.shape, np.bool_)
    if not signalled[:, _HIDING].any():
        return hidden
    for hider, columns in _HIDERS:
        hidden[:, columns] |= signalled[:, hider, None]
    return hidden
