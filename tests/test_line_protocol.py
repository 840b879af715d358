"""Line protocol: what goes in comes out again by an independent reader, whatever the text; types never change."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_parser import Point, parse
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, any_alarm, any_row, any_vitals, device, ledger, one_of_each, texts, vitals, wave

from dataflows.couriers.line_protocol import escape_tag, lines, points
from dataflows.couriers.measurement import FieldType
from dataflows.couriers.schema import HISTORY, SCHEMA
from dataflows.events import NAN, AlarmEvent, AlarmState, Bad, Row, Vitals

ALLOWED_TAGS = {"site", "ward", "patient", "device", "stream", "condition", "priority", "kind", "state"}
TYPES: dict[FieldType, type] = {"float": float, "integer": int, "boolean": bool, "string": str, "bytes": str}


def one(line: list[str]) -> Point:
    [only] = line
    return parse(only)


def test_vitals_become_one_point_with_the_measured_only() -> None:
    point = one(lines(vitals(reason='noisy "lead", 50 Hz')))
    later = ("pnn50", "lf", "hf", "qt", "qtc", "transit", "alpha", "beta", "seizure", "news2_trend")
    unmeasured = (*later, "rr_interval", "rmssd", "sdnn", "pulse", "temp", "resp", "spo2", "pvc")
    assert point.measurement == "vitals"
    assert point.tags == {"site": "north", "patient": "p1"}
    assert point.time_ns == SECOND * NS
    assert point.fields == {
        "hr": 61.5,
        "hr_u": 0.4,
        "hr_quality": 0.9,
        **dict.fromkeys([f"{name}_quality" for name in unmeasured], 0.0),
        "coverage": 1.0,
        "quality": 0.95,
        "reason": 'noisy "lead", 50 Hz',
        "source": "mcg",
        "resp_reason": "",
        "resp_source": "",
        "spo2_reason": "",
        "hrv_reason": "",
        "qt_reason": "",
        "transit_reason": "",
        "brain_reason": "",
        "settling": False,
        "late": False,
    }


def test_an_alarm_event_carries_its_ids_as_fields_and_its_classes_as_tags() -> None:
    point = parse(lines(alarm(step=2, state="acknowledged"))[0])
    assert point.tags == {
        "site": "north",
        "patient": "p1",
        "condition": "asystole",
        "kind": "physiological",
        "priority": "high",
        "state": "acknowledged",
    }
    assert point.fields["event_ns"] == (SECOND + 2) * NS + 5
    assert 0 <= point.time_ns - (SECOND + 2) * NS < 1000
    assert point.fields["id"] == "a1"
    assert point.fields["step"] == 2
    assert point.fields["strip"] == "AQD+/wMA/P8="
    assert "limit" not in point.fields  # NaN


@pytest.mark.parametrize(
    ("state", "field"),
    [("active", "event_ns"), ("missed", "event_ns"), ("acknowledged", "arrival_ns"), ("ended", "arrival_ns")],
)
def test_an_alarm_begins_at_its_evidence_and_what_becomes_of_it_is_at_its_arrival(
    state: AlarmState, field: str
) -> None:
    row = replace(alarm(step=1, state=state), event_ns=(SECOND - 30) * NS, arrival_ns=(SECOND + 7) * NS)
    point, *strip = (parse(line) for line in lines(row))
    assert 0 <= point.time_ns - getattr(row, field) < 1000
    assert (point.fields["event_ns"], point.fields["arrival_ns"]) == (row.event_ns, row.arrival_ns)
    samples_ns = [one.time_ns + NS // 125 - row.event_ns for one in strip]
    assert 0 <= max(samples_ns) < 1000  # where the evidence is


@given(any_vitals)
def test_every_field_of_vitals_comes_back(row: Vitals) -> None:
    if not (point := [parse(line) for line in lines(row)]):
        return
    fields = point[0].fields
    for name in ("hr", "rr_interval", "rmssd", "sdnn", "pulse", "temp"):
        for suffix, value in zip(
            ("", "_u", "_quality"),
            (getattr(row, name).value, getattr(row, name).u, getattr(row, name).quality),
            strict=True,
        ):
            assert fields.get(name + suffix) == (value if math.isfinite(value) else None)
    assert fields["reason"] == row.reason
    assert fields["source"] == row.source
    assert (fields["settling"], fields["late"]) == (row.settling, row.late)


@given(any_alarm)
def test_every_text_of_an_alarm_comes_back(row: AlarmEvent) -> None:
    row = replace(row, event_ns=row.event_ns + NS, arrival_ns=row.arrival_ns + NS)  # there was no alarm in 1970
    fields = parse(lines(row)[0]).fields
    for name in ("algorithm", "version", "reason", "actor", "note"):
        assert fields[name] == getattr(row, name)
    assert (fields["onset_ns"], fields["arrival_ns"], fields["step"]) == (row.onset_ns, row.arrival_ns, row.step)


@given(texts)
def test_a_tag_comes_back_but_for_what_the_protocol_cannot_carry(text: str) -> None:
    point = one(lines(replace(vitals(), patient=text)))
    assert set(point.tags) == ({"site", "patient"} if text else {"site"})
    carried = "".join("_" if ord(char) < 32 or char == "\x7f" else char for char in text)
    bare = carried.rstrip("\\")
    assert point.tags.get("patient", "") == bare + "_" * (len(carried) - len(bare))


def test_a_tag_cannot_smuggle_another_field_or_line() -> None:
    point = one(lines(replace(vitals(), patient="p1 hr=0\nvitals,patient=p2 hr=1 1\\")))
    assert point.tags["patient"] == "p1 hr=0_vitals,patient=p2 hr=1 1_"
    assert escape_tag("a\\") == "a_"


def test_a_field_keeps_one_type_for_ever() -> None:
    types: dict[tuple[str, str], set[type]] = {}
    rows = [*one_of_each(), replace(vitals(), coverage=1, quality=0), alarm(step=1), device(2)]
    for point in (parse(line) for row in rows for line in lines(row)):
        for name, value in point.fields.items():
            types.setdefault((point.measurement, name), set()).add(type(value))
    for measurement in SCHEMA:
        for field in measurement.fields:
            seen = types.pop((measurement.name, field.name), set())  # empty: NaN in all of these rows
            assert seen <= {TYPES[field.type]}, (measurement.name, field.name)
    assert not types


def test_the_schema_is_of_known_tags_types_and_real_attributes() -> None:
    for measurement in SCHEMA:
        names = [tag.name for tag in measurement.tags] + [name for name, _ in measurement.constant_tags]
        assert set(names) <= ALLOWED_TAGS
        assert len(set(names) | {field.name for field in measurement.fields}) == len(names) + len(measurement.fields)
        assert {field.type for field in measurement.fields} <= set(get_args(FieldType))
        for path in [tag.path for tag in measurement.tags] + [field.path for field in measurement.fields]:
            assert path.split(".")[0] in measurement.row.__struct_fields__


def test_names_of_one_measurement_that_comes_from_two_kinds_agree_in_type() -> None:
    seen: dict[tuple[str, str], str] = {}
    for measurement in SCHEMA:
        for field in measurement.fields:
            assert seen.setdefault((measurement.name, field.name), field.type) == field.type


def test_a_wave_is_thinned_to_the_extremes_of_its_bins_so_that_every_peak_is_kept() -> None:
    samples = [0, 0, 9, 0, -7] + [3] * 5 + list(range(115))
    found = [parse(line) for line in lines(wave(samples=tuple(samples)))]
    assert [(point.time_ns - SECOND * NS, point.fields) for point in found[:3]] == [
        (0, {"lo": -3.5, "hi": 4.5}),
        (40_000_000, {"lo": 1.5, "hi": 1.5}),
        (80_000_000, {"lo": 0.0, "hi": 2.0}),
    ]
    assert len(found) == 25
    assert found[0].tags == {"site": "north", "patient": "p1", "stream": "mcg"}


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 124])
def test_a_wave_of_any_length_keeps_its_extremes_and_adds_none(count: int) -> None:
    samples = tuple((i * 37) % 101 - 50 for i in range(count))
    values = {value for line in lines(wave(samples=samples)) for value in parse(line).fields.values()}
    assert values <= {0.5 * sample for sample in samples}
    if samples:
        assert {min(samples) * 0.5, max(samples) * 0.5} <= values


@pytest.mark.parametrize("scale", [1e-9 / 3, 0.1 / 3, 12345.6789])
def test_the_text_of_a_wave_tells_all_counts_apart(scale: float) -> None:
    counts = range(-32_768, 32_768, 7)
    assert len({f"{count * scale:.6g}" for count in counts}) == len(counts)
    said = [parse(line) for line in lines(replace(wave(samples=(-32_768, 32_767)), scale=scale))]
    assert [said[0].fields["lo"], said[0].fields["hi"]] == pytest.approx([-32_768 * scale, 32_767 * scale], rel=1e-5)


def test_a_wave_beyond_all_numbers_gives_no_line() -> None:
    assert lines(replace(wave(), scale=1e308)) == []


@given(
    st.one_of(any_row, st.sampled_from(one_of_each()), st.builds(wave, samples=st.tuples(*[st.integers(-9, 9)] * 7)))
)
def test_the_points_of_a_row_are_what_its_lines_say(row: Row) -> None:
    said = [parse(line) for line in lines(row)]
    assert [(one.measurement, dict(one.tags), one.time_ns, one.fields) for one in points(row)] == [
        (one.measurement, one.tags, one.time_ns, one.fields) for one in said
    ]


def test_a_removal_and_a_ledger_become_points() -> None:
    [removal] = points(one_of_each()[-1])
    assert removal == (
        "removal",
        (("kind", "vitals"), ("site", "-")),
        SECOND * NS,
        {"first": SECOND - 60, "end": SECOND, "size": 9000, "offset": 9, "why": "the disk runs short"},
    )
    [first], [second] = points(ledger(1)), points(ledger(2, stored=11))
    assert first[:3] == second[:3] == ("ledger", (("device", "w1"), ("site", "north")), SECOND // 3600 * 3600 * NS)
    assert set(first.fields) == set(second.fields)  # one overwrites the other as a whole
    assert {"published", "stored", "quarantined", "lost", "away", "repeated", "late"} < set(first.fields)


def test_each_revision_of_a_device_has_a_point_of_its_own_even_if_it_is_silent() -> None:
    assert len({points(device(revision))[0].time_ns for revision in range(1, 50)}) == 49
    [point] = points(device())
    assert point.measurement in HISTORY
    assert (point.time_ns // 1_000_000, point.fields["last_seen_ns"]) == (SECOND * 1000, SECOND * NS)


def test_rows_without_a_time_or_a_measurement_give_no_line() -> None:
    assert lines(device(last_seen_ns=0)) == []
    assert lines(replace(wave(), scale=NAN)) == []
    assert [row.kind for row in one_of_each() if not lines(row)] == ["patient"]


def test_messages_of_one_bundle_do_not_overwrite_each_other() -> None:
    bad = Bad("north", 7, 0, SECOND * NS, "t", "undecodable", "", 1)
    points = [one(lines(replace(bad, item=item))) for item in range(3)]
    assert len({point.time_ns for point in points}) == 3
    assert points[0].tags == {"site": "north", "kind": "bad", "condition": "undecodable"}


def test_two_alarms_that_change_at_the_same_moment_do_not_overwrite_each_other() -> None:
    first, second = parse(lines(alarm("a1"))[0]), parse(lines(alarm("a2"))[0])
    assert first.tags == second.tags
    assert first.time_ns != second.time_ns


def test_a_device_that_nobody_wears_has_no_patient_tag() -> None:
    assert one(lines(replace(device(), patient=""))).tags == {"site": "north", "device": "w1"}
