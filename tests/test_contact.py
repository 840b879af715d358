"""Who is heard and who is not: lost devices, silent lanes, restarts, the broker, the system itself."""

import msgspec
from shards import S0, of, rows_of, told
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent, Vitals
from dataflows.items import Park
from dataflows.shard import Shard
from ingest.command import Acknowledge, Admit
from ingest.journal import RecordKind
from ingest.packet import Block, Packet
from ingest.profile import StreamProfile


def test_a_device_that_falls_silent_is_lost_after_ten_seconds_and_found_again() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    sent = packets("w1", beating(40.0, 70.0))
    played(tape, [sent[:60]])
    tape.ticks(14.0)
    played(tape, [sent[120:]])
    rows = rows_of(tape)
    assert told(rows, "lost-contact") == [("lost-contact", "active"), ("lost-contact", "ended")]
    raised = of(AlarmEvent, rows)[0]
    assert abs((raised.onset_ns - T0_NS) / 1e9 - 25.0) < 0.2
    assert raised.value >= 10.0
    assert "asystole" not in {condition for condition, _ in told(rows)}


def test_a_host_that_slept_does_not_call_its_devices_lost() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(5.0, 70.0))])
    tape.now_ns += 3600 * SECOND_NS
    tape.tick(blind_ns=3600 * SECOND_NS)
    tape.ticks(5.0)
    assert told(rows_of(tape)) == []


def test_a_lost_broker_is_one_alarm_of_the_ward_and_not_one_per_device() -> None:
    tape = Tape()
    for i in range(5):
        tape.birth(birth_of(f"w{i}", f"p{i}"))
    played(tape, [packets(f"w{i}", beating(5.0, 70.0)) for i in range(5)])
    tape.link(up=False)
    tape.ticks(30.0)
    tape.link(up=True)
    tape.ticks(2.0)
    events = of(AlarmEvent, rows_of(tape, 3))
    assert [(e.patient, e.condition, e.state) for e in events] == [
        ("ward", "broker-lost", "active"),
        ("ward", "broker-lost", "ended"),
    ]


def test_a_part_of_the_system_in_trouble_is_an_alarm_of_the_ward_with_its_reason() -> None:
    tape = Tape()
    for ok in (False, True):
        report = {"reporter": "influx", "ok": ok, "detail": "connection refused"}
        tape.add(RecordKind.REPORT, "", msgspec.json.encode(report))
    events = of(AlarmEvent, rows_of(tape))
    assert [(e.condition, e.state) for e in events] == [("system-fault", "active"), ("system-fault", "ended")]
    assert events[0].reason == "influx: connection refused"


def ecg_and_thermometer(seconds: float) -> tuple[Tape, list[Packet], list[Packet]]:
    """A patient who wears an ECG and, as another device, a thermometer."""
    tape = Tape()
    skin = StreamProfile(
        name="skin", kind="temperature", sensor="nv-thermometer", rate_hz=1.0, n_channels=1, unit="Cel", dtype="i2",
        block_len=1, scale=0.01,
    )  # fmt: skip
    tape.birth(birth_of("w1", "p1"))
    tape.birth(birth_of("t1", "p1", streams=(skin,)))
    warm = [
        Packet(1, "t1", "b", 0, k, T0_NS + k * SECOND_NS, 2, (Block(0, k, 1, 0.0, (3400).to_bytes(2, "little")),))
        for k in range(round(seconds))
    ]
    return tape, packets("w1", beating(seconds, 70.0)), warm


def test_a_lane_that_has_fallen_silent_proves_no_asystole_while_another_device_speaks() -> None:
    tape, heart, skin = ecg_and_thermometer(60.0)
    played(tape, [heart[:80], skin])
    rows = rows_of(tape)
    assert told(rows) == [("lost-contact", "active"), ("cannot-analyse", "active")]
    assert of(Vitals, rows)[-1].second - S0 > 50


def test_the_device_whose_lane_is_alive_speaks_for_the_patient() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, "p1"))
    played(tape, [packets("w1", beating(40.0, 70.0))[:60], packets("w2", beating(40.0, 70.0))])
    rows = rows_of(tape)
    assert abs(of(Vitals, rows)[-1].hr.value - 70.0) < 0.5
    assert told(rows) == [("lost-contact", "active")]


def test_a_heart_that_never_comes_is_said_though_the_device_is_alive() -> None:
    tape, _, skin = ecg_and_thermometer(30.0)
    played(tape, [skin])
    assert ("cannot-analyse", "active") in told(rows_of(tape))


def test_a_device_that_was_born_and_never_spoke_is_lost() -> None:
    tape = Tape()
    tape.tick()
    tape.birth(birth_of("w1", "p1"))
    tape.ticks(12.0)
    assert told(rows_of(tape)) == [("lost-contact", "active")]


def test_another_profile_neither_breaks_a_silence_nor_hides_one() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(5.0, 70.0))])
    tape.ticks(12.0)
    tape.birth(birth_of("w1", "p1", number=1))
    tape.ticks(5.0)
    assert told(rows_of(tape)) == [("lost-contact", "active")]
    played(tape, [packets("w1", beating(5.0, 70.0), boot="b2", birth=1, t0_ns=tape.now_ns)])
    assert told(rows_of(tape)) == [("lost-contact", "active"), ("lost-contact", "ended")]


def test_taking_the_lost_device_off_ends_lost_contact() -> None:
    tape = Tape()
    for device in ("w1", "w2"):
        tape.birth(birth_of(device, "p1"))
    played(tape, [packets("w1", beating(25.0, 70.0)), packets("w2", beating(5.0, 70.0))])
    tape.command(Admit(id="c1", patient="p2", device="w2"))
    assert told(rows_of(tape))[:2] == [("lost-contact", "active"), ("lost-contact", "ended")]


def test_a_graceful_restart_of_ingest_is_nobodys_silence_and_no_lost_broker() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    played(tape, [packets("w1", beating(10.0, 70.0))])
    tape.link(up=False)
    tape.now_ns += 3600 * SECOND_NS
    tape.tick(blind_ns=3600 * SECOND_NS)
    tape.link(up=True)
    tape.ticks(8.0)
    assert told(rows_of(tape)) == []
    tape.ticks(4.0)
    assert told(rows_of(tape)) == [("lost-contact", "active")]


def test_alarms_of_the_ward_can_be_acknowledged() -> None:
    tape = Tape()
    tape.add(RecordKind.REPORT, "", msgspec.json.encode({"reporter": "influx", "ok": False, "detail": "down"}))
    alarm = of(AlarmEvent, rows_of(tape))[0]
    tape.command(Acknowledge(id="c1", patient="ward", alarm=alarm.id))
    assert [event.state for event in of(AlarmEvent, rows_of(tape))] == ["active", "acknowledged"]


def test_that_the_last_device_is_lost_is_said_though_the_alarm_for_another_was_acknowledged() -> None:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    tape.birth(birth_of("w2", "p1"))
    one, two = packets("w1", beating(40.0, 70.0)), packets("w2", beating(40.0, 70.0))
    played(tape, [one[:20], two[:100]])
    raised = of(AlarmEvent, rows_of(tape))[0]
    tape.command(Acknowledge(id="c1", patient="p1", alarm=raised.id, note="seen"))
    tape.ticks(14.0)
    assert [state for _, state in told(rows_of(tape), "lost-contact")] == ["active", "acknowledged", "ended", "active"]


def test_a_device_that_never_spoke_and_is_parked_is_lost_since_now_and_not_since_1970() -> None:
    raised = of(AlarmEvent, Shard().feed([Park("s/w", "s/p", 0, T0_NS)]))[0]
    assert (raised.condition, raised.onset_ns, raised.value) == ("lost-contact", T0_NS, 10.0)
