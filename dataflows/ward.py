"""Alarms of a shard's patients: evidence in, events out, acknowledgements between."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from dataflows import alarms, tree
from dataflows.alarms import STALE_NS, AlarmBank, Evidence, Phase, Transition, alarm_id
from dataflows.bank import Bank, BankImage
from dataflows.events import AlarmEvent, AlarmState, Answer, Condition
from dataflows.items import Acknowledged, name_of, site_of
from dataflows.rules import COLUMN, RULES
from dataflows.standing import CALM, Standing, standing
from dataflows.units import UNITS

VERSION = "1"
_STATES: dict[int, AlarmState] = {Transition.RAISED: "active", Transition.ENDED: "ended", Transition.MISSED: "missed"}
# There is no signal in these, or it has nothing to do with them: a strip of nothing would be 2.5 kB in every row.
WITHOUT_STRIP: frozenset[Condition] = frozenset(
    {"lost-contact", "late-data", "flooding", "broker-lost", "system-fault"}
)
_STANDING = (Phase.ACTIVE, Phase.ACKNOWLEDGED)

Strip = Callable[[str, int], tuple[bytes, float]]
Place = Callable[[str], tuple[str, str]]
Cells = dict[str, tuple[int, ...]]  # a patient's row of the bank, by condition: only what is not 0


class WardImage(msgspec.Struct, frozen=True, array_like=True):
    """Alarms as they go into a snapshot; what its arrays mean stands by name, so that another version may read it."""

    fields: tuple[str, ...]  # of AlarmBank
    conditions: tuple[str, ...]  # columns of each
    bank: BankImage


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
    """

    def __init__(self, strip: Strip, place: Place) -> None:
        self.bank: Bank[AlarmBank] = Bank(alarms.no_alarms(1))
        self._strip, self._place = strip, place
        self.since_ns = 0  # of what stood before nothing is known: an alarm that begins anew has an onset after it

    def admit(self, patient: str) -> None:
        """Begin with nothing wrong; a known patient keeps what stands."""
        if patient not in self.bank:
            bank = alarms.no_alarms(1)
            bank.ended_ns[:] = self.since_ns
            self.bank.seat([patient], bank)

    def park(self, patient: str) -> Cells:
        """Forget a patient for whom nothing changes; what is returned is what stands, and all else that is known."""
        bank = self.bank.take([patient])
        self.bank.unseat(patient)
        columns = np.flatnonzero(np.any([field[0] != 0 for field in bank], axis=0)).tolist()
        return {RULES[column].condition: tuple(int(field[0, column]) for field in bank) for column in columns}

    def wake(self, patient: str, cells: Cells) -> None:
        """Take up a patient as `park` left him; what is no condition any more is forgotten."""
        self.bank.seat([patient], _filled(cells))

    def stands(self, patient: str, condition: Condition) -> bool:
        """Whether an alarm of a condition stands with a patient."""
        return COLUMN[condition] in _standing(self.bank.take([patient]))

    def ids(self) -> list[str]:
        """Ids of all alarms that stand, but for those of patients who were parked."""
        keys = self.bank.keys
        bank = self.bank.take(keys)
        rows, columns = (index.tolist() for index in np.nonzero(np.isin(bank.phase, _STANDING)))
        return [_id(keys[row], bank, row, column) for row, column in zip(rows, columns, strict=True)]

    def ids_in(self, patient: str, cells: Cells) -> list[str]:
        """Ids of the alarms that stand with a patient who was parked."""
        bank = _filled(cells)
        return [_id(patient, bank, 0, column) for column in _standing(bank)]

    def image(self) -> WardImage:
        """Copy everything for a snapshot."""
        return WardImage(AlarmBank._fields, tuple(COLUMN), self.bank.image())

    def restore(self, image: WardImage) -> None:
        """Take up a snapshot of any version; what is no condition any more is forgotten.

        Raises
        ------
        ValueError
            Its arrays are not what it says they are.
        """
        nothing = tuple(np.zeros((0, len(image.conditions)), np.int64) for _ in image.fields)
        found = tree.decode(nothing, image.bank.data)
        if isinstance(found, tree.Mismatch):
            raise ValueError(found.detail)  # noqa: TRY004 - the type is right, what it holds is not
        known = dict(zip(image.fields, found, strict=True))
        there = {condition: i for i, condition in enumerate(image.conditions)}
        columns = [(COLUMN[condition], i) for condition, i in there.items() if condition in COLUMN]
        bank = alarms.no_alarms(len(image.bank.keys))
        for name, field in zip(bank._fields, bank, strict=True):
            for column, i in columns:
                field[:, column] = known[name][:, i] if name in known else 0
        self.bank.seat(image.bank.keys, bank)

    def standing(self, patients: Sequence[str]) -> list[Standing]:
        """What stands of the alarms of some patients; of those who are gone or parked, nothing."""
        seated = {patient: row for row, patient in enumerate(p for p in patients if p in self.bank)}
        bank = self.bank.take(list(seated))
        return [standing(bank, seated[patient]) if patient in seated else CALM for patient in patients]

    def discharge(self, patient: str, arrival_ns: int, reason: str) -> list[AlarmEvent]:
        """End what stands and forget the patient."""
        bank = self.bank.take([patient])
        self.bank.unseat(patient)
        return [
            replace(
                self._event(patient, column, bank, 0, "ended"),
                event_ns=arrival_ns,
                arrival_ns=arrival_ns,
                reason=reason,
            )
            for column in _standing(bank)
        ]

    def observe(self, moment: Moment, evidence: Evidence) -> list[AlarmEvent]:
        """Advance the alarms of some patients by one moment."""
        before = self.bank.take(moment.patients)
        event_ns = np.array(moment.event_ns, np.int64)
        stale = np.array(moment.arrival_ns, np.int64) - event_ns > STALE_NS
        after, transitions = alarms.step(before, evidence, event_ns, stale)
        self.bank.put(moment.patients, after)
        rows, columns = (index.tolist() for index in np.nonzero(transitions))
        return [
            self._told(moment, evidence, row, column, before, after, int(transitions[row, column]))
            for row, column in zip(rows, columns, strict=True)
        ]

    def _told(
        self,
        moment: Moment,
        evidence: Evidence,
        row: int,
        column: int,
        before: AlarmBank,
        after: AlarmBank,
        transition: int,
    ) -> AlarmEvent:
        patient, rule = moment.patients[row], RULES[column]
        # An alarm that ended has given up its onset and its step: the bank before still has them.
        bank = before if transition == Transition.ENDED else after._replace(next_step=before.next_step)
        value = float(evidence.value[row, column])
        reason = rule.reasons[int(evidence.why[row, column])].format(value=value)
        strip, scale = b"", float("nan")
        if transition == Transition.RAISED and rule.condition not in WITHOUT_STRIP:
            strip, scale = self._strip(patient, moment.event_ns[row])
        return replace(
            self._event(patient, column, bank, row, _STATES[transition]),
            event_ns=moment.event_ns[row],
            arrival_ns=moment.arrival_ns[row],
            value=value,
            u=float(evidence.u[row, column]),
            limit=_else(float(evidence.limit[row, column]), rule.limit),
            quality=moment.quality[row],
            # Where nobody states one: a technical condition is read off the signal itself, and what a signal shows of
            # a body is worth what the signal is worth.
            confidence=_else(
                float(evidence.confidence[row, column]), 1.0 if rule.category == "technical" else moment.quality[row]
            ),
            reason="over" if transition == Transition.ENDED else reason,
            strip=strip,
            strip_scale=scale,
        )

    def acknowledge(self, command: Acknowledged) -> list[AlarmEvent | Answer]:
        """Mark an alarm as taken care of, or say why not."""
        answer = Answer(
            site_of(command.patient),
            command.command,
            command.actor,
            done=False,
            detail="",
            arrival_ns=command.arrival_ns,
        )
        name = name_of(command.patient)
        if command.patient not in self.bank:
            return [replace(answer, detail=f"no patient {name} is here: `femtoward alarms list` shows who is")]
        bank = self.bank.take([command.patient])
        column = _column(bank, command)
        if column is None:
            return [replace(answer, detail=f"alarm {command.alarm} of {name} does not stand: it ended or never was")]
        if bank.phase[0, column] == Phase.ACKNOWLEDGED:
            return [replace(answer, done=True, detail=f"alarm {command.alarm} had been acknowledged before")]
        event = replace(
            self._event(command.patient, column, bank, 0, "acknowledged"),
            event_ns=command.arrival_ns,
            arrival_ns=command.arrival_ns,
            reason=f"acknowledged by {command.actor}",
            actor=command.actor,
            note=command.note,
        )
        bank.phase[0, column] = Phase.ACKNOWLEDGED
        bank.next_step[0, column] += 1
        self.bank.put([command.patient], bank)
        return [event, replace(answer, done=True, detail=f"acknowledged {event.condition} of {name}")]

    def _event(self, patient: str, column: int, bank: AlarmBank, row: int, state: AlarmState) -> AlarmEvent:
        """Return an event of the alarm in a cell of a bank, its evidence still to be filled in."""
        rule, onset_ns = RULES[column], int(bank.onset_ns[row, column])
        ward, bed = self._place(patient)
        return AlarmEvent(
            site=site_of(patient),
            id=_id(patient, bank, row, column),
            step=int(bank.next_step[row, column]),
            patient=name_of(patient),
            condition=rule.condition,
            category=rule.category,
            priority=rule.priority,
            state=state,
            onset_ns=onset_ns,
            event_ns=0,
            arrival_ns=0,
            value=float("nan"),
            limit=rule.limit,
            unit=UNITS[rule.condition],
            quality=float("nan"),
            confidence=1.0,
            algorithm=rule.condition,
            version=VERSION,
            reason="",
            ward=ward,
            bed=bed,
        )


def _column(bank: AlarmBank, command: Acknowledged) -> int | None:
    return next((column for column in _standing(bank) if _id(command.patient, bank, 0, column) == command.alarm), None)


def _standing(bank: AlarmBank) -> list[int]:
    """Columns of the alarms that stand in the first row of a bank."""
    columns: list[int] = np.flatnonzero(np.isin(bank.phase[0], _STANDING)).tolist()
    return columns


def _id(patient: str, bank: AlarmBank, row: int, column: int) -> str:
    return alarm_id(patient, RULES[column].condition, int(bank.onset_ns[row, column]))


def _filled(cells: Cells) -> AlarmBank:
    bank = alarms.no_alarms(1)
    for condition, values in cells.items():
        if condition in COLUMN and len(values) == len(bank):
            for field, value in zip(bank, values, strict=True):
                field[0, COLUMN[condition]] = value
    return bank


def _else(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value
