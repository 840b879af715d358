"""What must never hide an alarm: a lost lead, a gap, a poor signal, another device's trouble."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from shards import of, rows_of, told
from test_ventricular_alarms import YES, said
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.estimates import Cardiac, nothing_measured
from dataflows.events import AlarmEvent
from dataflows.hearsay import Hearsay
from dataflows.items import Flooded
from dataflows.speakers import sensors_of, standing, together
from dataflows.ward import Ward
from deploy.evaluate.played import played as simulated

LOCKED, SATURATED = 1, 4


def heart(**columns: object) -> Cardiac:
    """Estimates of one device whose signal is good, but as named."""
    good = {"present": np.array([True]), "quality": np.ones(1)}
    named = {name: np.array([value]) for name, value in columns.items()}
    return nothing_measured(1).cardiac._replace(**(good | named))


def test_a_gap_in_the_midst_of_an_asystole_neither_ends_it_nor_raises_another() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(34.0, 70.0, [(10.0, 28.0)]))
    played(tape, [sent[:68] + sent[72:]])  # a second is missing: the kernels start anew
    events = [event for event in of(AlarmEvent, rows_of(tape)) if event.condition == "asystole"]
    assert [event.change for event in events][:1] == ["raised"]
    assert len({event.id for event in events}) == 1
    over = [event for event in events if event.change != "raised"]
    assert all(event.event_ns >= T0_NS + 28 * SECOND_NS for event in over)


def test_the_failure_of_one_device_hides_nothing_that_another_one_knows() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, "p1"))
    stops = beating(18.0, 70.0, [(9.0, 18.0)])
    played(tape, [packets("w1", stops, flags=LOCKED | SATURATED), packets("w2", stops)])
    events = told(rows_of(tape))
    assert ("asystole", "active") in events
    assert ("saturated", "active") in events
    assert "cannot-analyse" not in {condition for condition, _ in events}


def test_a_poor_signal_hides_no_asystole() -> None:
    poor = said(asystole=YES, quality=np.zeros(1))
    assert (poor["asystole"], poor["poor-signal"], poor["cannot-analyse"]) == (1, 0, 0)


def test_of_several_devices_the_one_that_can_speaks_for_the_body() -> None:
    assert standing(heart())[0] > standing(heart(quality=0.1))[0] > standing(heart(present=False))[0]
    for trouble in ("saturated", "unlocked", "zeroing"):
        assert standing(heart())[0] > standing(heart(**{trouble: True}))[0]
    assert standing(heart())[0] > standing(heart(frozen_ns=T0_NS))[0]


def test_of_every_device_what_is_wrong_with_it_is_told() -> None:
    stuck, loose = heart(frozen_ns=T0_NS), heart(unlocked=True, fault_ns=T0_NS + 1)
    poor, fine = heart(quality=0.1), heart(sensor_fault=0)
    for pair in ((stuck, loose), (loose, stuck)):
        both = together(*map(sensors_of, pair))
        assert (both.fault[0], both.fault_why[0], both.fault_ns[0], both.frozen_ns[0]) == (True, 1, T0_NS + 1, T0_NS)
        assert not both.poor[0], "what has a name is not told twice"
    for pair in ((poor, fine), (fine, poor)):
        both = together(*map(sensors_of, pair))
        assert (both.poor[0], both.quality[0], both.named[0]) == (True, 0.1, 0)


def test_nobody_is_blind_for_less_than_ten_seconds() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", np.random.default_rng(3).normal(0.0, 0.3, 500 * 16), flags=LOCKED | SATURATED)])
    (blind,) = [event for event in of(AlarmEvent, rows_of(tape)) if event.condition == "cannot-analyse"]
    assert blind.priority == "medium"
    assert 10 * SECOND_NS <= blind.event_ns - blind.onset_ns <= 11 * SECOND_NS


@dataclass
class Floods:
    """Floods of devices of one patient, told one after the other."""

    hearsay: Hearsay
    now_ns: int = T0_NS

    def tell(self, device: str, packets: int) -> list[tuple[str, str]]:
        self.now_ns += SECOND_NS
        rows = self.hearsay.flooded(Flooded("s/p1", f"s/{device}", packets, self.now_ns), here=True)
        return [(row.state, row.reason.split(" sends")[0]) for row in rows]


def test_the_flood_of_one_device_hides_no_other_ones() -> None:
    ward = Ward(lambda _patient, _event_ns: (b"", 1.0), lambda _patient: ("", ""))
    ward.admit("s/p1")
    floods = Floods(Hearsay(ward))
    assert floods.tell("w1", 100) == [("active", "w1")]
    assert floods.tell("w2", 50) == [("ended", "raised anew, as another device floods, too"), ("active", "w1, w2")]
    assert floods.tell("w2", 0) == []
    assert [state for state, _ in floods.tell("w1", 0)] == ["ended"]


def test_what_has_no_signal_carries_no_strip() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(4.0, 70.0))])
    tape.ticks(12.0)
    (lost,) = of(AlarmEvent, rows_of(tape))
    assert (lost.condition, lost.strip) == ("lost-contact", b"")


def test_a_gap_ends_no_ventricular_rhythm_either(tmp_path: Path) -> None:
    gap = 'faults = [{ fault = "silence", from_s = 16.3, for_s = 1.2 }]'
    rhythms = ('"ventricular-fibrillation", from_s = 8.0', '"ventricular-tachycardia", from_s = 8.0, rate_bpm = 170.0')
    patients = "\n".join(f"[[patients]]\nrhythms = [{{ rhythm = {rhythm} }}]\n{gap}" for rhythm in rhythms)
    (tmp_path / "gap.toml").write_text(f'about = "a gap"\nseconds = 24.0\n{patients}\n')
    alarms = simulated(str(tmp_path / "gap.toml"), 2, 24.0).alarms
    for patient, condition in (("patient-0001", "fibrillation"), ("patient-0002", "tachycardia")):
        said = [e.state for e in alarms if (e.patient, e.condition) == (patient, f"ventricular-{condition}")]
        assert said == ["active"], patient
