"""The table of alarms: every state against every event, and what must never be otherwise."""

from collections import Counter
from itertools import product
from typing import get_args

import numpy as np
import pytest

from dataflows.alarm_bank import STANDS, happen, no_alarms
from dataflows.alarm_picture import PAGE, page
from dataflows.alarm_table import CHANGE, CHANGES, COMMANDS, NAMES, STATE, TABLE, TO, Event, Phase
from dataflows.events import OVER, SECOND_NS, SEEN, STANDING, AlarmChange, AlarmState
from dataflows.rules import COLUMN

PAIRS: list[tuple[Phase, Event]] = list(product(Phase, [event for event in Event if event != Event.NOTHING]))
NOW = 1_000 * SECOND_NS
# What of all that happens is told, or moves: written here once more, by hand. Everything else stays as it is.
MOVES = """
CLEAR         BEGINS>PENDING HOLDS>ACTIVE:raised RECURS>ACTIVE:retriggered HOLDS_LATE>MISSED:missed
CLEAR         SHELVE>RESTING:shelved
PENDING       HOLDS>ACTIVE:raised RECURS>ACTIVE:retriggered HOLDS_LATE>MISSED:missed SHELVE>RESTING:shelved
PENDING       ABATES>CLEAR OVER>CLEAR OVER_LATCHING>CLEAR OVER_LATE>CLEAR REFUTED>CLEAR LEAVES>CLEAR
ACTIVE        OVER>ENDED:ended OVER_LATCHING>LATCHED:latched REFUTED>RETRACTED:retracted WORSENS>ACTIVE:worsened
ACTIVE        ACKNOWLEDGE>ACKNOWLEDGED:acknowledged SHELVE>SHELVED:shelved CLIMBS>ACTIVE:escalated LEAVES>ENDED:ended
ACKNOWLEDGED  OVER>ENDED:ended OVER_LATCHING>ENDED:ended REFUTED>RETRACTED:retracted WORSENS>ACTIVE:worsened
ACKNOWLEDGED  SHELVE>SHELVED:shelved AGES>ACTIVE:retriggered LEAVES>ENDED:ended
LATCHED       HOLDS>ACTIVE:retriggered RECURS>ACTIVE:retriggered ACKNOWLEDGE>ENDED:acknowledged SHELVE>RESTING:shelved
LATCHED       CLIMBS>LATCHED:escalated LEAVES>ENDED:ended
SHELVED       OVER>RESTING OVER_LATCHING>RESTING REFUTED>RESTING WORSENS>ACTIVE:worsened SHELVE>SHELVED:shelved
SHELVED       UNSHELVE>ACTIVE:unshelved EXPIRES>ACTIVE:unshelved EXPIRES_UNSEEN>ACTIVE:unshelved LEAVES>ENDED:ended
RESTING       HOLDS>SHELVED:retriggered RECURS>SHELVED:retriggered SHELVE>RESTING:shelved UNSHELVE>ENDED:unshelved
RESTING       EXPIRES>ENDED:unshelved EXPIRES_UNSEEN>LATCHED:latched LEAVES>ENDED:ended
MISSED        HOLDS>ACTIVE:raised RECURS>ACTIVE:raised OVER>CLEAR OVER_LATCHING>CLEAR OVER_LATE>CLEAR LEAVES>CLEAR
MISSED        REFUTED>RETRACTED:retracted SHELVE>SHELVED:shelved
ENDED         BEGINS>PENDING HOLDS>ACTIVE:raised RECURS>ACTIVE:retriggered HOLDS_LATE>MISSED:missed
ENDED         SHELVE>RESTING:shelved
RETRACTED     BEGINS>PENDING HOLDS>ACTIVE:raised RECURS>ACTIVE:retriggered HOLDS_LATE>MISSED:missed
RETRACTED     SHELVE>RESTING:shelved
"""


def expected() -> dict[tuple[Phase, Event], tuple[Phase, str]]:
    found: dict[tuple[Phase, Event], tuple[Phase, str]] = {pair: (pair[0], "") for pair in PAIRS}
    for phase in set(Phase) - {Phase.CLEAR, Phase.PENDING}:
        found[phase, Event.COMMENT], found[phase, Event.MARK] = (phase, "commented"), (phase, "marked")
    for line in MOVES.strip().splitlines():
        state, *moves = line.split()
        for move in moves:
            event, _, rest = move.partition(">")
            to, _, change = rest.partition(":")
            found[Phase[state], Event[event]] = (Phase[to], change)
    return found


def test_every_state_and_event_does_in_a_bank_what_is_written_here() -> None:
    column, covered, wanted = COLUMN["asystole"], Counter[str](), expected()
    bank = no_alarms(len(PAIRS))
    bank.phase[:, column] = [phase for phase, _ in PAIRS]
    bank.first_ns[:, column] = bank.onset_ns[:, column] = bank.begun_ns[:, column] = NOW - SECOND_NS
    events = np.zeros(bank.phase.shape, np.int8)
    events[:, column] = [event for _, event in PAIRS]
    at_ns = np.full(len(PAIRS), NOW)
    after, happened = happen(bank, events, at_ns, at_ns)
    for row, (phase, event) in enumerate(PAIRS):
        to, change = wanted[phase, event]
        move = TABLE[phase, event]
        assert (move.to, move.change or "") == (to, change), (phase.name, event.name)
        assert (Phase(int(after.phase[row, column])), CHANGES[happened.change[row, column]] or "") == (to, change)
        assert bool(move.why) == (to == phase and not change), f"{phase.name}, {event.name}: say why nothing happens"
        covered["moved" if to != phase else "told" if change else "stayed, and says why"] += 1
    print(f"{sum(covered.values())} of {len(Phase) * (len(Event) - 1)} pairs of state and event: all; {dict(covered)}")  # noqa: T201
    assert sum(covered.values()) == len(TABLE) == len(Phase) * (len(Event) - 1)


def test_the_arrays_of_a_bank_are_the_table() -> None:
    for (phase, event), move in TABLE.items():
        assert (TO[phase, event], CHANGES[CHANGE[phase, event]]) == (move.to, move.change)
    assert (TO[:, Event.NOTHING] == np.arange(len(Phase))).all()
    assert not CHANGE[:, Event.NOTHING].any()
    assert not NAMES[:, Event.NOTHING].any()


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.LATCHED])
def test_what_nobody_has_seen_and_latches_goes_only_by_a_person_a_discharge_or_proof_that_it_never_was(
    phase: Phase,
) -> None:
    over = {event for event in Event if event and TABLE[phase, event].to in {Phase.ENDED, Phase.RETRACTED, Phase.CLEAR}}
    assert over - {Event.OVER} <= {Event.ACKNOWLEDGE, Event.LEAVES, Event.REFUTED}


def test_old_evidence_neither_raises_nor_clears_what_stands() -> None:
    for phase in Phase:
        if STANDS[phase]:
            for event in (Event.HOLDS_LATE, Event.OVER_LATE):
                assert TABLE[phase, event][:2] == (phase, None)


def test_nothing_is_told_that_moves_no_alarm_in_sight_and_all_that_is_told_has_a_state() -> None:
    for (phase, event), move in TABLE.items():
        assert move.change is None or move.to in STATE, (phase, event)
        if move.to in STATE and phase in STATE and STATE[phase] != STATE[move.to]:
            assert move.change is not None, (phase, event)
    assert {move.change for move in TABLE.values()} == {None, *get_args(AlarmChange)}
    assert set(STATE.values()) == set(get_args(AlarmState)) == {*STANDING, *OVER}
    assert set(SEEN) < set(STANDING)


def test_no_event_of_a_state_is_lost_by_coming_twice() -> None:
    """A command that comes twice under two names does the second time nothing that the first had not done."""
    for phase, event in product(Phase, COMMANDS):
        once = TABLE[phase, event]
        twice = TABLE[once.to, event]
        assert twice.to == once.to, (phase, event)


def test_the_committed_picture_is_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m dataflows.alarm_picture"
