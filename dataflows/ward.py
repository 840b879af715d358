"""Alarms of a shard's patients: evidence, the clock and commands in, events out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from dataflows import alarm_images, alarms
from dataflows.alarm_bank import HOLDS, STANDS, AlarmBank, Happened, IntArray, alarm_id, happen, no_alarms
from dataflows.alarm_images import Cells, Lore, WardImage
from dataflows.alarm_table import Event
from dataflows.alarms import Evidence
from dataflows.bank import Bank
from dataflows.events import AlarmEvent, Answer, Condition
from dataflows.items import Commanded, name_of, site_of
from dataflows.orders import obey
from dataflows.past import Past
from dataflows.rules import COLUMN, N_CONDITIONS, RULES
from dataflows.standing import CALM, Standing, standing
from dataflows.teller import FRESH, NO_LORE, by_clock, by_evidence, told

# There is no signal in these, or it has nothing to do with them: a strip of nothing would be 2.5 kB in every row.
WITHOUT_STRIP: frozenset[Condition] = frozenset(
    {"lost-contact", "late-data", "flooding", "broker-lost", "system-fault"}
)

Strip = Callable[[str, int], tuple[bytes, float]]
Place = Callable[[str], tuple[str, str]]


class Moment(NamedTuple):
    """When and of whom something is known; each patient stands here once."""

    patients: list[str]
    event_ns: list[int]  # newest evidence, corrected device time
    arrival_ns: list[int]  # of the journal record that brought it
    quality: list[float]


class Ward:
    """The alarms of every patient of a shard.

    Parameters
    ----------
    strip : callable
        ``strip(patient, event_ns)`` returns the 10 s before an event, as int16 bytes, and their scale.
    place : callable
        ``place(patient)`` returns ward and bed.
    delay_ns : shape (N_CONDITIONS,)
        How long each condition holds before it is an alarm; None: as the rules have it.
    """

    def __init__(self, strip: Strip, place: Place, delay_ns: IntArray | None = None) -> None:
        self._delay_ns = alarms.DELAY_NS if delay_ns is None else delay_ns
        self.bank: Bank[AlarmBank] = Bank(no_alarms(1))
        self._lore: dict[str, dict[str, Lore]] = {}  # by patient and condition
        self._past = Past()
        self._strip, self._place = strip, place
        self._due_ns: int | None = None  # when the clock may next change something; None: to be found out
        self.since_ns = 0  # of what stood before nothing is known: an alarm that begins anew has an onset after it

    def admit(self, patient: str) -> None:
        """Begin with nothing wrong; a known patient keeps what stands."""
        if patient not in self.bank:
            bank = no_alarms(1)
            bank.ended_ns[:] = self.since_ns
            self.bank.seat([patient], bank)

    def park(self, patient: str) -> tuple[Cells, dict[str, Lore]]:
        """Put a patient away for whom nothing changes; what is returned is what stands, and all else that is known."""
        bank = self.bank.take([patient])
        self.bank.unseat(patient)
        return alarm_images.cells_of(bank), self._lore.pop(patient, {})

    def wake(self, patient: str, cells: Cells, lore: Mapping[str, Lore] | None = None) -> None:
        """Take up a patient as `park` left him; what is no condition any more is forgotten."""
        self.bank.seat([patient], alarm_images.filled(cells))
        self._lore[patient] = dict(lore or {})
        self._due_ns = None

    def stands(self, patient: str, condition: Condition) -> bool:
        """Whether an alarm of a condition stands with a patient."""
        return bool(STANDS[self.bank.take([patient]).phase[0, COLUMN[condition]]])

    def holds(self, patient: str, condition: Condition) -> bool:
        """Whether a condition is true of a patient, as far as its alarm knows."""
        return bool(HOLDS[self.bank.take([patient]).phase[0, COLUMN[condition]]])

    def ids(self) -> list[str]:
        """Ids of all alarms that stand, but for those of patients who were parked."""
        return _ids(self.bank.keys, self.bank.take(self.bank.keys))

    def ids_in(self, patient: str, cells: Cells) -> list[str]:
        """Ids of the alarms that stand with a patient who was parked."""
        return _ids([patient], alarm_images.filled(cells))

    def image(self) -> WardImage:
        """Copy everything for a snapshot."""
        return alarm_images.image(self.bank, self._lore, self._past.image())

    def restore(self, image: WardImage) -> None:
        """Take up a snapshot of any version; what is no condition any more is forgotten.

        Raises
        ------
        ValueError
            Its arrays are not what it says they are.
        """
        self.bank.seat(image.bank.keys, alarm_images.bank_of(image))
        self._lore = {patient: dict(lore) for patient, lore in image.lore.items()}
        self._past.restore(image.past)
        self._due_ns = None

    def standing(self, patients: Sequence[str]) -> list[Standing]:
        """What stands of the alarms of some patients; of those who are gone or parked, nothing."""
        seated = {patient: row for row, patient in enumerate(p for p in patients if p in self.bank)}
        bank = self.bank.take(list(seated))
        return [standing(bank, seated[patient]) if patient in seated else CALM for patient in patients]

    def discharge(self, patient: str, arrival_ns: int, reason: str) -> list[AlarmEvent]:
        """End what stands and forget the patient."""
        bank, at_ns = self.bank.take([patient]), np.array([arrival_ns], np.int64)
        self.bank.unseat(patient)
        lore = self._lore.pop(patient, {})
        after, happened = happen(bank, np.full(bank.phase.shape, Event.LEAVES, np.int8), at_ns, at_ns)
        for column in range(N_CONDITIONS):
            self._past.keep(patient, after, 0, column, lore)
        return [
            replace(self._told(patient, 0, column, after, happened, (arrival_ns, arrival_ns)), reason=reason)
            for _, column in _cells(happened)
        ]

    def observe(self, moment: Moment, evidence: Evidence) -> list[AlarmEvent]:
        """Advance the alarms of some patients by one moment."""
        before = self.bank.take(moment.patients)
        event_ns, arrival_ns = np.array(moment.event_ns, np.int64), np.array(moment.arrival_ns, np.int64)
        after, happened = alarms.step(before, evidence, event_ns, arrival_ns, self._delay_ns)
        self._put(moment.patients, before, after)
        for row, column in _renamed(before, after):
            patient = moment.patients[row]
            self._past.keep(patient, before, row, column, self._lore.get(patient, {}))
        return [self._seen(moment, evidence, row, column, after, happened) for row, column in _cells(happened)]

    def tick(self, arrival_ns: int) -> list[AlarmEvent]:
        """Advance the alarms of everybody who is not parked by the journal's clock."""
        if self._due_ns is None:
            self._due_ns = alarms.due_ns(self.bank.take(self.bank.keys))
        if arrival_ns < self._due_ns:
            return []
        patients = self.bank.keys
        before = self.bank.take(patients)
        after, happened = alarms.tick(before, np.full(len(patients), arrival_ns, np.int64))
        self._put(patients, before, after)
        return self._timed(patients, arrival_ns, before, after, happened)

    def told_within(self, patient: str, condition: Condition) -> None:
        """Leave an alarm where it is on the ladder: an alarm of the whole ward speaks for it."""
        bank = self.bank.take([patient])
        bank.within[0, COLUMN[condition]] = 1
        self.bank.put([patient], bank)
        self._due_ns = None

    def obey(self, order: Commanded) -> list[AlarmEvent | Answer]:
        """Do a command, or say why not."""
        patient, place = order.patient, self._place(order.patient)
        if gone := self._past.find(patient, getattr(order.command, "alarm", "")):
            done = obey(order, alarm_images.filled(gone.cells), gone.lore, place)
            if done.event is not None:
                self._past.put(done.event.id, replace(gone, cells=alarm_images.cells_of(done.bank)))
        elif patient in self.bank:
            before, lore = self.bank.take([patient]), self._lore.get(patient, {})
            done = obey(order, before, lore, place)
            self._put([patient], before, done.bank)
            for row, column in _renamed(before, done.bank):
                self._past.keep(patient, before, row, column, lore)
                lore.pop(RULES[column].condition, None)
        else:
            detail = f"no patient {name_of(patient)} is here: `femtoward alarms list` shows who is"
            who = site_of(patient), order.command.id, order.actor
            return [Answer(*who, done=False, detail=detail, arrival_ns=order.arrival_ns)]
        return [done.answer] if done.event is None else [done.event, done.answer]

    def learned(self, row: AlarmEvent) -> AlarmEvent:
        """Keep the words of an alarm that somebody knows better than its rule, for when it is told again."""
        known = self._lore.get(f"{row.site}/{row.patient}", {})
        if row.change in FRESH and row.condition in known and known[row.condition].reason != row.reason:
            known[row.condition] = replace(known[row.condition], reason=row.reason)
        return row

    def _put(self, patients: Sequence[str], before: AlarmBank, after: AlarmBank) -> None:
        self.bank.put(patients, after)
        if after.phase is not before.phase:  # `happen` copies where anything does
            self._due_ns = None

    def _told(
        self, patient: str, row: int, column: int, after: AlarmBank, happened: Happened, at_ns: tuple[int, int]
    ) -> AlarmEvent:
        return told(patient, column, row, after, int(happened.change[row, column]), self._place(patient), at_ns)

    def _seen(
        self, moment: Moment, evidence: Evidence, row: int, column: int, after: AlarmBank, happened: Happened
    ) -> AlarmEvent:
        """Tell what evidence has made happen."""
        patient, rule = moment.patients[row], RULES[column]
        value, quality = float(evidence.value[row, column]), moment.quality[row]
        # Where nobody states a confidence: a technical condition is read off the signal itself, and what a signal shows
        # of a body is worth what the signal is worth.
        sure = 1.0 if rule.category == "technical" else quality
        lore = Lore(
            reason=rule.reasons[int(evidence.why[row, column])].format(value=value),
            value=value,
            u=float(evidence.u[row, column]),
            limit=_else(float(evidence.limit[row, column]), rule.limit),
            quality=quality,
            confidence=_else(float(evidence.confidence[row, column]), sure),
        )
        event = self._told(patient, row, column, after, happened, (moment.event_ns[row], moment.arrival_ns[row]))
        if event.change in FRESH:
            self._lore.setdefault(patient, {})[rule.condition] = lore
            if event.change != "missed" and rule.condition not in WITHOUT_STRIP:
                strip, scale = self._strip(patient, moment.event_ns[row])
                event = replace(event, strip=strip, strip_scale=scale)
        return by_evidence(event, lore, Event(int(happened.event[row, column])), int(after.found_ns[row, column]))

    def _timed(
        self, patients: Sequence[str], arrival_ns: int, before: AlarmBank, after: AlarmBank, happened: Happened
    ) -> list[AlarmEvent]:
        """Tell what the clock has made happen."""
        rows = []
        for row, column in _cells(happened):
            lore = self._lore.get(patients[row], {}).get(RULES[column].condition, NO_LORE)
            event = self._told(patients[row], row, column, after, happened, (arrival_ns, arrival_ns))
            what, since_ns = Event(int(happened.event[row, column])), int(before.since_ns[row, column])
            rows.append(by_clock(event, lore, what, since_ns))
        return rows


def _renamed(before: AlarmBank, after: AlarmBank) -> list[tuple[int, int]]:
    """Cells in which another alarm has taken the place of one that is over."""
    if after.first_ns is before.first_ns:  # nothing happened
        return []
    rows, columns = (
        index.tolist() for index in np.nonzero((after.first_ns != before.first_ns) & (before.first_ns > 0))
    )
    return list(zip(rows, columns, strict=True))


def _cells(happened: Happened) -> list[tuple[int, int]]:
    """Cells of which something is told."""
    rows, columns = (index.tolist() for index in np.nonzero(happened.change))
    return list(zip(rows, columns, strict=True))


def _ids(patients: Sequence[str], bank: AlarmBank) -> list[str]:
    rows, columns = (index.tolist() for index in np.nonzero(STANDS[bank.phase]))
    return [
        alarm_id(patients[row], RULES[column].condition, int(bank.first_ns[row, column]))
        for row, column in zip(rows, columns, strict=True)
    ]


def _else(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value
