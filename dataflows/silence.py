"""The alarms of whole wards that fell silent, and the single ones that are told within them and page nobody."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from dataflows.alarm_bank import alarm_id
from dataflows.events import SECOND_NS, AlarmEvent, Answer, Condition
from dataflows.hearsay import Hearsay
from dataflows.items import WARD_KEY, Commanded, Hushed, Where, site_of
from dataflows.ward import Ward
from ingest.command import Shelve, Unshelve

SINGLE: Final[Condition] = "lost-contact"
WHOLE: Final[Condition] = "ward-silent"
_BEGINS: Final = frozenset({"raised", "retriggered"})
TOGETHER_NS: Final = (
    30 * SECOND_NS
)  # whose contact was lost so long after the newest of a ward is lost for another cause


class Silence:
    """Tells of wards that are silent.

    A single alarm that begins while its ward's stands carries the id of that one in `within`: it is recorded, and no
    courier pages for it. If it outlives the ward's, it is told again, alone.

    Parameters
    ----------
    ward
        The alarms.
    hearsay
        Observes conditions that no sensor knows.
    place : callable
        ``place(patient)`` returns ward and bed.

    Attributes
    ----------
    wards
        By subject, where it is silent, and the id of its alarm.
    joined_ns
        By subject, when the newest of those that are silent there were found.
    held
        By patient whose alarm is told within a ward's, that one's subject.
    """

    def __init__(self, ward: Ward, hearsay: Hearsay, place: Callable[[str], tuple[str, str]]) -> None:
        self._ward, self._hearsay, self._place = ward, hearsay, place
        self.wards: dict[str, tuple[Where, str]] = {}
        self.joined_ns: dict[str, int] = {}
        self.held: dict[str, str] = {}

    def take(self, item: Hushed) -> list[AlarmEvent]:
        """Take note that a ward fell silent, or is so no more."""
        if item.silent:
            self.wards[item.subject] = (item.where, alarm_id(item.subject, WHOLE, item.begun_ns))
            self.joined_ns[item.subject] = item.joined_ns
        else:
            self.wards.pop(item.subject, None)
            self.joined_ns.pop(item.subject, None)
        if not item.mine:
            return []
        self._ward.admit(item.subject)
        at, value = item.arrival_ns, float(item.silent)
        rows = self._hearsay.told(WHOLE, [item.subject], [at], [item.begun_ns], [value], truth=item.silent > 0)
        where = item.where.ward and f" of {item.where.ward}"
        words = f"{item.silent} of {item.of} devices{where} fell silent at once: is a gateway or an access point down?"
        return [replace(row, reason=words) if item.silent else row for row in rows]

    def alone(self, subject: str) -> list[str]:
        """Give up the patients whose alarms were told within a ward's that is over."""
        patients = [patient for patient, whose in self.held.items() if whose == subject]
        for patient in patients:
            del self.held[patient]
        return patients

    def told(self, row: AlarmEvent) -> AlarmEvent:
        """Name whom an alarm of a ward concerns, and mark one that is told within it."""
        return self._named(row) if row.site == site_of(WARD_KEY) else self._within(row)

    def meant(self, item: Commanded) -> Commanded | Answer:
        """Find out whose alarm is meant, as all wards answer to one name, or say that this cannot be known."""
        command = item.command
        if item.patient != WARD_KEY:
            return item
        if isinstance(command, Shelve | Unshelve):
            if command.condition != WHOLE:
                return item
            if len(self.wards) == 1:
                return item._replace(patient=next(iter(self.wards)))
            why = f"{len(self.wards)} wards are silent: acknowledge the alarm of each by its id" if self.wards else ""
            detail = f"{WHOLE} is shelved for the one ward that is silent; {why or 'none is'}"
            who = site_of(item.patient), command.id, item.actor
            return Answer(*who, done=False, detail=detail, arrival_ns=item.arrival_ns)
        alarm = getattr(command, "alarm", "")
        subject = next((subject for subject, (_, id_) in self.wards.items() if id_ == alarm), item.patient)
        return item._replace(patient=subject)

    def image(self) -> tuple[dict[str, tuple[Where, str]], dict[str, str]]:
        """Copy everything for a snapshot."""
        return dict(self.wards), dict(self.held)

    def restore(
        self, image: tuple[Mapping[str, tuple[Where, str]], Mapping[str, str]], joined_ns: Mapping[str, int]
    ) -> None:
        """Take up a snapshot; the fold soon tells what one of before does not know."""
        self.wards, self.held, self.joined_ns = dict(image[0]), dict(image[1]), dict(joined_ns)

    def _named(self, row: AlarmEvent) -> AlarmEvent:
        """A subject is ``ward/site/ward``."""
        whole, _, where = row.patient.partition("/")
        return replace(row, patient=whole, ward=where.partition("/")[2]) if where else row

    def _within(self, row: AlarmEvent) -> AlarmEvent:
        if row.condition != SINGLE or not (self.wards or self.held):
            return row
        patient = f"{row.site}/{row.patient}"
        if row.state == "active" and row.change in _BEGINS:
            where = Where(row.site, self._place(patient)[0])
            self.held.pop(patient, None)
            subject = next((subject for subject, (silent, _) in self.wards.items() if silent == where), None)
            if subject is not None and row.onset_ns - self.joined_ns.get(subject, row.onset_ns) <= TOGETHER_NS:
                self.held[patient] = subject
                self._ward.told_within(patient, SINGLE)
        subject = self.held.get(patient)
        if subject is None or subject not in self.wards:
            return row
        if row.state == "ended":
            del self.held[patient]
        return replace(row, within=self.wards[subject][1])


def is_of_a_ward(key: str) -> bool:
    """Whether a key of a bank of alarms is of a ward, or of all, and of no patient.

    Examples
    --------
    >>> is_of_a_ward("*/ward/demo/icu"), is_of_a_ward("demo/ward")
    (True, False)
    """
    return site_of(key) == site_of(WARD_KEY)
