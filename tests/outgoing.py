"""Rows for tests of the store and of the couriers."""

import struct

from hypothesis import strategies as st

from dataflows.events import (
    NAN,
    AlarmEvent,
    AlarmState,
    Answer,
    Bad,
    BedState,
    DeviceStatus,
    Ledger,
    Need,
    PatientInfo,
    Priority,
    Reading,
    Removal,
    Row,
    Vitals,
    Wave,
)

SECOND = 1_700_000_000
NS = 1_000_000_000


def vitals(patient: str = "p1", second: int = SECOND, hr: float = 61.5, reason: str = "") -> Vitals:
    """One second of one patient; what is not given is not measured."""
    no = Reading()
    return Vitals(
        "north", patient, second, Reading(hr, 0.4, 0.9), no, no, no, no, no, 1.0, 0.95, reason, "mcg", False, False
    )


def alarm(
    id_: str = "a1",
    step: int = 0,
    state: AlarmState = "active",
    priority: Priority = "high",
    patient: str = "p1",
    reason: str = "no heart beat for 4 s",
) -> AlarmEvent:
    """One transition of one alarm."""
    return AlarmEvent(
        "north",
        id_,
        step,
        patient,
        "asystole",
        "physiological",
        priority,
        state,
        onset_ns=SECOND * NS,
        event_ns=SECOND * NS + step * NS + 5,
        arrival_ns=SECOND * NS + step * NS + 9,
        value=0.0,
        limit=NAN,
        quality=0.9,
        confidence=0.8,
        algorithm="beats",
        version="1",
        reason=reason,
        strip=struct.pack("<4h", 1, -2, 3, -4),
        strip_scale=0.01,
    )


def bed(patient: str = "p1", need: Need = 0, at_ns: int = SECOND * NS) -> BedState:
    """How one bed stands."""
    return BedState("north", patient, at_ns, "icu", "bed 1", True, need, "", "", "", at_ns, 0, 0)


def device(revision: int = 1, state: str = "online", last_seen_ns: int = SECOND * NS) -> DeviceStatus:
    """What is known of one device."""
    return DeviceStatus("north", "w1", "p1", "ref", True, state, "", last_seen_ns, 1.5, 0.02, revision)


def ledger(revision: int = 1, hour: int = SECOND // 3600, stored: int = 10) -> Ledger:
    """Packets of one hour."""
    return Ledger("north", "w1", hour, stored + 3, stored, 1, 2, 0, 0, 1, revision)


def wave(second: int = SECOND, samples: tuple[int, ...] = tuple(range(125))) -> Wave:
    """One second of one lead."""
    return Wave("north", "p1", second, "mcg", 0.5, "pT", struct.pack(f"<{len(samples)}h", *samples))


def one_of_each() -> list[Row]:
    """One row of every kind."""
    return [
        vitals(),
        wave(),
        alarm(),
        PatientInfo("north", "p1", "bed 1", ("w1",), True, 1),
        bed(),
        device(),
        ledger(),
        Bad("north", 7, 0, SECOND * NS, "femtoward/v1/north/w1/data", "undecodable", "cut short", 12),
        Answer("north", "c1", "nurse-7", True, "acknowledged", SECOND * NS),
        Removal("-", 9, SECOND * NS, "vitals", SECOND - 60, SECOND, 9000, "the disk runs short"),
    ]


# Everything that may stand in a text, for one thing what line protocol escapes.
texts = st.text(st.one_of(st.sampled_from(" ,=\"\\\n\r\t'#🫀ü"), st.characters(codec="utf-8")), max_size=30)
names = st.text(st.sampled_from("abcXYZ019_-"), min_size=1, max_size=8)
floats = st.floats(width=64)
times_ns = st.integers(1, 2**62)
readings = st.builds(Reading, floats, floats, floats)
any_vitals = st.builds(
    Vitals,
    names,
    names,
    st.integers(1, 4_000_000_000),
    *([readings] * 6),
    floats,
    floats,
    texts,
    texts,
    st.booleans(),
    st.booleans(),
)
any_alarm = st.builds(
    AlarmEvent,
    names,
    names,
    st.integers(0, 20),
    names,
    st.just("asystole"),
    st.just("physiological"),
    st.sampled_from(["high", "medium", "low"]),
    st.sampled_from(["active", "acknowledged", "ended", "missed"]),
    times_ns,
    times_ns,
    times_ns,
    *([floats] * 4),
    *([texts] * 5),
    st.binary(max_size=40),
    floats,
)
any_row: st.SearchStrategy[Row] = st.one_of(any_vitals, any_alarm)
