"""The alarms of one patient, told what is true second by second, and what people say; nothing but the ward's alarms."""

from dataclasses import dataclass, field

from dataflows.alarm_images import WardImage
from dataflows.alarms import UNKNOWN, nothing_known
from dataflows.events import SECOND_NS, AlarmEvent, Answer
from dataflows.items import Commanded
from dataflows.rules import COLUMN
from dataflows.ward import Moment, Ward
from ingest.command import Acknowledge, AlarmCommand, Comment, Hasten, Mark, Shelve, Unshelve

P1 = "s/p1"
T0 = 1_700_000_000 * SECOND_NS


def new_ward() -> Ward:
    return Ward(lambda _patient, _event_ns: (b"", 1.0), lambda _patient: ("icu", "bed-1"))


@dataclass
class Bedside:
    """One patient whose time goes on by seconds."""

    ward: Ward = field(default_factory=new_ward)
    now: int = T0
    events: list[AlarmEvent] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    commands: int = 0

    def __post_init__(self) -> None:
        """Admit the patient."""
        self.ward.admit(P1)

    def see(self, truth: dict[str, int], *, late_s: float = 0.0, value: float = 5.0) -> list[AlarmEvent]:
        """Tell what is true now."""
        known = nothing_known(1)
        for condition, true in truth.items():
            column = COLUMN[condition]
            known.truth[0, column], known.onset_ns[0, column] = true, self.now if true != UNKNOWN else 0
            known.value[0, column] = value
        arrival = self.now + round(late_s * SECOND_NS)
        return self._note(self.ward.observe(Moment([P1], [self.now], [arrival], [0.9]), known))

    def hold(self, truth: dict[str, int], seconds: int) -> list[AlarmEvent]:
        """The same for so many seconds, with the clock going on."""
        events: list[AlarmEvent] = []
        for _ in range(seconds):
            events += [*self.see(truth), *self.wait(1.0)]
        return events

    def wait(self, seconds: float) -> list[AlarmEvent]:
        """Let time go on, then comes a tick."""
        self.now += round(seconds * SECOND_NS)
        return self._note(self.ward.tick(self.now))

    def ticks(self, seconds: int) -> list[AlarmEvent]:
        """A tick a second."""
        return [event for _ in range(seconds) for event in self.wait(1.0)]

    def say(self, command: AlarmCommand) -> Answer:
        """Give a command."""
        for row in self.ward.obey(Commanded(P1, "ana", command, self.now)):
            if isinstance(row, Answer):
                self.answers.append(row)
            else:
                self.events.append(row)
        return self.answers[-1]

    def acknowledge(self, alarm: str) -> Answer:
        return self.say(Acknowledge(id=self._id(), patient="p1", alarm=alarm, note="seen"))

    def shelve(self, condition: str, seconds: int) -> Answer:
        return self.say(Shelve(id=self._id(), patient="p1", condition=condition, seconds=seconds))

    def unshelve(self, condition: str) -> Answer:
        return self.say(Unshelve(id=self._id(), patient="p1", condition=condition))

    def comment(self, alarm: str, note: str) -> Answer:
        return self.say(Comment(id=self._id(), patient="p1", alarm=alarm, note=note))

    def mark(self, alarm: str, was: str) -> Answer:
        return self.say(Mark(id=self._id(), patient="p1", alarm=alarm, was=was))  # type: ignore[arg-type]  # a name

    def hasten(self, alarm: str) -> Answer:
        return self.say(Hasten(id=self._id(), patient="p1", alarm=alarm, note="the pager cannot be reached"))

    def restart(self) -> WardImage:
        """Kill the ward, and start it from its snapshot."""
        image = self.ward.image()
        self.ward = new_ward()
        self.ward.restore(image)
        return image

    @property
    def last(self) -> AlarmEvent:
        return self.events[-1]

    def _note(self, events: list[AlarmEvent]) -> list[AlarmEvent]:
        self.events += events
        return events

    def _id(self) -> str:
        self.commands += 1
        return f"c{self.commands}"
